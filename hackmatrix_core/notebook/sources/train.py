# %% [markdown]
# $badge
#
# $intro

# %% $set_up

import jax
from IPython.display import display

from hackmatrix_core import evaluation, notebook

# $start

# %% $the_game

# %% [markdown]
# ## Settings
#
# - `minutes` of training. Learning rate and exploration fall over this time. Each "Run all" adds as many minutes again;
#   both then go back up to their values in the longer run.
# - `uniform_coef`: the force that keeps every valid action alive, so that siphon and programs are tried again when
#   their time has come. More explores longer, less settles earlier. `ent_coef`: the usual entropy bonus, in addition.
# - `seed` for all randomness.
# - `run_name`: the folder of the run. Leave it empty, and the settings name it: other settings start another run, and
#   the same settings find theirs again.
#
# The output shows the device, the sizes chosen, and whether there is a run to continue.

# %% cellView="form" tags=["nbval-ignore-output"]
# @title Settings
# $minutes
uniform_coef = 0.03  # @param {type: "number"}
ent_coef = 0.02  # @param {type: "number"}
seed = 0  # @param {type: "integer"}
run_name = ""  # @param {type: "string"}

config = notebook.config_for("$preset", uniform_coef=uniform_coef, ent_coef=ent_coef, seed=seed)
run_dir = notebook.run_directory(config, run_name, runs)
notebook.doctor(config, run_dir)

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
# Watch two curves:
#
# - **Return**: the mean reward of finished games. It should rise.
# - **Relative entropy**: how undecided the policy is, from 1 (all valid actions equally likely) to 0 (always the same
#   one). It should fall slowly. If it drops to the dashed line early, the agent has stopped exploring.
#
# The button (or ■) stops after the update in progress, saves, and lets the cells below use what was learned. The
# run is also saved every minute. This cell continues it, today or tomorrow.

# %% tags=["nbval-ignore-output"]
result = await notebook.train(config, run_dir, minutes=minutes)

# %% [markdown]
# ## Is it any good?
#
# The trained policy and two baselines play the very same games. **random** takes any valid action; **greedy**
# attacks what is next to it and otherwise walks to the exit by the shortest path. Final stage is the stage that a
# game ended in, 9 for a won game. The small numbers are 95 % intervals: where two do not overlap, the difference is
# unlikely to be chance.

# %% tags=["nbval-ignore-output"]
players = {"trained": hm.load_policy(run_dir), "random": hm.baselines.random, "greedy": hm.baselines.greedy}
games = notebook.compare(players, jax.random.key(1))
display(evaluation.table(games))
evaluation.plot_stages(games)

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
# comes later counts a little less. That is how +9 can stand beside a return of +700.

# %% tags=["nbval-ignore-output"]
hm.replay(notebook.record(hm.load_policy(run_dir), jax.random.key(2)), f"{run_dir.name}, seed 2")

# %% [markdown]
# ## Try it yourself
#
# 1. **A second seed.** Set `seed` to 1, and run the cells from *Settings* to *Train* again: the empty `run_name`
#    gives it a folder of its own. Then run the cell below. How far the two runs lie apart is what chance alone does;
#    a setting that changes less than that has not been shown to do anything.
# 2. **Let it collapse.** Set `uniform_coef` to 0, train, and compare. Using a siphon sets enemies free before it
#    pays, so an agent that is not made to try it again soon drops it, and the programs with it: watch the right
#    curve.

# %% tags=["nbval-ignore-output"]
notebook.compare_runs(runs)

# %% [markdown]
# ## If something goes wrong
#
# - **Memory runs out**: sizes are chosen so that at least half of the device's memory stays free. If another notebook
#   holds the device, end its session; else use fewer games. Double-click the settings to see their code (in
#   JupyterLab it is there already), and write `notebook.config_for("$preset", num_envs=$fewer, …)`.
# - **Entropy collapses** (the curve hits the dashed line in the first half, the agent walks back and forth): stop,
#   double `uniform_coef`, and run the cells from *Settings* on.
# - **"… began with …"**: a run continues with the settings it began with, on the same kind of device. Set them back, or
#   leave `run_name` empty.
#
# The folder of the run holds checkpoints, `metrics.jsonl` with all metrics of all updates, and `curves.png`.
# `hm.load_policy(run_dir)` loads the agent, in a notebook or a script. In a script,
# `hm.Trainer(config, run_dir, resume=True, minutes=3, fit=True).run()` does what the cell *Train* does here.
