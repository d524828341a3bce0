"""The trained agent that comes with the package: `hm.load_policy("pretrained")`.

`params.msgpack` holds the network, `about.json` the config (with seed) and the steps of its run, the same of the runs
that it started from, and its evaluation. `python -m hackmatrix_core.training.shipping RUN EARLIER …` makes both from a
run that was evaluated.
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import serialization

FOLDER = Path(__file__).parent


def load(folder: Path = FOLDER) -> tuple[Any, dict[str, Any]]:
    """The parameters, float32, and the contents of `about.json`; of another agent kept in this way, by its folder."""
    params = serialization.msgpack_restore((folder / "params.msgpack").read_bytes())
    about = json.loads((folder / "about.json").read_text())
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params), about
