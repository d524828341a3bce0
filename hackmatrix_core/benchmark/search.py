"""How fast a search thinks, against the least time that it could take: the network's forward passes alone.

A search with n simulations looks at n + 1 states, one after the other, so its floor is as many forward passes of the
same batch. Both are timed in turn in one process, because machines are noisy and a ratio is not.
"""

import dataclasses
import statistics
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from hackmatrix_core import game
from hackmatrix_core.agent.policy import NetworkPolicy
from hackmatrix_core.agent.search import SearchPolicy
from hackmatrix_core.benchmark import machine
from hackmatrix_core.game.vectorization.backend import compiler_options
from hackmatrix_core.training.tuning import ENVIRONMENT, SEARCHED_STATE, check_memory
from hackmatrix_core.viewing.tables import Table

SIZES = (1, 128)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSpeed(machine.Measurement):
    """What was measured with one number of games side by side; times in seconds, medians of the repeats."""

    num_games: int
    num_simulations: int
    move: float  # for one move in all games
    floor: float  # for the network's forward passes of such a move
    over_floor: float  # the first divided by the second, median of the ratios


def measure_search(
    policy: NetworkPolicy, num_simulations: int, sizes: Sequence[int] = SIZES, repeats: int = 5
) -> Iterator[SearchSpeed]:
    """Measure a search from new games on one device (on a CPU, a program of small operations runs on about one core).

    Args:
        policy: of the network.
        num_simulations: of each search.
        sizes: numbers of games that are searched side by side.
        repeats: timed moves; the median counts.

    Yields:
        One `SearchSpeed` per size, as soon as it is measured.
    """
    for size in sizes:
        yield machine.in_own_process(_measure, policy, num_simulations, size, repeats)


def table(rows: Sequence[SearchSpeed]) -> Table:
    """The measurements as a table."""
    lines = [
        (
            f"{row.num_games:,}",
            f"{row.num_simulations:,}",
            f"{1000 * row.move:,.0f} ms",
            f"{row.num_games * row.num_simulations / row.move:,.0f}",
            f"{row.over_floor:.2f} ×",
            *row.costs(),
        )
        for row in rows
    ]
    return Table([("games", "simulations", "a move", "positions/s", "of the floor", *machine.COSTS), *lines])


def _measure(policy: NetworkPolicy, num_simulations: int, num_games: int, repeats: int) -> SearchSpeed:
    jax.config.update("jax_enable_compilation_cache", False)
    sizes = f"num_envs = {num_games} with {num_simulations} simulations"
    check_memory(sizes, num_games * (ENVIRONMENT + num_simulations * SEARCHED_STATE))
    keys = jax.random.split(jax.random.key(0), num_games)
    states = jax.jit(jax.vmap(game.reset), compiler_options=compiler_options())(keys)
    observations, masks = jax.vmap(game.observe)(states), jax.vmap(game.get_valid_actions)(states)

    def search(policy: NetworkPolicy, states: game.GameState, keys: jax.Array) -> jax.Array:
        return jax.vmap(SearchPolicy(policy, num_simulations))(states, observations, masks, keys)

    def forward(policy: NetworkPolicy, states: game.GameState, keys: jax.Array) -> jax.Array:
        def one_pass(_: jax.Array, total: jax.Array) -> jax.Array:
            # Each pass depends on the one before, so that none is optimised away.
            logits, values = policy.evaluate(observations + 1e-9 * total[:, None])
            return values + jnp.sum(logits, axis=1)

        return lax.fori_loop(0, num_simulations + 1, one_pass, jnp.zeros(num_games, jnp.float32))

    arguments = (policy, states, keys)
    think, floor = (jax.jit(function, compiler_options=compiler_options()) for function in (search, forward))
    program = machine.compiled(think.lower, *arguments)
    costs = program.costs(jax.devices()[:1])
    forward_passes = machine.compiled(floor.lower, *arguments)
    times = [
        [machine.timed(run, *arguments)[0] for run in (program.run, forward_passes.run)] for _ in range(repeats + 1)
    ]
    times = times[1:]  # the first warms up
    move, least = map(statistics.median, zip(*times, strict=True))
    return SearchSpeed(
        num_games=num_games,
        num_simulations=num_simulations,
        move=move,
        floor=least,
        over_floor=statistics.median(move / least for move, least in times),
        **costs,
    )
