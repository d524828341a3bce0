"""`python -m hackmatrix_core.training.shipping RUN` makes the agent of an evaluated run the pretrained one.

The runs that it came from by `--from` follow, the last one first.
"""

import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import serialization

from hackmatrix_core.agent.pretrained import FOLDER
from hackmatrix_core.training.checkpointing import load_params
from hackmatrix_core.training.monitoring import read_metrics


def keep(run_dir: Path, *earlier: Path) -> None:
    """Make the newest checkpoint of a run the pretrained agent; weights are rounded to float16 for half the size."""
    params, _ = load_params(run_dir)
    evaluation = json.loads((run_dir / "evaluation.json").read_text())
    rounded = jax.tree.map(lambda x: np.asarray(x, np.float16), params)
    (FOLDER / "params.msgpack").write_bytes(serialization.msgpack_serialize(rounded))
    kept = _run(run_dir) | {"earlier": list(map(_run, earlier)), "evaluation": evaluation}
    (FOLDER / "about.json").write_text(json.dumps(kept, indent=2) + "\n")


def _run(run_dir: Path) -> dict[str, Any]:
    steps = read_metrics(run_dir / "metrics.jsonl")[-1]["steps"]
    return {"config": json.loads((run_dir / "config.json").read_text()), "steps": steps}


if __name__ == "__main__":
    keep(*map(Path, sys.argv[1:]))
