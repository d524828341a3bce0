"""The command `hackmatrix evaluate`."""

import argparse
import os
import warnings
from pathlib import Path

import jax

from hackmatrix_core.cli.arguments import add_checkpoint, add_simulations, at_least_one, path, seed
from hackmatrix_core.errors import UsageError
from hackmatrix_core.training.checkpoints import find
from hackmatrix_core.training.tuning import EVALUATED_GAME, SEARCHED_STATE, check_memory


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    runs = "a run directory, a checkpoint in it, pretrained or pretrained-points"
    command.add_argument("run", type=path, metavar="RUN", help=runs)
    command.add_argument(
        "--games", type=at_least_one, default=1000, metavar="N", help="games per policy (default: 1000)"
    )
    command.add_argument("--seed", type=seed, default=0, metavar="N", help="decides the games (default: 0)")
    add_checkpoint(command, "RUN")
    add_simulations(command, "also play with a search of this many simulations before each action")


def run(options: argparse.Namespace) -> int:
    """Play games with a trained agent, sampled and argmax, and compare it with the baselines in a table."""
    from hackmatrix_core.training.loading import checkpoint_of

    evaluate_run(checkpoint_of(options.run, options.checkpoint), options.games, options.seed, options.simulations)
    return 0


def evaluate_run(run: str | os.PathLike, games: int, seed: int, simulations: int = 0) -> None:
    """Play with the run's policy and the baselines, print the table and write it to the run's directory."""
    from hackmatrix_core import evaluation
    from hackmatrix_core.agent.policy import BASELINES
    from hackmatrix_core.agent.pretrained import folder_of
    from hackmatrix_core.agent.search import SearchPolicy
    from hackmatrix_core.training.loading import load_policy
    from hackmatrix_core.viewing.waiting import Waiting

    if run in BASELINES:
        raise UsageError(f"{run} is a baseline, which every run is compared with. For a directory, write ./{run}")
    check_evaluation(games, simulations)
    sampled, key = load_policy(run), jax.random.key(seed)
    policies = {"trained, sampled": sampled, "trained, argmax": load_policy(run, greedy=True), **BASELINES}
    print(f"playing {games} games with each policy…", flush=True)
    with Waiting("playing") as line:
        results = evaluation.compare(policies, key, games, progress=line.reached)
    if simulations:
        print(f"playing {games} games with {simulations} simulations before each action…", flush=True)
        search = {f"{simulations} simulations": SearchPolicy(sampled, simulations)}
        with Waiting("searching") as line:
            results |= evaluation.compare(search, key, games, progress=line.reached)
    evaluation.table(results).print()
    print("\nwhat the trained agent uses, sampled")
    evaluation.usage_table(results["trained, sampled"]).print()
    print()
    if folder_of(run):
        return
    target = _target(run)
    try:
        target.write_text(evaluation.to_json(results))
    except OSError as error:
        warnings.warn(f"{target} cannot be written: {error.strerror}", RuntimeWarning, stacklevel=2)
    else:
        print(f"evaluation {target}")


def check_evaluation(games: int, simulations: int = 0) -> None:
    """Raise a UsageError if there is not enough memory to play so many games, with a search of so many simulations."""
    from hackmatrix_core.evaluation import games_side_by_side

    check_memory(f"--games {games}", games * EVALUATED_GAME)
    check_memory(f"--simulations {simulations}", games_side_by_side(games) * simulations * SEARCHED_STATE)


def _target(run: str | os.PathLike) -> Path:
    """Where the evaluation goes: into the run's directory, also if its checkpoints or one of them was given."""
    folder, update = find(run)
    directory = folder.parent if folder.name == "checkpoints" else folder
    return directory / ("evaluation.json" if update is None else f"evaluation-{update}.json")
