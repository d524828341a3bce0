"""Agents play in a cell, which tells how far they are."""

import itertools
import sys
from collections.abc import Mapping

import jax

from hackmatrix_core import evaluation
from hackmatrix_core.agent.policy import NetworkPolicy, Policy
from hackmatrix_core.agent.search import SearchPolicy
from hackmatrix_core.environment.gymnax_env import MAX_ACTIONS
from hackmatrix_core.notebook.settings import SMOKE, NotebookStop
from hackmatrix_core.viewing import recording
from hackmatrix_core.viewing.waiting import Waiting

SIMULATOR = [sys.executable, "-c", "import sys; from hackmatrix_command import headless; sys.exit(headless())"]
"""The script hackmatrix-headless, also where it is not on the PATH."""
_COMPILING = "compiling first, about half a minute the first time"


def compare(policies: Mapping[str, Policy], key: jax.Array, num_games: int = 200) -> dict[str, evaluation.Evaluation]:
    """`evaluation.compare`, with a line that tells how far it is."""
    games = min(num_games, 4) if SMOKE else num_games
    with Waiting(f"playing {games} games with {', '.join(policies)}", _COMPILING) as line:
        return evaluation.compare(policies, key, games, progress=line.reached)


def record(policy: Policy, key: jax.Array) -> recording.Episode:
    """`hm.record`, with a line that tells how far it is."""
    with Waiting("recording a game", _COMPILING) as line:
        return recording.record(policy, key, 20 if SMOKE else MAX_ACTIONS, progress=line.reached)


def record_original(policy: Policy, program: str, key: jax.Array) -> recording.Episode:
    """A game in the original's program; with an empty path in the simulator, which speaks its protocol."""
    from hackmatrix_core.environment.original.env import HackMatrixOriginal
    from hackmatrix_core.playing.original import play_original

    env = HackMatrixOriginal(program or SIMULATOR, max_steps=20 if SMOKE else MAX_ACTIONS)
    try:
        with Waiting("playing in the original", _COMPILING) as line:
            steps = itertools.count(1)
            (episode,) = play_original(policy, [env], 1, key, lambda *_: line.reached(next(steps)))
        return episode
    finally:
        env.close()


def with_and_without_search(network: NetworkPolicy, *simulations: int) -> dict[str, Policy]:
    """The network alone, and as an `hm.SearchPolicy` with each number of simulations.

    Raises:
        NotebookStop: it cannot search so.
    """
    try:
        searches = {f"{n} simulations": SearchPolicy(network, num_simulations=2 if SMOKE else n) for n in simulations}
    except (TypeError, ValueError) as error:
        raise NotebookStop(str(error)) from None
    return {"network alone": network, **searches}
