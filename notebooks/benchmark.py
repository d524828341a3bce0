# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/hackmatrix-jax/hackmatrix-jax/blob/main/notebooks/benchmark.ipynb)
#
# # How fast is this machine?
#
# Measures how many steps of the game, and of training, this machine makes per second, with compile time and memory,
# in tables, a plot and a file to share. Takes **about five minutes**. Run nothing else meanwhile. The rows of the
# tables appear as they are measured; after *Run All Cells* scroll up to them.

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

from hackmatrix_core import notebook

runs = notebook.start()

# %% [markdown]
# ## What is measured
#
# One **environment step** is an action mask, a random valid action, the rules, a new game where one has ended, and the
# observation. One **training step** is that with the network in it, and its share of the learning.

# %%
state = hm.reset(jax.random.key(0))
print("observation", hm.observe(state).shape)

# %%
print("actions", hm.HackMatrixGymnax.num_actions)
print("bytes of one game", sum(leaf.nbytes for leaf in jax.tree.leaves(state)))

# %% cellView="form" tags=["parameters"]
# @title Settings
sizes = [256, 1024, 4096]  # @param {type: "raw"}
repeats = 3  # @param {type: "integer"}
output = "benchmark.json"  # @param {type: "string"}

# %% [markdown]
# ## The environment
#
# - **envs**: games side by side. **steps/s**: of all of them together, the median of the repeats.
# - **without obs**: the same without the observation: enough for a player that follows rules and has no network.
# - **lowering** and **compiling**: what the first call costs, before it runs: JAX traces the Python code, and XLA
#   compiles it. Only compiling is saved by the cache.
# - **peak memory**: the most that the whole process held. **state**: one game, with its history for *undo*.

# %% tags=["nbval-ignore-output"]
speeds = notebook.measure_env(sizes, repeats)
notebook.plot_speeds(speeds)

# %% [markdown]
# ## Training
#
# **plan** is plain PPO with a dense network, without this project's recipe, for comparison; the other row is the preset
# that people train with on this device. The **ceiling** is how fast it would be if the matrix products of the network
# took all the time, and the game none; no program can be faster. The **share of it** says how near this one comes.

# %% tags=["nbval-ignore-output"]
preset = hm.get_device_config().preset
trained = notebook.measure_training({"plan": hm.TrainConfig(), preset: hm.TrainConfig.preset(preset)}, repeats)

# %% [markdown]
# ## To share

# %% tags=["nbval-ignore-output"]
notebook.save_report(output, speeds, trained, runs)
