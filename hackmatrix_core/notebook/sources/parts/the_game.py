# %% [markdown]
# ## The game in one board
#
# Reach the exit of eight boards in a row with three hit points. Blocks with **points** or the name of a **program**
# are walls, but a **data siphon**, used next to them, turns them into points and programs (and sets enemies free). A
# dashed circle is a **transmission**: an enemy due next turn. `c` is credits, `e` is energy. The legend explains the
# rest; the full rules are in
# [RULES.md](https://github.com/hackmatrix-jax/hackmatrix-jax/blob/main/hackmatrix_core/game/RULES.md).
#
# The same key always gives the same board:

# %%
state = hm.reset(jax.random.key(0))
display(hm.rendering.picture(state, legend=False))
hm.rendering.legend()

# %% [markdown]
# ## What the agent sees
#
# The agent does not see this picture but 1,545 numbers (rule R11): 10 about the player, 23 that say which programs it
# owns, and 42 for each of the 36 cells. Sorted by kind, the 42 are pictures of 6 × 6 cells, called **channels**. Find
# the blocks, the resources and the exit of the board above in them:

# %%
observation = hm.observe(state)
print(observation.shape, observation.dtype)
notebook.plot_channels(observation)

# %% [markdown]
# ## What it may do
#
# There are 28 actions: four directions, siphon, and 23 programs. Most are impossible most of the time, and the
# **mask** says which are valid. The network gives every action a number, its *logit*, from which the probabilities
# follow. Without the mask, part of the probability would go to actions that the rules forbid (orange). The mask sets
# these to 0 and shares the rest out again, so not one step is wasted on learning what the rules already say. Here for
# `pretrained`, which comes with the package:

# %%
mask = hm.get_valid_actions(state)
print(mask.shape, mask.dtype)
print("valid now:", ", ".join(name for name, valid in zip(hm.ACTION_NAMES, mask, strict=True) if valid))
notebook.plot_mask(hm.load_policy("pretrained"), state)
