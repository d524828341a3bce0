# ---
# jupyter:
#   jupytext:
#     notebook_metadata_filter: accelerator,colab,kernelspec,-all
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/hackmatrix-jax/hackmatrix-jax/blob/main/notebooks/play_and_watch.ipynb)
#
# # Play HackMatrix, and watch an agent play
#
# Look at the game, play it with buttons, watch a trained agent step by step, and see what it thinks. Takes **a minute**
# to run; no GPU is needed.

# %% cellView="form" jupyter={"source_hidden": true} tags=["nbval-ignore-output"]
# @title Set up: run this first
import os
import subprocess
import sys

if "google.colab" in sys.modules:
    if not os.path.exists("/content/hackmatrix-jax"):
        repository = "https://github.com/hackmatrix-jax/hackmatrix-jax"
        subprocess.run(["git", "clone", "--quiet", "--depth=1", repository, "/content/hackmatrix-jax"], check=True)
    subprocess.run(["bash", "/content/hackmatrix-jax/colab_setup.sh"], check=True)
    sys.path.insert(0, "/content/hackmatrix-jax")
try:
    import hackmatrix_core as hm
except ModuleNotFoundError:
    raise SystemExit("This kernel does not have the package. Close it and run: bash colab_setup.sh lab") from None

import jax
import matplotlib.pyplot as plt
from IPython.display import display

from hackmatrix_core import evaluation, notebook
from hackmatrix_core.game.state import ACTION_NAMES

notebook.start()

# %% [markdown]
# ## The game in one board
#
# Reach the exit of eight boards in a row with three hit points. Blocks with **points** or the name of a **program** are
# walls, but a **data siphon**, used next to them, turns them into points and programs (and sets enemies free). A dashed
# circle is a **transmission**: an enemy due next turn. `c` is credits, `e` is energy. The legend explains the rest;
# the full rules are in [RULES.md](https://github.com/hackmatrix-jax/hackmatrix-jax/blob/main/hackmatrix_core/game/RULES.md).
#
# The same key always gives the same board, here as text and as a picture:

# %%
state = hm.reset(jax.random.key(0))
print(hm.rendering.text(state, color=False, legend=False))
hm.rendering.picture(state)

# %% [markdown]
# ## What the agent sees, and what it may do
#
# The agent sees the board as a vector of numbers (rule R11) and chooses one of 28 actions: four directions, siphon, and
# 23 programs. Most are impossible most of the time. The **mask** says which are valid, and the policy gives the others
# probability 0, so not one step is wasted on learning what the rules forbid.

# %%
observation, mask = hm.observe(state), hm.get_valid_actions(state)
print("observation", observation.shape, observation.dtype)
print("mask       ", mask.shape, mask.dtype)
print("valid now: ", ", ".join(name for name, valid in zip(ACTION_NAMES, mask, strict=True) if valid))

# %% [markdown]
# ## Play
#
# Each button is an action, with its price and what it does; a button is off while its action is not valid. Attacks are
# moves towards an enemy in the same row or column. Programs get a button when you own them. The first press takes some
# seconds.

# %% tags=["nbval-ignore-output"]
hm.play(seed=0)

# %% [markdown]
# ## Watch a trained agent
#
# `agent` is **pretrained** (it comes with the package), **greedy** or **random**, or the folder of your own run, such
# as `runs/train_local_cpu`. A run on your Drive, in Colab: mount the Drive (in the folder panel at the left) and give
# `/content/drive/MyDrive/hackmatrix/runs/train_colab_t4`.
#
# *Play* or the space bar plays the game, the arrow keys go step by step. Beside the board are the probabilities of
# the valid actions, what the agent thinks the position is worth, and the reward with its parts.

# %% cellView="form" tags=["nbval-ignore-output"]
# @title Whom to watch
agent = "pretrained"  # @param ["pretrained", "greedy", "random"] {allow-input: true}
seed = 0  # @param {type: "integer"}

policy = hm.load_policy(agent)
episode = hm.record(policy, jax.random.key(seed))
print(f"{agent}: {len(episode)} actions, final stage {episode.final_stage}, return {episode.total_reward:+.2f}")
hm.replay(episode, f"{agent}, seed {seed}")

# %% [markdown]
# ## What it thinks
#
# The same game's first position: how likely each valid action is, for an agent with a network.

# %% tags=["nbval-ignore-output"]
if episode.probabilities is None:
    print(f"{agent} follows a rule and has no probabilities.")
else:
    _, axes = plt.subplots(figsize=(8, 2.6), layout="constrained")
    valid = episode.action_masks[0]
    names = [name for name, is_valid in zip(ACTION_NAMES, valid, strict=True) if is_valid]
    axes.bar(names, episode.probabilities[0, valid])
    axes.set(ylabel="probability", ylim=(0, 1), title=f"value of the position: {episode.values[0]:.2f}")
display(hm.rendering.picture(jax.tree.map(lambda x: x[0], episode.states)))

# %% [markdown]
# ## How good is it?
#
# All play the very same games. Brackets hold 95 % intervals; the last table says what the agent uses: in how many
# games, how often in a game, in what share of the states where it is valid, and in which stage on average.

# %% tags=["nbval-ignore-output"]
games = evaluation.compare(
    {agent: policy, "random": hm.baselines.random, "greedy": hm.baselines.greedy},
    jax.random.key(1),
    num_games=8 if notebook.SMOKE else 200,
)
print(evaluation.table(games))
display(evaluation.plot_stages(games))
print(evaluation.usage_table(games[agent]))
