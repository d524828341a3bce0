"""The simulator in the original's place: the script `hackmatrix-headless` speaks the original's protocol.

For each line on stdin, a JSON object, there is one on stdout: `reset`, `step`, `getValidActions`, `getActionSpace`,
`getObservationSpace`, `setState`, `getInternalState`. Where the original's process would end, an error answers.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.environment.original import wire
from hackmatrix_core.game import actions, board, cell, entity, history, stage
from hackmatrix_core.game.rewards import REWARD_PARTS
from hackmatrix_core.game.state import BOARD_SIZE, MAX_ENTITIES, NUM_CELLS, GameState
from hackmatrix_core.game.step import advance, get_valid_actions

UNDO_DEPTH = 512
"""Snapshots kept. The original keeps all of a game."""
NEW_GAME, NOTHING = -2, -1
"""In place of an action: a new game, and the game as it is."""
_LOG = logging.getLogger("hackmatrix-headless")
_OPTIONS = {
    "--headless-cli": "as it always is here",
    "--visual-cli": "there is no window here; the protocol is the same",
    "--debug-scenario": "there is no such scenario here; reset starts a new game",
    "--info": "tell in the log when it is ready",
    "--debug": "log all commands and answers",
}
"""The flags of the original."""
_NUMBERS = tuple(
    field.name
    for field in dataclasses.fields(GameState)
    if field.name not in ("cells", "entities", "history", "history_start", "history_length")
)
_FLAGS = {"invalid": "invalid_action", "died": "death", "stage_completed": "stage_complete"}
"""What an outcome holds, and the original's name of it in `info`."""
_REPORTED = (*_NUMBERS, "valid", "terminated", *_FLAGS)
_BLANK = wire.read_command('{"action": "setState", "state": {"player": {"row": 0, "col": 0}}}').state or {}
_ACTION_BITS = np.uint32(1) << np.arange(actions.NUM_ACTIONS, dtype=np.uint32)
_WORDS = NUM_CELLS + MAX_ENTITIES


@functools.partial(jax.jit, donate_argnums=0)
def _act(state: GameState, action: jax.Array, seed: jax.Array) -> tuple[GameState, jax.Array]:
    """One action in one game.

    Args:
        state: the game, its enemies' fields `entity.SEEN` as this function leaves them.
        action: () int32, 0–27, `NEW_GAME` or `NOTHING`.
        seed: (2,) uint32.

    Returns:
        The game, and what there is to tell, as one array: cells, entities, the numbers of `_REPORTED` and the reward
        parts, int32.
    """
    # The game twice: in the second, each enemy's field tells where it comes from.
    marked = entity.SEEN.replace(state.entities, entity.CELL.get(state.entities) + 1)
    both = jax.tree.map(lambda x: jnp.stack([x, x], -1), history.with_newest(state))
    both = dataclasses.replace(both, entities=jnp.stack([state.entities, marked], -1))
    seeds = jnp.stack([seed, seed], -1)
    both, outcome, change = advance(both, jnp.stack([action, action]), seeds)
    came_from = entity.SEEN.get(both.entities[:, 1:]) - 1

    new, outcome, change, seed = jax.tree.map(lambda x: x[..., :1], (both, outcome, change, seeds))
    is_new = action == NEW_GAME
    new = jax.tree.map(lambda fresh, kept: jnp.where(is_new, fresh, kept), stage.new_games(seed), new)
    new = stage.enter(new, is_new | (outcome.stage_completed & ~outcome.won), seed)
    becomes_cryptog = (action == actions.POLY) & ~outcome.invalid
    new = _watched(new, came_from, change == history.Change.PUSH, becomes_cryptog)
    change = jnp.where(is_new, history.Change.CLEAR, change)
    new, outcome, change = jax.tree.map(lambda x: x[..., 0], (new, outcome, change))
    new = history.changed(new, state, change)
    valid = jnp.sum(jnp.where(get_valid_actions(new), _ACTION_BITS, np.uint32(0)))
    numbers = [getattr(new, name) for name in _NUMBERS] + [valid, outcome.terminated]
    numbers += [getattr(outcome, name) for name in _FLAGS]
    parts = jax.lax.bitcast_convert_type(outcome.reward_parts, jnp.int32)
    told = jnp.stack([number.astype(jnp.int32) for number in numbers])
    words = jnp.concatenate([new.cells, new.entities]).astype(jnp.int32)
    return new, jnp.concatenate([words, told, parts])


def _watched(state: GameState, came_from: jax.Array, ran: jax.Array, becomes_cryptog: jax.Array) -> GameState:
    """One game after a step, and with each enemy the cell where it was last seen, as the original hints at cryptogs.

    That is where it came in, where it became a cryptog, or where it last went to in the player's row or column.
    """
    words, at, position = state.entities, entity.CELL.get(state.entities), state.position[None]
    in_line = (board.row_of(at) == board.row_of(position)) | (board.col_of(at) == board.col_of(position))
    is_seen = ~entity.SEEN.test(words) | (ran[None] & (came_from != at) & in_line) | becomes_cryptog[None]
    noted = is_seen & (entity.KIND.get(words) == entity.ENEMY)
    return dataclasses.replace(state, entities=jnp.where(noted, entity.SEEN.replace(words, at + 1), words))


class Server:
    """Answers the commands of the original's protocol; the games are drawn from `seed`."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = np.random.default_rng(seed)
        self._state, _ = wire.read_state(_BLANK, UNDO_DEPTH)
        self._game: dict[str, Any] | None = None
        self._owned: list[int] = []
        self._play(NOTHING)  # compiles

    def answer(self, line: str) -> str:
        """The answer to one line, as one line."""
        try:
            answer = self._answer(wire.read_command(line))
        except wire.NotUnderstood as error:
            answer = {"error": str(error)}
        return json.dumps(answer, separators=(",", ":"))

    def _answer(self, command: wire.Command) -> dict[str, Any]:
        match command.action:
            case "reset":
                return {"observation": self._shown(self._play(NEW_GAME), [])}
            case "step":
                return self._step(command.action_index)
            case "getValidActions":
                valid = self._game["valid"] if self._game else 0
                return {"validActions": [i for i in range(actions.NUM_ACTIONS) if valid >> i & 1]}
            case "getInternalState":
                return wire.internal_state(self._game) if self._game else wire.NO_GAME
            case "getActionSpace":
                return wire.ACTION_SPACE
            case "getObservationSpace":
                return wire.OBSERVATION_SPACE
            case "setState":
                if command.state is None:
                    raise wire.NotUnderstood("Missing state data for setState command")
                self._state, owned = wire.read_state(command.state, UNDO_DEPTH)
                return {"observation": self._shown(self._play(NOTHING), owned)}
            case unknown:
                raise wire.NotUnderstood(f"Unknown command: {unknown}")

    def _step(self, index: int | None) -> dict[str, Any]:
        if index is None:
            raise wire.NotUnderstood("Missing actionIndex")
        if self._game is None:
            raise wire.NotUnderstood("There is no game to step: send reset or setState first")
        if not 0 <= index < actions.NUM_ACTIONS:
            raise wire.NotUnderstood(f"actionIndex is {index}, expected 0 to {actions.NUM_ACTIONS - 1}")
        around = _programs_around(self._game)
        words = self._play(index)
        observation = self._shown(words, self._owned + [number for number in around if number not in self._owned])
        parts = np.array(words[_WORDS + len(_REPORTED) :], np.int32).view(np.float32).tolist()
        rewards = dict(zip(REWARD_PARTS, map(wire.reward, parts), strict=True))
        breakdown = {theirs: rewards[ours] for ours, theirs in wire.REWARD_NAMES.items()}
        return {
            "observation": observation,
            "reward": wire.reward(sum(rewards.values())),
            "done": bool(self._game["terminated"]),
            "info": {theirs: True for ours, theirs in _FLAGS.items() if self._game[ours]}
            | {"reward_breakdown": breakdown},
        }

    def _play(self, action: int) -> list[int]:
        seed = self._random.integers(2**32, size=2, dtype=np.uint32)
        self._state, report = _act(self._state, np.int32(action), seed)
        return np.asarray(report).tolist()

    def _shown(self, words: list[int], programs: Sequence[int]) -> dict[str, Any]:
        """Keep the game that `_play` told of; its observation. `programs`: those that may be owned, as they came."""
        game = {"cells": words[:NUM_CELLS], "entities": words[NUM_CELLS:_WORDS]}
        self._game = game | dict(zip(_REPORTED, words[_WORDS:], strict=False))
        owned = self._game["programs"]
        self._owned = [number for number in programs if owned >> (number - actions.FIRST_PROGRAM) & 1]
        return wire.observation(self._game, self._owned)


def _programs_around(game: dict[str, Any]) -> list[int]:
    """The actions of the programs next to the player and under it, in the order in which a siphon takes them."""
    row, col = divmod(game["position"], BOARD_SIZE)
    around = ((row + down, col + right) for down, right in ((0, 0), *actions.DIRECTIONS.tolist()))
    words = [game["cells"][r * BOARD_SIZE + c] for r, c in around if 0 <= r < BOARD_SIZE and 0 <= c < BOARD_SIZE]
    programs = [word for word in words if cell.CONTENT.of(word) == cell.PROGRAM_BLOCK]
    return [cell.BLOCK_VALUE.of(word) + actions.FIRST_PROGRAM for word in programs]


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer stdin until it ends or nobody reads the answers, and return the exit code. The log goes to stderr."""
    parser = argparse.ArgumentParser(
        prog="hackmatrix-headless",
        description="HackMatrix by the protocol of the original: JSON objects, one a line, on stdin and on stdout.",
    )
    for flag, text in _OPTIONS.items():
        parser.add_argument(flag, action="store_true", help=text)
    options, others = parser.parse_known_args(arguments)
    logging.basicConfig(format="%(name)s: %(message)s")
    _LOG.setLevel(logging.DEBUG if options.debug else logging.INFO if options.info else logging.WARNING)
    for flag in ("visual_cli", "debug_scenario"):
        if getattr(options, flag):
            _LOG.warning(_OPTIONS["--" + flag.replace("_", "-")])
    if others:
        _LOG.warning("%s means nothing here", " ".join(others))
    answers = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    start = time.perf_counter()
    server = Server()
    _LOG.info("ready after %.1f s", time.perf_counter() - start)
    with contextlib.suppress(OSError):  # nobody reads
        for line in sys.stdin.buffer:
            command = line.decode(errors="replace").rstrip("\r\n")
            answer = server.answer(command)
            _LOG.debug("%s: %s", command, answer)
            unsent = answer.encode() + b"\n"
            while unsent:
                unsent = unsent[os.write(answers, unsent) :]
    return 0
