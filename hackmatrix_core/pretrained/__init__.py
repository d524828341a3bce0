"""The trained agent that comes with the package: `hm.load_policy("pretrained")`.

`params.msgpack` holds the network, `about.json` the config (with seed), the steps it was trained for, and its
evaluation.
`python -m hackmatrix_core.pretrained RUN` makes both from a run that was evaluated.
"""

import json
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization

_FOLDER = Path(__file__).parent


def load() -> tuple[Any, dict[str, Any]]:
    """The parameters, float32, and the contents of `about.json`."""
    params = serialization.msgpack_restore((_FOLDER / "params.msgpack").read_bytes())
    about = json.loads((_FOLDER / "about.json").read_text())
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params), about


def keep(run_dir: Path) -> None:
    """Make the newest checkpoint of a run the pretrained agent; weights are rounded to float16 for half the size."""
    from hackmatrix_core.checkpointing import load_params
    from hackmatrix_core.monitoring import read_metrics

    params, about = load_params(run_dir)
    evaluation = json.loads((run_dir / "evaluation.json").read_text())
    steps = read_metrics(run_dir / "metrics.jsonl")[-1]["steps"]
    rounded = jax.tree.map(lambda x: np.asarray(x, np.float16), params)
    (_FOLDER / "params.msgpack").write_bytes(serialization.msgpack_serialize(rounded))
    kept = {"config": about["config"], "steps": steps, "evaluation": evaluation}
    (_FOLDER / "about.json").write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
