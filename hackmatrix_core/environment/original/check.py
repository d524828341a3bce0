"""Each step of the original held against the simulator."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.environment.original.belief import Belief
from hackmatrix_core.environment.original.program import OriginalError
from hackmatrix_core.environment.original.reading import Step, Told
from hackmatrix_core.game import entity, get_valid_actions, reset, scenario, step
from hackmatrix_core.game.actions import ACTION_NAMES
from hackmatrix_core.game.observation import CELL_VALUES, CHANNEL_NAMES, OBSERVATION_SIZE
from hackmatrix_core.game.state import MAX_ENTITIES, NUM_CELLS, GameState
from hackmatrix_core.game.step import compact_observation

KEYS = 64
"""The simulator's outcomes are drawn so many at a time."""
ROUNDS = 256
"""Draws, at most."""
CROWD = 5
"""So many enemies move and change in more ways than the draws find. Then each of them has to be among the outcomes."""
_WHOLE = "all"
_FIRST_CELL = OBSERVATION_SIZE - NUM_CELLS * CELL_VALUES
_TRANSMISSION = CHANNEL_NAMES.index("transmission")
_GROUND = np.array([i for i, name in enumerate(CHANNEL_NAMES) if i >= 7 and name != "transmission"])
"""The values of a cell that tell of the cell and not of who is on it."""
_KINDS = ["data_block", "program_block", "hidden_block", "data_siphon", "exit"]
_KIND = np.array([CHANNEL_NAMES.index(name) for name in _KINDS])
_OBSERVED = ("credits", "energy", "score", "data_siphons", "attack", "turn")
_NUMBERS = (*_OBSERVED, "interval", "next_turn", "pending_spawns")


class Difference(OriginalError):
    """The original and the simulator differ. `report`, for JSON: `differs`, `scenario` (R12), `action`, `original`."""

    def __init__(self, differs: str, state: GameState | None, action: int | None, came: Any) -> None:
        self.report = {
            "differs": differs,
            "scenario": None if state is None else scenario.to_dict(state),
            "action": None if action is None else ACTION_NAMES[action],
            "original": came,
        }
        what = "a new game" if action is None else f"the action {ACTION_NAMES[action]}"
        super().__init__(f"the original and the simulator differ after {what}: {differs}")


class _Outcome(NamedTuple):
    """What can be compared of a state: of K simulated ones with a leading axis."""

    compact: Any  # uint8 (1545,)
    enemies: Any  # uint32 (36,), packed words, sorted
    numbers: Any  # int32 (9,), `_NUMBERS`
    reward: Any  # () float32
    ended: Any  # () bool


def check_start(answer: dict[str, Any], belief: Belief, told: Told, mask: np.ndarray) -> None:
    """Hold a new game against those of the simulator.

    Raises:
        Difference: it is not among them.
    """
    _check_kept(belief, None, told, mask, answer)
    came = _came(told, 0.0, ended=False)
    differs = _missing(_starts, came, np.zeros(NUM_CELLS, bool), generated=True)
    if differs:
        raise Difference(differs, belief.state(), None, answer)


def check_step(
    was: Belief, action: int, happened: Step, answer: dict[str, Any], belief: Belief, told: Told, mask: np.ndarray
) -> None:
    """Hold what an action brought against what the simulator makes of it with many keys.

    Args:
        was: the belief before it, with what has come out since.
        action: a valid one.
        happened: as `read_step` gives it.
        answer: to the step, for the report.
        belief: the one after it.
        told: what the original tells now.
        mask: bool (28,), what it says is valid now.

    Raises:
        Difference: the mask or the observation of the state that is kept differ, or the outcome is not among the
            simulator's.
    """
    if not happened.terminated:
        _check_kept(belief, (was, action), told, mask, answer)
    before, keys_of = was.state(undo_depth=1), np.int32(action)

    def outcomes(keys: jax.Array) -> _Outcome:
        return _steps(before, *was.variants(KEYS), keys_of, keys)

    came = _came(told, happened.reward, happened.terminated)
    words = np.asarray(before.entities).tolist()
    places = [entity.CELL.of(word) for word in words if entity.KIND.of(word) == entity.TRANSMISSION]
    had_transmission = np.isin(np.arange(NUM_CELLS), places)
    generated = happened.completed and not happened.won
    if differs := _missing(outcomes, came, had_transmission, generated):
        raise Difference(differs, was.state(), action, answer)


@jax.jit
def _starts(keys: jax.Array) -> _Outcome:
    return jax.vmap(lambda key: _of(reset(key, 1), jnp.float32(0), jnp.bool_(False)))(keys)


@jax.jit
def _steps(state: GameState, cells: jax.Array, entities: jax.Array, action: jax.Array, keys: jax.Array) -> _Outcome:
    def one(cells: jax.Array, entities: jax.Array, key: jax.Array) -> _Outcome:
        new, outcome = step(dataclasses.replace(state, cells=cells, entities=entities), action, key)
        return _of(new, outcome.reward, outcome.terminated)

    return jax.vmap(one)(cells, entities, keys)


@jax.jit
def _look(state: GameState) -> tuple[jax.Array, jax.Array]:
    return compact_observation(state), get_valid_actions(state)


def _of(state: GameState, reward: jax.Array, ended: jax.Array) -> _Outcome:
    enemies = jnp.sort(jnp.where(entity.KIND.get(state.entities) == entity.ENEMY, state.entities, 0))
    numbers = jnp.stack([getattr(state, name).astype(jnp.int32) for name in _NUMBERS])
    return _Outcome(compact_observation(state), enemies, numbers, reward, ended)


def _came(told: Told, reward: float, ended: bool) -> _Outcome:
    enemies = np.sort(np.array([*told.enemies, *[0] * (MAX_ENTITIES - len(told.enemies))], np.uint32))
    numbers = np.array([told.numbers.get(name, 0) for name in _NUMBERS], np.int32)
    return _Outcome(told.compact, enemies, numbers, np.float32(reward), np.bool_(ended))


def _check_kept(belief: Belief, after: tuple[Belief, int] | None, told: Told, mask: np.ndarray, came: Any) -> None:
    """The mask and the observation of the state that is kept are those of the original."""
    compact, valid = jax.device_get(_look(belief.state(undo_depth=1)))
    differs = []
    if places := np.flatnonzero(compact != told.compact).tolist():
        differs.append(f"the observation, at {places[:10]}")
    if wrong := [name for name, ours, theirs in zip(ACTION_NAMES, valid, mask, strict=True) if ours != theirs]:
        differs.append(f"whether these are valid: {', '.join(wrong)}")
    if differs:
        state, action = (after[0].state(), after[1]) if after else (belief.state(), None)
        raise Difference(
            f"the state that follows from the game so far differs in {' and '.join(differs)}", state, action, came
        )


def _missing(
    outcomes: Callable[[jax.Array], _Outcome], came: _Outcome, had_transmission: np.ndarray, generated: bool
) -> str | None:
    """What of the outcome none of the simulator's has, in a sentence; None if nothing is missing.

    New transmissions and new boards come in too many ways: each of their parts has to be among those of the outcomes.

    Args:
        outcomes: K outcomes for K keys.
        came: the outcome.
        had_transmission: (36,) bool, the cells where a transmission was before.
        generated: whether the board is new.
    """
    parts = _parts(jax.tree.map(lambda leaf: leaf[None], came), had_transmission, generated)
    seed = int(np.random.default_rng().integers(2**32))
    for number in range(ROUNDS):
        keys = jax.random.split(jax.random.key(seed + number), KEYS)
        found = _parts(jax.device_get(outcomes(keys)), had_transmission, generated)
        for name, rows in parts.items():
            parts[name] = rows[[not np.any(np.all(found[name] == row, axis=1)) for row in rows]]
        if not any(map(len, parts.values())):
            return None
    missing = [name for name, rows in parts.items() if len(rows) and name != _WHOLE]
    if not missing and np.count_nonzero(came.enemies) >= CROWD:
        return None
    return f"of {KEYS * ROUNDS:,} outcomes none has {' or '.join(missing) or _WHOLE} as it came"


def _parts(outcome: _Outcome, had_transmission: np.ndarray, generated: bool) -> dict[str, np.ndarray]:
    """What is compared, by name, of K outcomes: uint8 (R, W), each time R rows with W bytes."""
    count = len(outcome.compact)
    cells = outcome.compact[:, _FIRST_CELL:].reshape(count, NUM_CELLS, CELL_VALUES).copy()
    is_new = (cells[..., _TRANSMISSION] > 0) & ~had_transmission
    cells[is_new, _TRANSMISSION] = 0
    parts = {
        "the number of new transmissions": np.count_nonzero(is_new, axis=1)[:, None],
        "the place of a new transmission": np.argwhere(is_new)[:, 1:],
    }
    if generated:
        kinds, places = cells[..., _KIND], np.broadcast_to(np.arange(NUM_CELLS)[:, None], (count, NUM_CELLS, 1))
        parts["a cell"] = cells[..., _GROUND].reshape(-1, len(_GROUND))
        parts["what may be on a cell"] = np.concatenate([places, kinds], axis=-1).reshape(-1, 1 + len(_KIND))
        number = np.count_nonzero(kinds, axis=1)
        parts["the number of blocks, data siphons and exits"] = np.column_stack([number[:, :3].sum(1), number[:, 3:]])
        cells[..., _GROUND] = 0
    # Once a game is over, the original is not asked for more than the observation: for no type of who has just come.
    cells[:, had_transmission, : _GROUND[0]] *= ~outcome.ended[:, None, None]
    goes_on = ~outcome.ended[:, None]
    enemies = outcome.enemies * goes_on
    numbers = outcome.numbers * (goes_on | np.isin(_NUMBERS, _OBSERVED))
    reward = np.round(outcome.reward * 200).astype(np.int32)  # rewards are multiples of 0.005 (R10)
    of_player = _bytes(outcome.compact[:, :_FIRST_CELL], numbers, reward, outcome.ended)
    parts[_WHOLE] = _bytes(of_player, cells, enemies)
    cells[..., : _GROUND[0]] = 0
    parts["everything but the enemies"] = _bytes(of_player, cells)
    parts["an enemy"] = enemies.reshape(-1, 1)
    parts["the number of enemies"] = np.count_nonzero(enemies, axis=1)[:, None]
    return parts


def _bytes(*arrays: np.ndarray) -> np.ndarray:
    """The bytes of K entries of several arrays: uint8 (K, W)."""
    return np.concatenate([np.ascontiguousarray(x).reshape(len(x), -1).view(np.uint8) for x in arrays], axis=1)
