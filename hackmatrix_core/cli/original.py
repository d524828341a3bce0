"""The command `hackmatrix original`."""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from hackmatrix_core.cli.arguments import add_simulations, at_least_one, path, seconds, seed
from hackmatrix_core.cli.evaluate import check_evaluation
from hackmatrix_core.cli.watch import playing_policy
from hackmatrix_core.errors import UsageError, UserError
from hackmatrix_core.game import GameState

if TYPE_CHECKING:
    from hackmatrix_core.environment.original.env import HackMatrixOriginal
    from hackmatrix_core.viewing.recording import Episode

_DIFFERENCE = Path("difference.json")
_LIKELIEST = 6


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    program = "the original's program and its arguments, these after --: -- PROGRAM --visual-cli"
    command.add_argument("program", type=path, nargs="+", metavar="COMMAND", help=program)
    agents = (
        "pretrained, pretrained-points, random, greedy, a run directory or a checkpoint in it (default: pretrained)"
    )
    command.add_argument("--agent", type=path, default="pretrained", metavar="RUN", help=agents)
    games = "how many (default: 100; 1 with --watch or --replay)"
    command.add_argument("--games", type=at_least_one, metavar="N", help=games)
    command.add_argument(
        "--processes", type=at_least_one, default=1, metavar="N", help="programs side by side (default: 1)"
    )
    command.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="decides what the agent samples (default: 0)"
    )
    command.add_argument("--argmax", action="store_true", help="take the likeliest action instead of a sampled one")
    add_simulations(command, "search before each action, with this many simulations")
    command.add_argument("--watch", action="store_true", help="show a game, and what the agent thinks")
    command.add_argument(
        "--delay", type=seconds, default=0.5, metavar="S", help="seconds before each action of --watch (default: 0.5)"
    )
    command.add_argument("--replay", type=path, metavar="FILE", help="write a page that plays the first game")
    command.add_argument("--check", action="store_true", help="hold every step against the simulator")


def run(options: argparse.Namespace) -> int:
    """Let an agent play the original game, and compare it with its games here."""
    try:
        from hackmatrix_core.environment.original.check import Difference
        from hackmatrix_core.environment.original.env import HackMatrixOriginal
    except ImportError as error:
        raise UserError("the original is played through gymnasium: pip install 'gymnasium>=1.1'") from error
    games = options.games or (1 if options.watch or options.replay else 100)
    check_evaluation(games, options.simulations)
    count = min(options.processes, games)
    envs = [HackMatrixOriginal(options.program, check=options.check) for _ in range(count)]
    try:
        _play(options, envs, games)
    except Difference as difference:
        _DIFFERENCE.write_text(json.dumps(difference.report, indent=1))
        print(f"\nstate, action and what came {_DIFFERENCE}", file=sys.stderr)
        raise
    finally:
        for env in envs:
            env.close()
    return 0


def _play(options: argparse.Namespace, envs: "list[HackMatrixOriginal]", games: int) -> None:
    from hackmatrix_core import evaluation
    from hackmatrix_core.playing.original import play_original
    from hackmatrix_core.viewing.waiting import Waiting

    policy = playing_policy(options.agent, argmax=options.argmax, simulations=options.simulations)
    key = jax.random.key(options.seed)
    begin = time.perf_counter()

    def looked(episodes: "Iterator[Episode]") -> "Iterator[Episode]":
        for number, episode in enumerate(episodes):
            if number == 0 and options.replay:
                _save(episode, options.replay, f"{options.agent} in the original")
            if games == 1:
                print(f"{len(episode)} actions, final stage {episode.final_stage}, return {episode.total_reward:+.2f}")
            if line:
                line.reached(number + 1, games)
            yield episode

    look = _Watching(options.delay) if options.watch else None
    with contextlib.nullcontext() if look else Waiting("playing in the original") as line:
        there = evaluation.of_games(looked(play_original(policy, envs, games, key, look)), policy)
    took, steps = time.perf_counter() - begin, int(there.length.sum())
    if options.check:
        print(f"{steps:,} steps held against the simulator: no difference")
    if games == 1:
        return
    print(f"{games} games in the original in {took:.0f} s: {steps:,} actions")
    print(f"playing {games} games here…", flush=True)
    with Waiting("playing here") as line:
        here = evaluation.compare({"here": policy}, key, games, progress=line.reached)
    evaluation.table({"in the original": there} | here, apart=True).print()


class _Watching:
    """Shows each state with what the agent thinks, and leaves time to look at it."""

    def __init__(self, delay: float) -> None:
        self._delay = delay

    def __call__(self, state: GameState, decided: dict[str, Any]) -> None:
        from hackmatrix_core.viewing.board.text import text

        if sys.stdout.isatty():
            print("\033[H\033[2J", end="")
        print(text(state, color=sys.stdout.isatty(), legend=False))
        print(_thoughts(decided), flush=True)
        time.sleep(self._delay)


def _thoughts(decided: dict[str, Any]) -> str:
    """What the agent does next and thinks, in two lines."""
    from hackmatrix_core.viewing.actions import ACTIONS

    line = f"next: {ACTIONS[int(decided['actions'])].name}"
    if "values" in decided:
        line += f"   value {float(decided['values']):+.2f}"
    chances, by = decided.get("probabilities"), ""
    if "thoughts" in decided:
        chances, by = decided["thoughts"].policy, f" after a search worth {float(decided['thoughts'].value):+.2f}"
    if chances is None:
        return line
    likeliest = [i for i in np.argsort(-chances)[:_LIKELIEST] if decided["action_masks"][i]]
    return f"{line}{by}\n" + "   ".join(f"{ACTIONS[i].name} {chances[i]:.0%}" for i in likeliest)


def _save(episode: "Episode", out: str, title: str) -> None:
    from hackmatrix_core.viewing.replay import replay

    try:
        print(f"replay {replay(episode, title).save(out)}")
    except OSError as error:
        raise UsageError(f"--replay {out} cannot be written: {error.strerror}") from error
