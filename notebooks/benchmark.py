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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/hackmatrix-jax/hackmatrix-jax/blob/main/notebooks/benchmark.ipynb)
#
# # How fast is this machine?
#
# Measures how many steps of the game, and of training, this machine makes per second, with compile time and memory, in
# a table, a plot and a file to share. Takes **about four minutes**. Run nothing else meanwhile.

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

import dataclasses
import json
from pathlib import Path

import jax
import matplotlib.pyplot as plt

from hackmatrix_core import notebook
from hackmatrix_core.benchmark import env, training

notebook.start()

# %% [markdown]
# ## What is measured
#
# One **environment step** is an action mask, a random valid action, the rules, a new game where one has ended, and the
# observation. One **training step** is that with the network in it, and its share of four epochs of learning.

# %%
state = hm.reset(jax.random.key(0))
print("observation", hm.observe(state).shape)

# %%
print("actions", hm.HackMatrixGymnax.num_actions)
print("bytes of one game", sum(leaf.nbytes for leaf in jax.tree.leaves(state)))

# %% cellView="form" tags=["nbval-ignore-output"]
# @title Settings
sizes = [256, 1024, 4096]  # @param {type: "raw"}
repeats = 3  # @param {type: "integer"}
output = "benchmark.json"  # @param {type: "string"}

config = hm.TrainConfig()
if notebook.SMOKE:
    sizes, repeats = [8], 1
    config = hm.TrainConfig(num_envs=8, num_steps=8, hidden_dim=16, total_timesteps=64)
output = notebook.run_directory("benchmark").parent / output if notebook.SMOKE else Path(output)

# %% [markdown]
# ## The environment

# %% tags=["nbval-ignore-output"]
speeds = list(env.measure_env(sizes, repeats))
print(env.table(speeds))
_, axes = plt.subplots(figsize=(7, 3), layout="constrained")
labels = [f"{speed.num_envs:,}" for speed in speeds]
axes.bar(labels, [speed.steps_per_second / 1000 for speed in speeds], width=0.5)
axes.set(xlabel="environments side by side", ylabel="thousand steps a second")
axes.grid(axis="y", alpha=0.3)

# %% [markdown]
# ## Training
#
# The floor is what the matrix products of the network alone would allow; the share of it says how much of the time goes
# into learning itself.

# %% tags=["nbval-ignore-output"]
trained = training.measure(config, repeats)
print(f"{trained.steps_per_second:,.0f} steps/s on {trained.num_devices} × {trained.platform}")
print(f"{trained.of_floor:.0%} of the floor of {trained.floor:,.0f} steps/s")
print(f"lowering {trained.lowering:.1f} s, compiling {trained.compiling:.1f} s")
print(f"peak memory {trained.peak_memory / 2**20:,.0f} MiB")

# %% [markdown]
# ## To share

# %% tags=["nbval-ignore-output"]
report = {
    "jax": jax.__version__,
    "device": str(hm.get_device_config()),
    "environment": [dataclasses.asdict(speed) for speed in speeds],
    "training": dataclasses.asdict(trained),
}
output.parent.mkdir(parents=True, exist_ok=True)
output.write_text(json.dumps(report, indent=2) + "\n")
print(f"all of it is in {output.name}")
