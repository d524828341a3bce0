# ---
# jupyter:
#   accelerator: TPU
#   colab:
#     gpuType: V5E1
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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/hackmatrix-jax/hackmatrix-jax/blob/main/notebooks/train_colab_tpu.ipynb)
#
# # Train a HackMatrix agent on a Colab TPU
#
# You will see one board of the game, an agent that trains for **15 minutes** on a TPU, how it compares with random
# play and with a player that just walks to the exit, and one of its games. The rest takes a few minutes more.
#
# 1. *Runtime → Change runtime type → v5e-1 TPU*. The notebook also runs on other devices, and says what it found.
# 2. *Runtime → Run all*, and allow access to your Drive: the run is kept there.
#
# Run all again, and training continues from the last checkpoint for another 15 minutes, even if Colab has taken the
# machine away: open the notebook again and run all. (The outputs stored below come from a few seconds on a CPU.)

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
# ## Settings
#
# - `minutes` of training; each "Run all" adds as many again.
# - `uniform_coef`: the force that keeps every valid action alive, so that siphon and programs are tried again when
#   their time has come. More explores longer, less settles earlier. `ent_coef`: the usual entropy bonus, in addition.
# - `seed`: decides everything random.
# - `run_name`: the folder of the run. Another name starts another run.
# - `save_to_drive`: keep it on your Drive; otherwise on this machine's disk, which Colab deletes with the machine.
#
# Below them the cell says what it found here, what it chose for it, and whether there is a run to continue.

# %% cellView="form" tags=["nbval-ignore-output"]
# @title Settings
minutes = 15.0  # @param {type: "number"}
uniform_coef = 0.03  # @param {type: "number"}
ent_coef = 0.02  # @param {type: "number"}
seed = 0  # @param {type: "integer"}
run_name = "train_colab_tpu"  # @param {type: "string"}
save_to_drive = True  # @param {type: "boolean"}

config = notebook.config_for("tpu", uniform_coef=uniform_coef, ent_coef=ent_coef, seed=seed)
run_dir = notebook.run_directory(run_name, drive=save_to_drive)
notebook.doctor(config, run_dir)

# %% [markdown]
# ## Train
#
# Each update plays `num_envs` games side by side for `num_steps` steps and then improves the policy on what happened
# (PPO). Watch two curves:
#
# - **Return**: the mean reward of finished games. It should rise.
# - **Relative entropy**: how undecided the policy is, from 1 (any valid action is as good as another) to 0 (always
#   the same one). It should fall slowly. If it drops to the red line early, the agent has stopped exploring.
#
# The button (or ■) stops after the update in progress, saves, and lets the cells below use what was learned. The
# run is also saved every minute. This cell continues it, today or tomorrow.

# %% tags=["nbval-ignore-output"]
trainer = hm.Trainer(config, run_dir, resume=True, minutes=minutes)
result = await notebook.train(trainer)

# %% [markdown]
# ## Is it any good?
#
# The trained policy and two baselines play the very same games. **random** takes any valid action; **greedy**
# attacks what is next to it and otherwise walks to the exit by the shortest path. Final stage is the stage that a
# game ended in, 9 for a won game. Brackets hold 95 % intervals: where two do not overlap, the difference is unlikely
# to be chance.

# %% tags=["nbval-ignore-output"]
players = {"trained": hm.load_policy(run_dir), "random": hm.baselines.random, "greedy": hm.baselines.greedy}
games = evaluation.compare(players, jax.random.key(1), num_games=8 if notebook.SMOKE else 200)
print(evaluation.table(games))
display(evaluation.plot_stages(games))

# %% [markdown]
# Does it use what the game offers, or does it only walk? For siphon and each program: the share of games with it, how
# often it is used in a game, in what share of the states where it was valid, and in which stage on average.

# %% tags=["nbval-ignore-output"]
print(evaluation.usage_table(games["trained"]))

# %% [markdown]
# ## Watch it play
#
# One game, step by step: *Play* or the space bar plays it, the arrow keys go step by step. Beside the board are the
# probabilities of the valid actions, what the agent thinks the position is worth, and the reward with its parts.

# %% tags=["nbval-ignore-output"]
hm.replay(hm.record(hm.load_policy(run_dir), jax.random.key(2)), f"{run_name}, seed 2")

# %% [markdown]
# ## If something goes wrong
#
# - **Memory runs out**: sizes are chosen so that at least half of the device's memory stays free. If another notebook
#   holds the device, end its session; else use fewer games, under another `run_name`. Double-click the settings to
#   see their code: `notebook.config_for("tpu", num_envs=1024, …)`.
# - **Entropy collapses** (the curve hits the red line in the first half, the agent walks back and forth): stop, double
#   `uniform_coef`, choose another `run_name`, and start again.
# - **"has a different config"**: a run continues with the settings it began with, on the same kind of device. Set them
#   back, or choose another `run_name`.
# - **Training ends at once**: the run is complete. A larger `notebook.config_for(…, total_timesteps=…)` continues it;
#   learning rate and exploration then go back up to their values in the longer run.
#
# The folder of the run holds checkpoints, `metrics.jsonl` with all metrics of all updates, and `curves.png`.
# `hm.load_policy(run_dir)` loads the agent, in a notebook or a script.
