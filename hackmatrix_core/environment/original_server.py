"""The simulator in the original's place: `hackmatrix-headless` speaks the original's protocol.

One JSON object a line on stdin, one on stdout for each: `reset`, `step`, `getValidActions`, `getActionSpace`,
`getObservationSpace`, `setState`, `getInternalState`. Where the original crashes, an error answers.
"""

import dataclasses
import json
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.environment import original_wire as wire
from hackmatrix_core.game import actions, board, cell, entity, history
from hackmatrix_core.game.rewards import REWARD_PARTS
from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH, NUM_CELLS, GameState
from hackmatrix_core.game.step import Outcome, get_valid_actions, reset, step

UNDO_DEPTH = 4 * DEFAULT_UNDO_DEPTH
_LOG = logging.getLogger("hackmatrix-headless")
_NUMBERS = tuple(
    field.name
    for field in dataclasses.fields(GameState)
    if field.name not in ("cells", "entities", "history", "history_start", "history_length")
)
_DTYPES = {"programs": np.uint32, "show": np.bool_, "calm": np.bool_, "step": np.bool_}
_FLAGS = ("terminated", "died", "invalid", "stage_completed")
_INVALID = {"error": "Invalid command"}


def _watched(state: GameState) -> GameState:
    """The state with each enemy's place noted where it is seen, and where it came in."""
    words = state.entities
    at = entity.CELL.get(words)
    in_line = (board.row_of(at) == board.row_of(state.position)) | (board.col_of(at) == board.col_of(state.position))
    is_seen = (entity.TYPE.get(words) != entity.CRYPTOG) | state.show | in_line | ~entity.SEEN.test(words)
    noted = is_seen & (entity.KIND.get(words) == entity.ENEMY)
    return dataclasses.replace(state, entities=jnp.where(noted, entity.SEEN.replace(words, at + 1), words))


def _report(state: GameState) -> jax.Array:
    """What the server tells of a state, as one array: cells, entities, numbers, the set of valid actions."""
    valid = jnp.sum(get_valid_actions(state).astype(jnp.uint32) << np.arange(actions.NUM_ACTIONS, dtype=np.uint32))
    numbers = [getattr(state, name).astype(jnp.uint32) for name in _NUMBERS]
    return jnp.concatenate([state.cells, state.entities, jnp.stack([*numbers, valid])])


@jax.jit
def _start(seed: jax.Array) -> tuple[GameState, jax.Array]:
    state = _watched(reset(jax.random.key(seed), UNDO_DEPTH))
    return state, _report(state)


@jax.jit
def _look(state: GameState) -> tuple[GameState, jax.Array]:
    state = _watched(state)
    return state, _report(state)


def _step(state: GameState, action: jax.Array, seed: jax.Array) -> tuple[GameState, jax.Array]:
    state, outcome = step(state, action, jax.random.key(seed))
    state = _watched(state)
    flags = jnp.stack([getattr(outcome, name).astype(jnp.uint32) for name in _FLAGS])
    parts = jnp.stack([outcome.reward_parts[name] for name in REWARD_PARTS])
    return state, jnp.concatenate([_report(state), flags, jax.lax.bitcast_convert_type(parts, jnp.uint32)])


_step = jax.jit(_step, donate_argnums=0)


class Server:
    """Answers commands, as the original does. Games are drawn from `seed`."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = np.random.default_rng(seed)
        self._state: GameState | None = None
        self._game: dict[str, Any] = {}
        self._owned: list[int] = []

    def answer(self, line: str) -> str:
        """The answer to one line, as one line."""
        try:
            command = json.loads(line, parse_constant=float.fromhex)
        except (ValueError, RecursionError):
            command = None
        return json.dumps(self._answer(command), separators=(",", ":"))

    def _answer(self, command: Any) -> dict[str, Any]:
        try:
            if not isinstance(command, dict) or not isinstance(command.get("action"), str):
                raise TypeError
            given, number = command.get("state"), command.get("actionIndex")
            state = None if given is None else wire.read_state(given)
            index = None if number is None else wire._integer(number)
        except TypeError:
            return _INVALID
        except ValueError as error:
            return {"error": str(error)}
        match command["action"]:
            case "reset":
                self._state, report = _start(self._seed())
                self._read(report, [])
                return {"observation": self._observation()}
            case "step" if index is None:
                return {"error": "Missing actionIndex"}
            case "step" if self._state is None:
                return {"error": "There is no game. Send reset or setState before step"}
            case "step" if not 0 <= index < actions.NUM_ACTIONS:
                return {"error": f"actionIndex is {index}, expected 0 to {actions.NUM_ACTIONS - 1}"}
            case "step":
                return self._step(index)
            case "getValidActions":
                return {"validActions": [i for i in range(actions.NUM_ACTIONS) if self._game.get("valid", 0) >> i & 1]}
            case "getActionSpace":
                return wire.ACTION_SPACE
            case "getObservationSpace":
                return wire.OBSERVATION_SPACE
            case "setState" if state is None:
                return {"error": "Missing state data for setState command"}
            case "setState":
                self._set(*state)
                return {"observation": self._observation()}
            case "getInternalState":
                return wire.internal_state(self._game) if self._state is not None else wire.NO_GAME
            case name:
                return {"error": f"Unknown command: {name}"}

    def _seed(self) -> np.uint32:
        return self._random.integers(2**32, dtype=np.uint32)

    def _observation(self) -> dict[str, Any]:
        return wire.observation(self._game, self._owned)

    def _set(self, game: dict[str, Any], owned: list[int]) -> None:
        arrays: dict[str, Any] = {name: _DTYPES.get(name, np.int32)(game[name]) for name in _NUMBERS}
        arrays |= {name: np.array(game[name], np.uint32) for name in ("cells", "entities")}
        self._state, report = _look(GameState(**arrays, **history.from_snapshots([], UNDO_DEPTH)))
        self._read(report, owned)

    def _step(self, index: int) -> dict[str, Any]:
        before = self._game
        self._state, report = _step(self._state, np.int32(index), self._seed())
        rest = self._read(report, self._owned + _siphoned_around(before))
        flags = dict(zip(_FLAGS, rest, strict=False))
        parts = np.array(rest[len(_FLAGS) :], np.uint32).view(np.float32).tolist()
        named = dict(zip(REWARD_PARTS, map(_number, parts), strict=True))
        names = {"invalid": "invalid_action", "died": "death", "stage_completed": "stage_complete"}
        return {
            "observation": self._observation(),
            "reward": _number(sum(named.values())),
            "done": bool(flags["terminated"]),
            "info": {"reward_breakdown": {theirs: named[ours] for ours, theirs in wire.REWARD_NAMES.items()}}
            | {theirs: True for ours, theirs in names.items() if flags[ours]},
        }

    def _read(self, report: jax.Array, programs: Sequence[int]) -> list[int]:
        """Keep what the report tells; `programs` in the order of their coming, some perhaps not owned."""
        words = np.asarray(report).tolist()
        numbers = dict(zip((*_NUMBERS, "valid"), words[2 * NUM_CELLS :], strict=False))
        self._game = {"cells": words[:NUM_CELLS], "entities": words[NUM_CELLS : 2 * NUM_CELLS], **numbers}
        owned = self._game["programs"]
        self._owned = [number for number in dict.fromkeys(programs) if owned >> (number - actions.FIRST_PROGRAM) & 1]
        return words[2 * NUM_CELLS + len(numbers) :]


def _siphoned_around(game: dict[str, Any]) -> list[int]:
    """The actions of the programs that a siphon would give, in its order."""
    row, col = divmod(game["position"], 6)
    near = [(row, col), (row + 1, col), (row - 1, col), (row, col - 1), (row, col + 1)]
    words = [game["cells"][r * 6 + c] for r, c in near if 0 <= r < 6 and 0 <= c < 6]
    return [
        cell.BLOCK_VALUE.of(word) + actions.FIRST_PROGRAM
        for word in words
        if cell.CONTENT.of(word) == cell.PROGRAM_BLOCK
    ]


def _number(value: float) -> float | int:
    """A reward as the original writes it: all of them are multiples of 0.005."""
    value = round(value, 3)
    return int(value) if value == int(value) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve stdin until it ends, and return the exit code."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints goes to the log
    server = Server()
    try:
        for line in sys.stdin.buffer:
            answers.write(server.answer(line.decode("utf-8", "replace")).encode() + b"\n")
            answers.flush()
    except BrokenPipeError:
        pass
    return 0
