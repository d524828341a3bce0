"""The command `hackmatrix watch`."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

import jax

from hackmatrix_core.cli.arguments import add_checkpoint, add_simulations, path, seed
from hackmatrix_core.errors import UsageError
from hackmatrix_core.training.tuning import SEARCHED_STATE, check_memory

if TYPE_CHECKING:
    from hackmatrix_core.agent.policy import Policy


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    runs = "a run directory, a checkpoint in it, pretrained, pretrained-points, random or greedy"
    command.add_argument("run", type=path, metavar="RUN", help=runs)
    command.add_argument("--seed", type=seed, default=0, metavar="N", help="decides the game (default: 0)")
    command.add_argument("--argmax", action="store_true", help="take the likeliest action instead of a sampled one")
    add_checkpoint(command, "RUN")
    add_simulations(command, "search before each action, with this many simulations")
    command.add_argument(
        "--out", type=path, default="replay.html", metavar="FILE", help="the page (default: replay.html)"
    )


def run(options: argparse.Namespace) -> int:
    """Watch an agent play: record a game and write it as a page that any browser plays."""
    from hackmatrix_core.training.loading import checkpoint_of

    run = checkpoint_of(options.run, options.checkpoint)
    write_replay(run, options.seed, options.out, argmax=options.argmax, simulations=options.simulations)
    return 0


def write_replay(run: str | os.PathLike, seed: int, out: str, *, argmax: bool = False, simulations: int = 0) -> None:
    """Record a game of the run's policy and write it as a page."""
    from hackmatrix_core.viewing import recording
    from hackmatrix_core.viewing.replay import replay
    from hackmatrix_core.viewing.waiting import Waiting

    policy = playing_policy(run, argmax=argmax, simulations=simulations)
    try:
        Path(out).absolute().parent.mkdir(parents=True, exist_ok=True)
        with open(out, "a", encoding="utf-8"):  # before a game, which takes minutes with a search
            pass
        with Waiting("playing a game") as line:
            episode = recording.record(policy, jax.random.key(seed), progress=line.reached)
        target = replay(episode, f"{run}, seed {seed}").save(out)
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error.strerror}") from error
    print(f"{len(episode)} actions, final stage {episode.final_stage}, return {episode.total_reward:+.2f}")
    print(f"replay {target}")


def playing_policy(run: str | os.PathLike, *, argmax: bool, simulations: int) -> "Policy":
    """The policy of a run, with a search if there are simulations."""
    from hackmatrix_core.agent.search import SearchPolicy
    from hackmatrix_core.training.loading import load_policy

    check_memory(f"--simulations {simulations}", simulations * SEARCHED_STATE)
    policy = load_policy(run, greedy=argmax)
    try:
        return SearchPolicy(policy, simulations) if simulations else policy
    except TypeError as error:
        raise UsageError(error) from error
