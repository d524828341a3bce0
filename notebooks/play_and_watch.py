# ---
# jupyter:
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
# Look at the game, play it with buttons, watch a trained agent step by step, and see what it thinks. Takes **a minute
# or two** to run; no GPU is needed. After *Run All Cells* JupyterLab shows the last cell: scroll up to *Play*.

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
# ## Play
#
# Each button is an action, with its price. The text below the board says what each does and, if a button is
# disabled, why the action is not valid now. To attack, move towards an enemy in the same row or column. Click into the
# game once, and the arrow keys move you as well, or tell why not. **hint** asks `pretrained`, an agent that comes with the package.
# Programs get a button when you own them.

# %% tags=["nbval-ignore-output"]
hm.play(seed=0)

# %% [markdown]
# ## Watch a trained agent
#
# `agent` is **pretrained** (it comes with the package and plays to win), **pretrained-points** (plays for points, and
# risks more), **greedy** or **random**, or the folder of your own run, such as `runs/cpu`. A run on your Drive, in
# Colab: mount the Drive (in the folder panel at the left) and give `/content/drive/MyDrive/hackmatrix/runs/t4`.
#
# *Play* or the space bar plays the game, the arrow keys go step by step. Beside the board are the probabilities of
# the valid actions, the value, and the reward with its parts.
#
# The **value** is what the agent expects to earn from here to the end, in a currency of its own: a reward r counts as
# sign(r) × log(1 + |r|), so that a win (500 and more) counts as about 6 and not as hundreds of small steps, and what
# comes later counts a little less. That is why it is a small number beside a return of +700. For **pretrained-points**, each
# point of the score counts 2 more when it is earned, taken back in a lost game.

# %% cellView="form" tags=["parameters"]
# @title Whom to watch
agent = "pretrained"  # @param ["pretrained", "pretrained-points", "greedy", "random"] {allow-input: true}
seed = 0  # @param {type: "integer"}
original = ""  # @param {type: "string"}

# %% tags=["nbval-ignore-output"]
policy = hm.load_policy(agent)
episode = notebook.record(policy, jax.random.key(seed))
print(f"{agent}: {len(episode)} actions, final stage {episode.final_stage}, return {episode.total_reward:+.2f}")
hm.replay(episode, f"{agent}, seed {seed}")

# %% [markdown]
# `hm.replay(episode).save("game.html")` makes it a file to send to somebody.

# %% [markdown]
# ## What it thinks
#
# The position of this game where the agent was least sure of itself, and how likely each valid action was.

# %% tags=["nbval-ignore-output"]
notebook.show_hardest_choice(episode)

# %% [markdown]
# ## In the original game
#
# The agent also plays the original, a Swift program, and wins as often there. If you have built it, give its path above
# as `original`; without it, the simulator stands in for it, as a program of its own that speaks the same protocol.
# [Play there](https://github.com/hackmatrix-jax/hackmatrix-jax/blob/main/docs/original.md#play-there) tells how to
# build it, and how to watch the agent in its window.

# %% tags=["nbval-ignore-output"]
there = notebook.record_original(policy, original, jax.random.key(seed))
print(f"{agent}: {len(there)} actions, final stage {there.final_stage}, return {there.total_reward:+.2f}")
hm.replay(there, f"{agent} in {original or 'the simulator, by the protocol of the original'}")

# %% [markdown]
# ## How good is it?
#
# All play the very same games. The small numbers are 95 % intervals. The last table says what the agent uses: in how
# many games, how often in a game, how often when it is valid, and in which stage on average. Three
# programs that agents come to rely on: **undo** goes back to the start of the turn, as if it had not been played
# (used again, to the turn before); **row** hits all enemies in the player's row; **reset** gives back all 3 hit
# points.

# %% tags=["nbval-ignore-output"]
games = notebook.compare(
    {agent: policy, "random": hm.baselines.random, "greedy": hm.baselines.greedy}, jax.random.key(1)
)
display(evaluation.table(games))
display(evaluation.plot_stages(games))
evaluation.usage_table(games[agent])
