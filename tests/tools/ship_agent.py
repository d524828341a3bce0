"""Makes the agent of an evaluated run one of the pretrained agents that come with the package.

    python -m tests.tools.ship_agent NAME RUN [EARLIER …]

NAME is one of `AGENTS`, such as `pretrained`; RUN is the directory of a run with its `evaluation.json`. EARLIER are the
runs that it came from by `--from`, the last one first. Writes `params.msgpack` and `about.json` in
`hackmatrix_core/agent/pretrained`; `tests/agent/test_pretrained.py` says whether they fit together.
"""

import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import serialization

from hackmatrix_core.agent.pretrained import AGENTS, checksum
from hackmatrix_core.training.checkpoints import load_params
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.history import read_metrics


def keep(name: str, run_dir: Path, *earlier: Path) -> None:
    """Make the newest checkpoint of a run a pretrained agent; weights are rounded to float16 for half the size."""
    if name not in AGENTS:
        raise SystemExit(f"NAME is {name!r}, expected one of {', '.join(AGENTS)}")
    folder, (params, _) = AGENTS[name], load_params(run_dir)
    evaluation = json.loads((run_dir / "evaluation.json").read_text())
    folder.mkdir(exist_ok=True)
    rounded = jax.tree.map(lambda x: np.asarray(x, np.float16), params)
    stored = serialization.msgpack_serialize(rounded)
    (folder / "params.msgpack").write_bytes(stored)
    kept = _run(run_dir) | {"earlier": list(map(_run, earlier)), "evaluation": evaluation}
    kept["checksum"] = checksum(stored, kept)
    (folder / "about.json").write_text(json.dumps(kept, indent=2) + "\n")


def _run(run_dir: Path) -> dict[str, Any]:
    """What is kept of a run: its config and the steps that it has done."""
    steps = read_metrics(run_dir / "metrics.jsonl")[-1]["steps"]
    config = TrainConfig.from_dict(json.loads((run_dir / "config.json").read_text()))
    return {"config": config.to_dict(), "steps": steps}


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    keep(sys.argv[1], *map(Path, sys.argv[2:]))
