"""The command `hackmatrix evaluate`."""

import argparse
from pathlib import Path

import jax

from hackmatrix_core.cli.arguments import Commands, count, purpose, seed


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser("evaluate", help="play games with a trained agent", description=purpose(run))
    command.set_defaults(command=run)
    command.add_argument("run", metavar="RUN", help="a run directory or a checkpoint in it")
    command.add_argument("--games", type=count, default=1000, metavar="N", help="games per policy (default: 1000)")
    command.add_argument("--seed", type=seed, default=0, metavar="N", help="decides the games (default: 0)")


def run(options: argparse.Namespace) -> int:
    """`hackmatrix evaluate`: a table of a run's policy, sampled and argmax, against the baselines."""
    evaluate_run(Path(options.run), options.games, options.seed)
    return 0


def evaluate_run(run_dir: Path, games: int, seed: int) -> None:
    """Play with the run's policy and the baselines, print the table and write it to the run's directory."""
    from hackmatrix_core import evaluation
    from hackmatrix_core.agent.policy import BASELINES
    from hackmatrix_core.training.loading import load_policy

    policies = {
        "trained, sampled": load_policy(run_dir),
        "trained, argmax": load_policy(run_dir, greedy=True),
        **BASELINES,
    }
    print(f"playing {games} games with each policy…", flush=True)
    results = evaluation.compare(policies, jax.random.key(seed), games)
    print(evaluation.table(results))
    print(f"\nwhat the trained agent uses, sampled\n{evaluation.usage_table(results['trained, sampled'])}\n")
    target = run_dir / "evaluation.json"
    target.write_text(evaluation.to_json(results))
    print(f"evaluation {target}")
