"""Where a policy loses its games: the stage, who strikes, what is left unused, and from how far back a search wins.

    python -m tests.tools.lost_games pretrained --games 1000 --simulations 512 --searched 200

Plays until so many games are lost, then lets a search go on from some actions before the end of a few of them. Where it
wins from shortly before the end, the last actions were mistakes; where it does not, the game was lost earlier.
docs/experiments.md has what it found.
"""

import argparse
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import hackmatrix_core as hm
from hackmatrix_core.agent.policy import as_pytree, as_taken
from hackmatrix_core.game import GameState, entity
from hackmatrix_core.game.actions import ACTION_NAMES, FIRST_PROGRAM, SIPHON
from hackmatrix_core.game.entity import ENEMY_NAMES
from hackmatrix_core.game.state import BOARD_SIZE
from hackmatrix_core.game.step import compact_observation
from hackmatrix_core.game.vectorization.backend import compiler_options
from hackmatrix_core.viewing.tables import Table

LONGEST = 600
"""Actions. Games that take longer are left out: one in a hundred."""
SIDE_BY_SIDE = 256
DEPTH = 8
BACK = (1, 2, 4, 8, 16, 32)
GOES_ON = 200
"""Actions, at most, of a game that goes on."""
ORIGINS = ("from the start of the stage", "from a siphon", "by the schedule")


class Games(NamedTuple):
    """Lost games, a leading axis each."""

    key: Any  # decides the game
    actions: Any  # int32 (LONGEST,)
    length: Any  # () int32
    won: Any  # () bool
    died: Any  # () bool
    last: GameState  # the state before the last action
    strikers: Any  # int32 (4, 3), who took hit points, by type and origin
    hits: Any  # () int32, taken in the game


def seen_by(policy: Any, state: GameState) -> Any:
    """The observation as the policy takes it."""
    return as_taken(policy, compact_observation(state))


def beside_and_able(words: jax.Array, place: jax.Array) -> jax.Array:
    """Which entities stand beside a cell and can strike: bool (36,)."""
    at = entity.CELL.get(words).astype(jnp.int32)
    rows, cols = jnp.abs(at // BOARD_SIZE - place // BOARD_SIZE), jnp.abs(at % BOARD_SIZE - place % BOARD_SIZE)
    able = (entity.STUNNED.get(words) == 0) & (entity.TIMER.get(words) == 0)
    return (rows + cols == 1) & (entity.KIND.get(words) == entity.ENEMY) & able


def strikers(state: GameState) -> jax.Array:
    """The enemies that stand beside the player and can strike, by type and origin: int32 (4, 3)."""
    words = state.entities
    can = beside_and_able(words, state.position)
    origin = entity.FROM_SIPHON.get(words) + 2 * entity.SCHEDULED.get(words)
    kinds = entity.TYPE.get(words)[:, None, None] == np.arange(4, dtype=np.uint32)[None, :, None]
    origins = origin[:, None, None] == np.arange(3, dtype=np.uint32)[None, None]
    return jnp.sum(can[:, None, None] & kinds & origins, axis=0, dtype=jnp.int32)


def after(game: Games) -> GameState:
    """The state after the last action."""
    _, step_key = jax.random.split(jax.random.fold_in(game.key, game.length - 1))
    return hm.step(game.last, game.actions[game.length - 1], step_key)[0]


def ends_by_an_unseen(game: Games) -> jax.Array:
    """Whether a cryptog strikes after the last action that was not seen before it (R1.5): () bool."""
    before, now = game.last, after(game)
    words, place = now.entities, before.position
    at = entity.CELL.get(words).astype(jnp.int32)
    unseen = (at // BOARD_SIZE != place // BOARD_SIZE) & (at % BOARD_SIZE != place % BOARD_SIZE) & ~before.show
    stood = jnp.isin(words, before.entities)  # who strikes has not moved (R6.2)
    strikes = stood & beside_and_able(words, now.position) & (entity.TYPE.get(words) == entity.CRYPTOG)
    return jnp.any(strikes & unseen)


def play(policy: Any, key: jax.Array) -> Games:
    """One game."""

    def act(carry: Any, time: jax.Array) -> Any:
        state, last, over, won, died, hits, who = carry
        policy_key, step_key = jax.random.split(jax.random.fold_in(key, time))
        action = policy(state, seen_by(policy, state), hm.get_valid_actions(state), policy_key).astype(jnp.int32)
        new, outcome = hm.step(state, action, step_key)
        hit = ~over & (new.hp < state.hp)
        who = who + jnp.where(hit, strikers(new), 0)
        hits = hits + jnp.where(hit, state.hp - new.hp, 0)
        last, state = jax.tree.map(lambda kept, x: jnp.where(over, kept, x), (last, state), (state, new))
        won, died = won | (~over & outcome.won), died | (~over & outcome.died)
        return (state, last, over | outcome.terminated, won, died, hits, who), (action, ~over)

    start, no, zero = hm.reset(jax.random.fold_in(key, LONGEST), DEPTH), jnp.bool_(False), jnp.int32(0)
    carry = start, start, no, no, no, zero, jnp.zeros((4, 3), jnp.int32)
    (_, last, _, won, died, hits, who), (actions, counts) = jax.lax.scan(act, carry, jnp.arange(LONGEST))
    return Games(key, actions, jnp.sum(counts, dtype=jnp.int32), won, died, last, who, hits)


def back(game: Games, count: jax.Array) -> GameState:
    """The state so many actions before the end."""

    def act(time: jax.Array, state: GameState) -> GameState:
        _, step_key = jax.random.split(jax.random.fold_in(game.key, time))
        new, _ = hm.step(state, game.actions[time], step_key)
        return jax.tree.map(lambda kept, x: jnp.where(time < game.length - count, x, kept), state, new)

    return jax.lax.fori_loop(0, LONGEST, act, hm.reset(jax.random.fold_in(game.key, LONGEST), DEPTH))


def go_on(policy: Any, states: GameState, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Which games a policy wins from here, and which it has not ended: bool (N,) each."""
    keys = jax.random.split(key, len(states.hp))

    def unfinished(carry: Any) -> jax.Array:
        return jnp.any(~carry[1]) & (carry[3] < GOES_ON)

    def act(carry: Any) -> Any:
        states, over, won, time = carry
        now = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, time)))(keys)
        observations, masks = (
            jax.vmap(functools.partial(seen_by, policy))(states),
            jax.vmap(hm.get_valid_actions)(states),
        )
        actions = jax.vmap(policy)(states, observations, masks, now[:, 0]).astype(jnp.int32)
        new, outcome = jax.vmap(hm.step)(states, actions, now[:, 1])
        return new, over | outcome.terminated, won | (~over & outcome.won), time + 1

    none = jnp.zeros(len(keys), bool)
    _, over, won, _ = jax.lax.while_loop(unfinished, act, (states, none, none, jnp.int32(0)))
    return won, ~over


def compiled(function: Any) -> Any:
    """Compiled as users' programs are."""
    return jax.jit(function, compiler_options=compiler_options())


def lost_games(policy: Any, number: int, key: jax.Array) -> tuple[Games, int]:
    """So many lost games, and how many had to be played."""
    run, found, played = compiled(jax.vmap(play, (None, 0))), [], 0
    while sum(len(games.length) for games in found) < number:
        games = run(policy, jax.random.split(jax.random.fold_in(key, played), SIDE_BY_SIDE))
        lost = np.flatnonzero(games.died)
        found.append(jax.tree.map(lambda x, lost=lost: x[lost], games))
        played += SIDE_BY_SIDE
        print(f"{sum(len(games.length) for games in found)} of {played} games are lost", flush=True)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[:number], *found), played


def describe(games: Games) -> None:
    """Print what the lost games have in common."""
    count, last = len(games.length), jax.device_get(games.last)
    stages = np.bincount(last.stage, minlength=9)[1:]
    print(Table([("stage", *map(str, range(1, 9))), ("games lost", *(f"{n / count:.0%}" for n in stages))]))
    who = np.asarray(games.strikers).sum(0)
    print("\nwho stood beside the player as it lost hit points")
    rows = [(name, *(f"{n / who.sum():.0%}" for n in counts)) for name, counts in zip(ENEMY_NAMES, who, strict=True)]
    print(Table([("", *ORIGINS), *rows]))
    by_unseen = np.asarray(jax.jit(jax.vmap(ends_by_an_unseen))(games))
    print(f"\nthe last blow comes from a cryptog that was not seen: {by_unseen.mean():.1%}")
    masks = np.asarray(jax.jit(jax.vmap(hm.get_valid_actions))(games.last))
    programs = masks[:, FIRST_PROGRAM:]
    print("\nbefore the last action")
    print(
        Table(
            [
                ("", "games"),
                *((f"{hp} hp left", f"{np.mean(last.hp == hp):.0%}") for hp in (1, 2, 3)),
                ("a program could be run", f"{programs.any(1).mean():.0%}"),
                *(
                    (f"  {ACTION_NAMES[FIRST_PROGRAM + i]}", f"{programs[:, i].mean():.0%}")
                    for i in np.argsort(-programs.mean(0))[:8]
                ),
                ("a data siphon was left", f"{masks[:, SIPHON].mean():.0%}"),
                ("5 credits and 5 energy or more", f"{np.mean((last.credits >= 5) & (last.energy >= 5)):.0%}"),
            ]
        )
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agent", help="pretrained, pretrained-points, or a run directory")
    parser.add_argument("--games", type=int, default=1000, help="lost games (default: 1000)")
    parser.add_argument("--searched", type=int, default=200, help="those that go on with a search (default: 200)")
    parser.add_argument("--simulations", type=int, default=512, help="of the search (default: 512)")
    parser.add_argument("--boards", type=int, default=3, help="boards to show (default: 3)")
    options = parser.parse_args()
    policy = as_pytree(hm.load_policy(options.agent))
    games, played = lost_games(policy, options.games, jax.random.key(0))
    print(f"{played} games were played\n")
    describe(games)
    some = jax.tree.map(lambda x: x[: options.searched], games)
    rewind, on = compiled(jax.vmap(back, (0, None))), compiled(go_on)
    search = hm.SearchPolicy(policy, options.simulations)
    print(f"\n{len(some.length)} of them go on")
    wins = {}
    for count in BACK:
        states = rewind(some, jnp.int32(count))
        told = []
        for player in (policy, search):
            wins[count], unfinished = map(np.asarray, on(player, states, jax.random.key(count)))
            won = wins[count].mean()
            error = 100 * np.sqrt(won * (1 - won) / len(wins[count]))
            told.append(f"{won:.1%} ± {error:.1f} ({unfinished.mean():.1%} not over)")
        print(
            f"{count} actions before the end: the policy wins {told[0]}, a search of {options.simulations} simulations "
            f"{told[1]}",
            flush=True,
        )
    earliest = np.array([next((c for c in BACK if wins[c][i]), 0) for i in range(len(some.length))])
    for count, number in zip(*np.unique(earliest, return_counts=True), strict=True):
        print(f"won first from {count or 'no'} actions before the end: {number / len(earliest):.1%}")
    for i in np.flatnonzero(earliest == 1)[: options.boards]:
        game = jax.tree.map(lambda x, i=i: x[i], some)
        board = hm.rendering.text(game.last, color=False, legend=False)
        print(f"\nbefore {ACTION_NAMES[int(game.actions[game.length - 1])]}\n{board}")


if __name__ == "__main__":
    main()
