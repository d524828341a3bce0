# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/hackmatrix-jax/hackmatrix-jax/blob/main/notebooks/make_it_yours.ipynb)
#
# # Make it yours
#
# Your own rewards, your own network, your own training loop; eight seeds and a sweep of nine settings, each in one
# compiled program; and the policy in a file that needs nothing of this package. Takes **ten minutes** on two CPU cores,
# a third of them for compiling. After the set-up, each section works by itself.

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

from functools import partial

import flax.linen as nn
import jax
import jax.export
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from IPython.display import display

from hackmatrix_core import notebook

runs = notebook.start()

# %% cellView="form" tags=["parameters"]
# @title How long
steps = 1_000_000  # @param {type: "integer"}
seeds = 8  # @param {type: "integer"}

# %% [markdown]
# ## Your own rewards
#
# The reward of an action is the sum of 15 parts, each with a weight of 1 until you choose another.
# [play_and_watch](https://github.com/hackmatrix-jax/hackmatrix-jax/blob/main/notebooks/play_and_watch.ipynb) lists them
# under *What is rewarded*. A hunter, for whom an enemy counts ten times as much:

# %% tags=["nbval-ignore-output"]
config = notebook.quick_config(steps, reward_weights={"kills": 10})
hunter = hm.Trainer(config, runs / "hunter", resume=True).run()

# %% [markdown]
# How many enemies does it defeat in a hundred actions? Beside it the shipped agent, which plays to win, has trained 350
# times as long and owns programs for it: a reward alone makes no hunter in a million steps. Try more.

# %% tags=["nbval-ignore-output"]
players = {"hunter": hm.load_policy(hunter.saved_in), "pretrained": hm.load_policy("pretrained")}
figure, axes = plt.subplots(figsize=(7, 2.5), layout="constrained")
for name, games in notebook.compare(players, jax.random.key(0), 64).items():
    kills = games.reward_parts[:, hm.REWARD_PARTS.index("kills")] / 0.3  # R10: 0.3 for each
    axes.hist(100 * kills / games.length, bins=np.arange(0, 31, 2), alpha=0.6, label=name)
axes.set(xlabel="enemies defeated in a hundred actions", ylabel="games")
axes.legend()
plt.show()

# %% [markdown]
# ## Your own network
#
# Any `flax.linen.Module` that maps observations to logits and values. This one reads each of the 36 cells with the same
# weights before it looks at the whole board. A cell has 42 numbers; they stand at the end of the observation, cell by
# cell.


# %%
class CellByCell(nn.Module):
    width: int = 16

    @nn.compact
    def __call__(self, observations):  # float32 (N, 1545)
        cells, others = observations[:, -36 * 42 :], observations[:, : -36 * 42]
        read = nn.relu(nn.Dense(self.width)(cells.reshape(-1, 36, 42)))
        x = jnp.concatenate([read.reshape(-1, 36 * self.width), others], axis=-1)
        for _ in range(2):
            x = nn.relu(nn.Dense(128)(x))
        return nn.Dense(28)(x), nn.Dense(1)(x)[:, 0]  # logits (N, 28) and values (N,)


# %%
observation = hm.observe(hm.reset(jax.random.key(0)))[None]
params = CellByCell().init(jax.random.key(0), observation)
print(f"{sum(leaf.size for leaf in jax.tree.leaves(params)):,} parameters")

# %% tags=["nbval-ignore-output"]
own = hm.Trainer(notebook.quick_config(steps), runs / "cell-by-cell", network=CellByCell(), resume=True).run()

# %% [markdown]
# The run keeps the name of the class and its fields. Where it can be imported, the run is like any other; here it lives
# in the notebook, so another program needs `hm.load_policy(…, network=CellByCell())`.

# %% tags=["nbval-ignore-output"]
hm.replay(notebook.record(hm.load_policy(own.saved_in, network=CellByCell()), jax.random.key(3)))

# %% [markdown]
# ## Your own loop
#
# Nothing is needed but the environment, a network and the distribution over valid actions. The simplest of all learners:
# actions become likelier if the next reward was better than usual (REINFORCE with a discount of 0).

# %% tags=["nbval-ignore-output"]
env, network, optimizer = hm.HackMatrixGymnax(), hm.ActorCritic(28, hidden_dim=64), optax.adam(3e-3)


def play(params, games, key):
    obs, state = games
    mask = jax.vmap(env.get_action_mask)(state)
    action = hm.masked_categorical(network.apply(params, obs)[0], mask).sample(seed=key)
    keys, step = jax.random.split(key, len(obs)), jax.vmap(env.step, (0, 0, 0, None))
    after, state, reward, _, _ = step(keys, state, action, env.default_params)
    return (after, state), (obs, mask, action, reward)


def loss(params, obs, mask, action, reward):
    log_prob = hm.masked_categorical(network.apply(params, obs)[0], mask).log_prob(action)
    return -jnp.mean(log_prob * (reward - reward.mean()) / reward.std())


def update(carry, key):
    params, opt_state, games = carry
    games, seen = jax.lax.scan(partial(play, params), games, jax.random.split(key, 32))
    change, opt_state = optimizer.update(jax.grad(loss)(params, *seen), opt_state)
    return (optax.apply_updates(params, change), opt_state, games), seen[3].mean()


# %% [markdown]
# Fifty updates of 128 games side by side are one compiled program:


# %% tags=["nbval-ignore-output"]
@jax.jit
def train(key):
    games = jax.vmap(env.reset, (0, None))(jax.random.split(key, 128), env.default_params)
    params = network.init(key, games[0])
    return jax.lax.scan(update, (params, optimizer.init(params), games), jax.random.split(key, 50))


rewards = train(jax.random.key(0))[1]
figure, axes = plt.subplots(figsize=(7, 2.5), layout="constrained")
axes.plot(rewards)
axes.set(xlabel="update", ylabel="mean reward of an action")
plt.show()

# %% [markdown]
# ## Eight seeds
#
# One run says little: seeds differ. Eight agents advance side by side; the band is the 95 % interval of their mean.

# %% tags=["nbval-ignore-output"]
result = hm.Sweep(notebook.quick_config(steps // 2), seeds=seeds, run_dir=runs / "seeds", resume=True).run()
display(result.table())
result.plot()

# %% [markdown]
# ## A sweep of nine settings
#
# Settings that are numbers are arguments of the program, so nine of them are compiled once, and train together. The
# second table says which of the two mattered, and how sure that is.

# %% tags=["nbval-ignore-output"]
vary = {"learning_rate": [5e-4, 1e-3, 2e-3], "ent_coef": [0.005, 0.02, 0.08]}
sweep = hm.Sweep(notebook.quick_config(steps // 2), vary, run_dir=runs / "sweep", resume=True).run()
for table in sweep.tables(by="return"):
    display(table)
sweep.plot(by="return")

# %% [markdown]
# Every agent is a run of its own, `sweep.folder(sweep.plan[0])` for example, which `hm.load_policy` and all commands
# take. `hackmatrix sweep` does the same on the command line
# ([sweeps.md](https://github.com/hackmatrix-jax/hackmatrix-jax/blob/main/docs/sweeps.md)).

# %% [markdown]
# ## Take it elsewhere
#
# `jax.export` writes a policy as a program for any number of boards, on CPU, GPU and TPU; JAX alone reads it. (The
# parameters are plain arrays, too:
# [own_parts.md](https://github.com/hackmatrix-jax/hackmatrix-jax/blob/main/docs/own_parts.md#take-a-policy-elsewhere).)

# %% tags=["nbval-ignore-output"]
policy = hm.load_policy("pretrained")
(n,) = jax.export.symbolic_shape("n")
boards = jax.ShapeDtypeStruct((n, 1545), jnp.float32), jax.ShapeDtypeStruct((n, 28), jnp.bool_)
probabilities = jax.jit(lambda observations, masks: policy.distribution(observations, masks)[0].probs)
file = runs / "policy.bin"
file.write_bytes(jax.export.export(probabilities, platforms=("cpu", "cuda", "tpu"))(*boards).serialize())

# %%
loaded = jax.export.deserialize(file.read_bytes())
state = hm.reset(jax.random.key(0))
(chances,) = loaded.call(hm.observe(state)[None], hm.get_valid_actions(state)[None])
display(hm.rendering.picture(state, legend=False))
print(", ".join(f"{name} {chance:.0%}" for name, chance in zip(hm.ACTION_NAMES, chances, strict=True) if chance > 0.01))
