# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/hackmatrix-jax/hackmatrix-jax/blob/main/notebooks/search.ipynb)
#
# # Think before you act: tree search
#
# A network sees a position and acts at once. A **search** first plays the likeliest actions out on a copy of the game,
# and asks the network what the positions behind them are worth. Here you see how many more games that wins, where the
# network errs and the search does not, and a whole game with the thoughts of both. Takes **five minutes**, most of them
# for compiling; no GPU is needed. After *Run All Cells* JupyterLab shows the last cell: scroll up to *What it wins*.

# %% cellView="form" jupyter={"source_hidden": true} tags=["nbval-ignore-output"]
# @title Set up: run this first
import os
import subprocess
import sys

if "google.colab" in sys.modules:
    folder = "/content/hackmatrix-jax"
    clone = f"git clone --quiet --depth=1 https://github.com/hackmatrix-jax/hackmatrix-jax {folder}"
    for command in ([] if os.path.exists(folder) else [clone]) + [f"bash {folder}/colab_setup.sh"]:
        with subprocess.Popen(command.split(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            for line in process.stdout:
                print(line, end="", flush=True)
        if process.returncode:
            raise SystemExit(
                "Set-up failed (see above). Run this cell again; if that does not help, get a new runtime."
            )
    sys.path.insert(0, folder)
try:
    import hackmatrix_core as hm
except ModuleNotFoundError:
    in_clone = os.path.exists("../colab_setup.sh")
    install = "run this in a new cell above: %pip install git+https://github.com/hackmatrix-jax/hackmatrix-jax"
    advice = "close it and run: bash colab_setup.sh lab" if in_clone else f"{install}\nThen run all cells."
    raise SystemExit(f"This kernel does not have the package: {advice}") from None

import jax
from IPython.display import display

from hackmatrix_core import evaluation, notebook

runs = notebook.start()

# %% [markdown]
# ## How it works
#
# The search grows a tree from the position, one new position per **simulation**:
#
# 1. **Select.** Walk down the tree, at each position to the action that looks best so far.
# 2. **Expand.** At the end of the walk, play an action that was not tried before, by the exact rules. What is random
#    there (where enemies appear, for example) comes from random numbers of its own: the search does not know the real
#    ones.
# 3. **Evaluate.** The network tells which actions are likely there, and what the position is worth.
# 4. **Back up.** Each position on the way learns what lies behind it: rewards, plus that value.
#
# With few simulations it matters where they go. *Gumbel MuZero* search
# ([Danihelka et al. 2022](https://openreview.net/forum?id=bERaNdoegnO)) gives them to the network's eight likeliest
# actions, then to the better half of these, and so on. The library [mctx](https://pypi.org/project/mctx) does
# all of this; the model is `hm.step`.
#
# The price is time: 32 simulations are 32 steps of the game and 33 evaluations of the network for a single action.

# %% cellView="form" tags=["parameters"]
# @title Who plays
agent = "pretrained"  # @param ["pretrained", "pretrained-points"] {allow-input: true}
few = 8  # @param {type: "integer"}
many = 32  # @param {type: "integer"}

# %% tags=["nbval-ignore-output"]
network = hm.load_policy(agent)
players = notebook.with_and_without_search(network, few, many)
print(", ".join(players))

# %% [markdown]
# ## What it wins
#
# All play the same 32 games. The small numbers are 95 % intervals; with so few games they overlap.
# [experiments.md](https://github.com/hackmatrix-jax/hackmatrix-jax/blob/main/docs/experiments.md#points) has 1,000 games.

# %% tags=["nbval-ignore-output"]
results = {name: notebook.compare({name: player}, jax.random.key(1), 32)[name] for name, player in players.items()}
display(evaluation.table(results))
evaluation.plot_stages(results)

# %% [markdown]
# ## One game, thought by thought
#
# The agent with the most simulations plays a game, and everything that it thinks on the way is kept.

# %% tags=["nbval-ignore-output"]
episode = notebook.record(players[f"{many} simulations"], jax.random.key(0))
print(f"{len(episode)} actions, final stage {episode.final_stage}, return {episode.total_reward:+.2f}")

# %% [markdown]
# For each action, `episode.thoughts` has the action that was chosen, the policy as the search improves it, how many
# simulations began with each of the 28 actions, what these actions turned out to be worth, the value of the position,
# and what the network alone had thought:

# %%
for name, values in episode.thoughts._asdict().items():
    print(f"{name:15} {values.dtype} {values.shape[1:]}")

# %% [markdown]
# The first position, and the actions among which the search has to choose there:

# %%
print(", ".join(name for name, valid in zip(hm.ACTION_NAMES, episode.action_masks[0], strict=True) if valid))
hm.rendering.picture(jax.tree.map(lambda x: x[0], episode.states), legend=False)

# %% [markdown]
# ## Where the network errs
#
# For each position of the game we know what the network would have done, and what the search thinks of that. Here is
# the one where the network's favourite loses most. The bars are probabilities; below them stands what the search found
# each action to be worth.

# %% tags=["nbval-ignore-output"]
notebook.show_worst_slip(episode)

# %% [markdown]
# ## The whole game, with both
#
# Beside the board: what the network thinks, what the search thinks, how many simulations began with each action, and
# what it found the action to be worth.

# %% tags=["nbval-ignore-output"]
hm.replay(episode, f"{agent} with {many} simulations")

# %% [markdown]
# ## Try it yourself
#
# - Set `few` to 2. Does so little thought help?
# - Set `agent` to `pretrained-points`, a network that learned what points are worth: a win pays 100 for each. How many
#   does it take, and what does it risk for them? Its games are longer, so give it ten minutes.
# - Set `agent` to the folder of your own run. The search makes weak networks stronger, but it relies on their values:
#   where these are wrong, it is misled.
