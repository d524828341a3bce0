# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/hackmatrix-jax/hackmatrix-jax/blob/main/notebooks/train_local_cpu.ipynb)
#
# # Train a HackMatrix agent on your CPU
#
# You will see one board of the game, an agent that trains for **three minutes**, how it compares with random play and
# with a player that just walks to the exit, and one of its games: about five minutes. Choose *Run → Run All Cells* (on
# Colab *Runtime → Run all*). JupyterLab then shows the last cell: scroll up to *Train*, where the curves grow.
#
# Run all cells again, and training continues from the last checkpoint for another three minutes.

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
# ## The game in one board
#
# Reach the exit of eight boards in a row with three hit points. Blocks with **points** or the name of a **program**
# are walls, but a **data siphon**, used next to them, turns them into points and programs (and sets enemies free). A
# dashed circle is a **transmission**: an enemy due next turn. The siphon also takes **credits** (`c`) and **energy**
# (`e`), which pay for running programs. Points add up to the **score**: it helps in no fight, but a win pays 100 for each.
#
# An enemy next to you takes a hit point each turn. There are four kinds:
#
# | enemy | hit points | what is special |
# |---|---|---|
# | virus | 2 | goes two cells a turn |
# | daemon | 3 | takes one hit more |
# | glitch | 2 | goes through blocks |
# | cryptog | 2 | is seen only from its row or column |
#
# The legend explains the rest; the full rules are in
# [RULES.md](https://github.com/hackmatrix-jax/hackmatrix-jax/blob/main/hackmatrix_core/game/RULES.md).
#
# The same key always gives the same board:

# %%
state = hm.reset(jax.random.key(0))
display(hm.rendering.picture(state, legend=False))
hm.rendering.legend()

# %% [markdown]
# ## What is rewarded
#
# After each action the agent gets a reward, the sum of these parts (rule R10). The **return** is the sum over a game.
#
# | part | reward |
# |---|---|
# | `victory` | 500 for a won game, and 100 for each point of the score |
# | `stage_completion` | 1, 2, 4, 8, 16, 32, 64 for the stages 1 to 7, and 64 for the last |
# | `score_gain` | 0.5 for each point |
# | `kills` | 0.3 for each enemy defeated |
# | `data_siphon` | 1.0 for each picked up |
# | `distance_shaping` | 0.05 for each step nearer to the exit |
# | `resource_gain` | 0.05 for each credit or energy gained, taken back when it is spent |
# | `resource_holding` | 0.01 for each credit or energy left at the end of a stage |
# | `hp_recovery`, `damage_penalty` | +1.0 and −1.0 for each hit point gained and lost |
# | `step_penalty` | −0.01 for each action |
# | `death_penalty` | −0.5 × what the completed stages have paid |
# | `siphon_death_penalty` | −10 for dying beside an enemy that a siphon set free |
# | `siphon_quality` | −0.5 × 0.05 for each credit or energy that a siphon in a better place would have taken, too |
# | `program_waste` | −0.3 for running `reset` at 2 hit points |

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

# %% [markdown]
# ## Settings
#
# - `minutes` of training. On two CPU cores, 3 minutes win about 40 % of the games and 15 minutes about 80 %. Learning
#   rate and exploration fall over this time. Each "Run all" adds as many minutes again; both then go back up to their
#   values in the longer run.
# - `learning_rate`: the size of the steps. Larger learns faster, until it learns nothing. `gamma`: what a reward is
#   worth an action later; with 0.99, one that is 100 actions ahead counts for a third. It rises to 0.997 during the run.
# - `uniform_coef`: the force that keeps every valid action alive, so that siphon and programs are tried again when
#   their time has come. More explores longer, less settles earlier. `ent_coef`: the usual entropy bonus, in addition.
# - `seed` for all randomness.
# - `start_from`: an agent to go on from, `pretrained` or the folder of a run, instead of a network that knows nothing.
#   One that plays well unlearns in large steps: set `learning_rate` to 0.0003.
# - `run_name`: the folder of the run. Leave it empty, and the settings name it: other settings start another run, and
#   the same settings find theirs again.
#
# The output shows the device, the sizes chosen, and whether there is a run to continue.

# %% cellView="form" tags=["parameters"]
# @title Settings
minutes = 3.0  # @param {type: "number"}
learning_rate = 0.002  # @param {type: "number"}
gamma = 0.992  # @param {type: "number"}
uniform_coef = 0.03  # @param {type: "number"}
ent_coef = 0.02  # @param {type: "number"}
seed = 0  # @param {type: "integer"}
start_from = ""  # @param ["", "pretrained"] {allow-input: true}
run_name = ""  # @param {type: "string"}

# %% tags=["nbval-ignore-output"]
changes = {"learning_rate": learning_rate, "gamma": gamma, "uniform_coef": uniform_coef, "ent_coef": ent_coef}
config = notebook.config_for("cpu", start_from, seed=seed, **changes)
run_dir = notebook.run_directory(config, run_name, runs, start_from)
notebook.doctor(config, run_dir, minutes)

# %% [markdown]
# ## Train
#
# This is PPO, *proximal policy optimization*. One update, with the names that the settings give to its parts:
#
# 1. **Play.** `num_envs` games go on side by side for `num_steps` steps, with actions drawn from the policy.
# 2. **Judge.** Each action's *advantage* is how much better things went than expected. `gamma` says how much less a
#    later reward counts, `gae_lambda` how far ahead to look before trusting the expectation (the *value*).
# 3. **Improve.** Actions with a positive advantage become likelier, the others less likely, in steps of
#    `learning_rate`, and nothing is gained by changing a probability by more than `clip_eps` of itself.
# 4. **Stay curious.** `ent_coef` and `uniform_coef` pull towards all valid actions; `vf_coef` is the weight of learning
#    the value.
# 5. **Repeat** 3 and 4 `update_epochs` times, in `num_minibatches` parts. Then forget these steps and play again.
#
# Watch three curves:
#
# - **Games won**: of the games that ended. It stays at 0 for a while, then rises.
# - **Return**: the sum of a game's rewards, as the mean of the games that ended. It should rise; as a win pays 500, it
#   is noisy while wins are rare.
# - **Relative entropy**: how undecided the policy is, from 1 (all valid actions equally likely) to 0 (always the same
#   one). It should fall slowly. If it drops to the dashed line early, the agent has stopped exploring.
#
# The button (or ■) stops after the update in progress, saves, and lets the cells below use what was learned. The
# run is also saved every minute. This cell continues it, today or tomorrow.

# %% tags=["nbval-ignore-output"]
result = await notebook.train(config, run_dir, minutes=minutes, start_from=start_from)

# %% [markdown]
# ## Is it any good?
#
# The trained policy and two baselines play the very same games. **random** takes any valid action; **greedy**
# attacks what is next to it and otherwise walks to the exit by the shortest path. Final stage is the stage that a
# game ended in, 9 for a won game. The small numbers are 95 % intervals: where two do not overlap, the difference is
# unlikely to be chance.

# %% tags=["nbval-ignore-output"]
agent = notebook.trained(result)
players = {"trained": agent, "random": hm.baselines.random, "greedy": hm.baselines.greedy}
games = notebook.compare(players, jax.random.key(1))
display(evaluation.table(games))
stages = evaluation.plot_stages(games)
stages

# %% [markdown]
# Does it use what the game offers, or does it only walk? For siphon and each program: the share of games with it, how
# often it is used in a game, how often when it is valid, and in which stage on average. Three that
# agents come to rely on: **undo** goes back to the start of the turn, as if it had not been played (used again, to the
# turn before); **row** hits all enemies in the player's row; **reset** gives back all 3 hit points.

# %% tags=["nbval-ignore-output"]
evaluation.usage_table(games["trained"])

# %% [markdown]
# ## Watch it play
#
# One game, step by step: *Play* or the space bar plays it, the arrow keys go step by step. Beside the board are the
# probabilities of the valid actions, the value, and the reward with its parts.
#
# The **value** is what the agent expects to earn from here to the end, in a currency of its own: a reward r counts as
# sign(r) × log(1 + |r|), so that a win (500 and more) counts as about 6 and not as hundreds of small steps, and what
# comes later counts a little less. That is why it is a small number beside a return of +700.

# %% tags=["nbval-ignore-output"]
replay = hm.replay(notebook.record(notebook.trained(result), jax.random.key(2)), f"{run_dir.name}, seed 2")
replay

# %% [markdown]
# ## Take it home
#
# Replay and picture join the checkpoints, metrics and curves in the folder of the run, and all becomes one file. Find
# it in the panel of files, or on Colab check `download`.

# %% cellView="form" tags=["nbval-ignore-output"]
# @title Take it home
download = False  # @param {type: "boolean"}

replay.save(result.saved_in / "replay.html")
stages.savefig(result.saved_in / "stages.png")
notebook.take_home(result.saved_in, download)

# %% [markdown]
# ## Try it yourself
#
# 1. **A second seed.** Set `seed` to 1, and run the cells from *Settings* to *Train* again: the empty `run_name`
#    gives it a folder of its own. Then run the cell below. How far the two runs lie apart is what chance alone does;
#    a setting that changes less than that has not been shown to do anything.
# 2. **Let it collapse.** Set `uniform_coef` to 0, train, and compare. Using a siphon sets enemies free before it
#    pays, so an agent that is not made to try it again soon drops it, and the programs with it: watch the last
#    curve, the share of the siphon.

# %% tags=["nbval-ignore-output"]
notebook.compare_runs(runs, result.saved_in.parent)

# %% [markdown]
# ## If something goes wrong
#
# - **Memory runs out**: sizes are chosen so that at least half of the device's memory stays free. If another notebook
#   holds the device, end its session; else use fewer games. Double-click the settings to see their code (in
#   JupyterLab it is there already), and write `notebook.config_for("cpu", num_envs=128, …)`.
# - **Entropy collapses** (the curve hits the dashed line in the first half, the agent walks back and forth): stop,
#   double `uniform_coef`, and run the cells from *Settings* on.
# - **"… began with …"**: a run continues with the settings it began with, on the same kind of device. Set them back, or
#   leave `run_name` empty.
#
# The folder of the run holds checkpoints, `metrics.jsonl` with all metrics of all updates, and `curves.png`.
# `hm.load_policy(result.saved_in)` loads the agent, in a notebook or a script. In a script,
# `hm.Trainer(config, run_dir, resume=True, minutes=3, fit=True).run()` does what the cell *Train* does here.
