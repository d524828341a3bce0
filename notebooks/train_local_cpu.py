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
# # Train a HackMatrix agent on your CPU
#
# You will see one board of the game, an agent that learns to play it in **about three minutes**, and how it compares
# with random play and with a player that just walks to the exit. Choose *Run → Run All Cells*.
#
# Run all again, and training goes on where it stopped: every run is three minutes more.

# %% cellView="form" tags=["nbval-ignore-output"]
# @title Set up: packages and sizes
import asyncio
import os
import tempfile

try:
    import hackmatrix_core as hm
except ModuleNotFoundError:
    raise SystemExit("This kernel lacks the package. Close it and start with: bash colab_setup.sh lab") from None

import jax
import matplotlib.pyplot as plt
import numpy as np

from hackmatrix_core import evaluation
from hackmatrix_core.game.state import ACTION_NAMES

SMOKE = os.environ.get("HACKMATRIX_SMOKE") == "1"  # tests run this notebook in a small size
print(f"JAX {jax.__version__} on {hm.get_device_config()}")

# %% [markdown]
# ## The game in one board
#
# Reach the exit of eight boards in a row with three hit points. Blocks with **points** or the name of a **program** are
# walls, but a **data siphon**, used beside them, turns them into points and programs (and sets enemies free). A dashed
# circle is a **transmission**: an enemy, next turn. `c` is credits, `e` energy on the floor. The legend tells the rest;
# the full rules are in [RULES.md](../hackmatrix_core/game/RULES.md).
#
# The same key always gives the same board, here as text and as a picture:

# %%
state = hm.reset(jax.random.key(0))
print(hm.rendering.text(state, color=False, legend=False))
hm.rendering.picture(state)

# %% [markdown]
# ## What the agent sees, and what it may do
#
# The agent sees the board as a vector of numbers (R11) and chooses one of 28 actions: four directions, siphon, and 23
# programs. Most are impossible most of the time. The **mask** says which are valid, and the policy gives the others
# probability 0, so not one step is wasted on learning what the rules forbid.

# %%
observation, mask = hm.observe(state), hm.get_valid_actions(state)
print("observation", observation.shape, observation.dtype)
print("mask       ", mask.shape, mask.dtype)
print("valid now: ", ", ".join(name for name, valid in zip(ACTION_NAMES, mask, strict=True) if valid))

# %% [markdown]
# ## Settings

# %% tags=["nbval-ignore-output"]
# @title Settings
minutes = 3.0  # @param {type: "number"}
learning_rate = 1e-3  # @param {type: "number"}
ent_coef = 0.02  # @param {type: "number"}
seed = 0  # @param {type: "integer"}
run_dir = "runs/train_local_cpu"  # @param {type: "string"}

sizes = {}
if SMOKE:
    minutes, run_dir = None, tempfile.mkdtemp()
    sizes = {"num_envs": 8, "num_steps": 32, "total_timesteps": 1024, "hidden_dim": 32}
config = hm.TrainConfig.preset("cpu", learning_rate=learning_rate, ent_coef=ent_coef, seed=seed, **sizes)
config

# %% [markdown]
# ## Train
#
# Each update plays `num_envs` games side by side for `num_steps` steps and then improves the policy on what happened
# (PPO). Watch two curves:
#
# - **Return**: the mean reward of finished games. It should rise.
# - **Relative entropy**: how undecided the policy is, from 1 (any valid action is as good as another) to 0 (always
#   the same one). It should fall slowly. Does it drop to the red line early, the agent has stopped to explore, and
#   often just walks to and fro: stop, raise `ent_coef`, and start again in another `run_dir`.
#
# The button stops after the update in progress. Nothing is lost: the run is saved, and this cell goes on with it.

# %% tags=["nbval-ignore-output"]
trainer = hm.Trainer(config, run_dir, resume=True, minutes=minutes)
try:
    result = await asyncio.to_thread(trainer.run)  # a thread of its own keeps the stop button alive
finally:
    trainer.stop()  # also if the cell is interrupted

# %% [markdown]
# ## Is it any good?
#
# The trained policy and two baselines play the very same 200 games. **random** takes any valid action; **greedy**
# attacks what stands beside it and otherwise walks to the exit by the shortest way. Final stage is the stage that a
# game ended in, 9 for a won game.

# %% tags=["nbval-ignore-output"]
players = {"trained": hm.load_policy(run_dir), "random": hm.baselines.random, "greedy": hm.baselines.greedy}
games = evaluation.compare(players, jax.random.key(1), num_games=8 if SMOKE else 200)
print(evaluation.table(games))

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
for offset, (name, shown) in zip((-0.27, 0.0, 0.27), games.items(), strict=True):
    stages = shown.stages()
    axes.bar(np.array(list(stages)) + offset, np.array(list(stages.values())) / len(shown.length), 0.27, label=name)
axes.set(xlabel="final stage (9: won)", ylabel="share of games", xticks=range(1, 10))
axes.legend();

# %% [markdown]
# ## And now?
#
# - Run all again: three more minutes for the same agent. Set `minutes` to 60 and have lunch.
# - Everything is in `run_dir`: `checkpoints`, `metrics.jsonl` with all metrics of all updates, `curves.png`.
# - `hm.load_policy(run_dir)` gives the agent back, in a notebook or a script.
