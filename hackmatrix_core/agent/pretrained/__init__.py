"""The trained agents that come with the package.

`hm.load_policy("pretrained")` plays to win; `hm.load_policy("pretrained-points")` plays for the return, of which the
points of the score are the larger part, and wins less often.

In the folder of each, `params.msgpack` holds the network, `about.json` the config (with seed) and the steps of its run,
the same of the runs that it started from, its evaluation, and a checksum of all this. In a checkout, `python -m
tests.tools.ship_agent NAME RUN EARLIER …` makes both from a run that was evaluated.
"""

import json
import os
import zlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import serialization

from hackmatrix_core.errors import CheckpointError

_HERE = Path(__file__).parent
AGENTS = {"pretrained": _HERE / "wins", "pretrained-points": _HERE / "points"}
"""Their names, and the folders that hold them."""


def folder_of(path_or_name: str | os.PathLike) -> Path | None:
    """The folder of the agent of this name; None for anything else. A `Path` is never a name."""
    return AGENTS.get(path_or_name) if isinstance(path_or_name, str) else None


def load(folder: Path = AGENTS["pretrained"]) -> tuple[Any, dict[str, Any]]:
    """The parameters, float32, and the contents of `about.json`, of the agent in a folder.

    Raises:
        CheckpointError: its files are not there, or not as they were written.
    """
    try:
        stored, about = (folder / "params.msgpack").read_bytes(), json.loads((folder / "about.json").read_bytes())
        if about.pop("checksum") != checksum(stored, about):
            raise ValueError("its files do not match their checksum")
        params = serialization.msgpack_restore(stored)
    except Exception as error:  # damage shows in many ways
        raise CheckpointError(f"the agent in {folder} cannot be read: {error}. Install the package again") from error
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params), about


def checksum(params: bytes, about: dict[str, Any]) -> int:
    """Of both files of an agent: of `params.msgpack`, and of what `about.json` says besides."""
    return zlib.crc32(json.dumps(about).encode(), zlib.crc32(params))
