"""Which checkpoint of a run is the better one, the last or the best in training: games decide."""

import os
from collections.abc import Callable

import jax

from hackmatrix_core import evaluation
from hackmatrix_core.training.checkpoints import CheckpointError, load_params
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.loading import checkpoint_of, load_policy

_NOTABLY = 1.05


def rival(run_dir: str | os.PathLike) -> int | None:
    """The update of the best checkpoint, if it was notably better in training than the last one, by a twentieth."""
    try:
        _, best = load_params(checkpoint_of(run_dir, "best"))
    except CheckpointError:  # no episode ended, or it is damaged
        return None
    _, last = load_params(run_dir)
    if best.get("quality", 0.0) > _NOTABLY * abs(last.get("quality", 0.0)):
        return int(best["update"])
    return None


def better(
    run_dir: str | os.PathLike,
    rival: int,
    key: jax.Array,
    num_games: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int | str, str]:
    """The better one of two checkpoints, the last and the rival, as `load_policy` takes it, and why, in a sentence.

    Games won decide, or the return where the run counts points.

    Args:
        run_dir: of the run.
        rival: an update of which it has a checkpoint.
        key: decides the games.
        num_games: of each.
        progress: as for `evaluation.compare`.
    """
    policies = {"last": load_policy(run_dir), "best": load_policy(run_dir, checkpoint=rival)}
    games = evaluation.compare(policies, key, num_games, progress=progress)
    config = TrainConfig.from_dict(load_params(run_dir)[1]["config"])
    last, best = (
        float((games[name].total_reward if config.points else games[name].won).mean()) for name in ("last", "best")
    )
    form, what = ("{:+,.0f}", "return") if config.points else ("{:.0%}", "games won")
    told = f"{what} with the last checkpoint {form.format(last)}, with that of update {rival} {form.format(best)}"
    if best > last:
        return rival, f"{told}: this one is used. Load it with checkpoint={rival}, in a command --checkpoint {rival}"
    return "last", f"{told}: the last one is used"
