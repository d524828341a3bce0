"""What an experienced player sees at a glance: facts that follow from one observation (R11), without any learning.

A network of dense layers is slow to learn what one look at the board shows: how far the exit is around the blocks,
which enemy an attack would hit, where the next enemies strike, what a siphon would bring. Here these are counted, once
per step, as small integers, which a rollout stores in place of the observation.

The game has no preferred side (except in ties, R1.1), so the board is seen in one of eight orientations: turned and
mirrored until the exit lies ahead (up) and not to the left, nearer to straight ahead than to the side. What is learned
in one corner then holds in all of them. Programs that tell rows from columns get their counts from the real board.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game import board, observation
from hackmatrix_core.game.actions import CREDITS, DIRECTIONS, ENERGY, NUM_PROGRAMS, PROGRAM_NAMES
from hackmatrix_core.game.observation import CELL_VALUES, OBSERVATION_SCALE, OBSERVATION_SIZE, PLAYER_VALUES
from hackmatrix_core.game.state import BOARD_SIZE, MAX_HP, NUM_CELLS, NUM_STAGES

BEHIND = 3
"""Rows and columns that are seen behind the player and to its left; ahead and to its right it is the whole board."""
VIEW = BEHIND + BOARD_SIZE
ORIENTATIONS = 8
FAR = 12
"""Steps that count as far: longer ways and cells that cannot be reached read the same."""
_PURSUIT = 6  # enemies are counted by their walking distance below this
_FEW = 10  # credits and energy are exact up to this
_PRICES = np.array([CREDITS, ENERGY], np.float32)

_CHANNEL = {name: i for i, name in enumerate(observation.CHANNEL_NAMES)}
_ENEMIES = slice(0, _CHANNEL["hp"])
_OF_ENEMIES = slice(0, _CHANNEL["data_block"])
_BLOCKS = slice(_CHANNEL["data_block"], _CHANNEL["points"])
_PROGRAMS = slice(_CHANNEL[PROGRAM_NAMES[0]], _CHANNEL["spawn"])

_ROW, _COL = np.divmod(np.arange(NUM_CELLS), BOARD_SIZE)
_RISE, _RUN = _ROW[None] - _ROW[:, None], _COL[None] - _COL[:, None]
_BESIDE = (np.abs(_RISE) + np.abs(_RUN) == 1).astype(np.float32)
_REACH = _BESIDE + np.eye(NUM_CELLS, dtype=np.float32)
_AROUND = ((np.maximum(np.abs(_RISE), np.abs(_RUN))) == 1).astype(np.float32)
_SAME_ROW, _SAME_COL = (_RISE == 0).astype(np.float32), (_RUN == 0).astype(np.float32)


class Percept(NamedTuple):
    """N observations as they are seen; small integers, whose scales are `CELL_SCALE` and `FACT_SCALE`."""

    cells: jax.Array
    """(N, 36, 51) uint8: the 42 values of R11, then what `_cell_facts` adds, by cell of the real board."""
    facts: jax.Array
    """(N, F) uint8: what concerns the player or the whole board."""
    pose: jax.Array
    """(N,) int32: orientation × 36 + the player's cell. Bits of the orientation: 1 rows and 2 columns are mirrored,
    then, 4, rows and columns are exchanged."""


def perceive(observations: jax.Array) -> Percept:
    """See observations: (N, 1545), uint8 as the environment packs them, or float32 (R11).

    Raises:
        ValueError: these are not observations of HackMatrix.
    """
    if observations.shape[-1] != OBSERVATION_SIZE:
        raise ValueError(
            f"observations have {observations.shape[-1]} numbers, expected {OBSERVATION_SIZE}: only the board of "
            "HackMatrix can be perceived. Set cell_dim to 0, or takes_percept to False, for another environment"
        )
    if observations.dtype != jnp.uint8:
        observations = jnp.round(observations / OBSERVATION_SCALE[None]).astype(jnp.uint8)
    player = observations[:, :PLAYER_VALUES].astype(jnp.float32)
    owned = observations[:, PLAYER_VALUES : PLAYER_VALUES + NUM_PROGRAMS].astype(jnp.float32)
    packed_cells = observations[:, PLAYER_VALUES + NUM_PROGRAMS :].reshape(-1, NUM_CELLS, CELL_VALUES)
    cells = packed_cells.astype(jnp.float32)

    row, col = (observations[:, i].astype(jnp.int32) for i in (0, 1))
    position = row * BOARD_SIZE + col
    here = jax.nn.one_hot(position, NUM_CELLS, dtype=jnp.float32)
    pose = _orientation(row, col, _channel(cells, "exit")) * NUM_CELLS + position

    added = _cell_facts(cells, here)
    facts = {
        **_player_facts(player, owned),
        "here": jnp.sum(here[..., None] * added, axis=1),
        **_ray_facts(cells, added, player, pose),
        **_board_facts(cells, added, here, owned, player),
        "seen_at": jax.nn.one_hot(_table(_SEEN_AT, pose)[:, 0], NUM_CELLS, dtype=jnp.float32),
    }
    seen_cells = jnp.concatenate([packed_cells, added.astype(jnp.uint8)], axis=-1)
    return Percept(seen_cells, jnp.concatenate([facts[name].astype(jnp.uint8) for name in _FACTS], axis=-1), pose)


def _orientation(row: jax.Array, col: jax.Array, exits: jax.Array) -> jax.Array:
    exit_cell = jnp.argmax(exits, axis=-1).astype(jnp.int32)
    rise, run = exit_cell // BOARD_SIZE - row, exit_cell % BOARD_SIZE - col
    bits = (rise < 0, run < 0, jnp.abs(rise) < jnp.abs(run))
    return sum(bit.astype(jnp.int32) << i for i, bit in enumerate(bits))  # type: ignore[return-value]  # not empty


_CELL_FACTS = {
    "on_board": 1,
    "steps_to_exit": FAR,
    "steps_from_player": FAR,
    "strikes": 2,  # enemies that would strike a player who stands here
    "leaps": 1,  # a virus could come and strike
    "credits": 2,  # what a siphon here brings (R5)
    "energy": 2,
    "points": 9,
    "spawns": 9,
}
"""What is added to the 42 values of each cell, and its order of magnitude."""
_SHOWN_AHEAD = ("steps_to_exit", "strikes", "leaps")
_FACTS = {
    "hp": [1] * MAX_HP, "stage": [1] * NUM_STAGES, "credits": [50], "energy": [50], "few_credits": [_FEW],
    "few_energy": [_FEW], "data_siphons": [4], "attack": [2], "show": [1], "calm": [1], "owned": [1] * NUM_PROGRAMS,
    "affordable": [1] * NUM_PROGRAMS, "here": list(_CELL_FACTS.values()),
    # In each direction: the target of an attack, whether it dies, how far one sees, the next cell.
    "rays": 4 * [1, 1, 1, 1, 3, 1, 1, 1, 1, BOARD_SIZE - 1, 1, *(_CELL_FACTS[name] for name in _SHOWN_AHEAD)],
    "nearer": [1] * 4, "programs_by_siphon": [1] * NUM_PROGRAMS, "programs_on_board": [1] * NUM_PROGRAMS,
    "enemies": [3] * 4, "pursuit": [3] * _PURSUIT, "counts": [3] * 11, "seen_at": [1] * NUM_CELLS,
}  # fmt: skip
"""The facts of a `Percept` in their order, by their orders of magnitude."""
CELL_SCALE = np.concatenate([OBSERVATION_SCALE[-CELL_VALUES:], 1.0 / np.array(list(_CELL_FACTS.values()), np.float32)])
FACT_SCALE = 1.0 / np.concatenate(list(_FACTS.values())).astype(np.float32)
"""(51,) and (F,) float32: factors that bring the integers of a `Percept` to the order of 1."""


def _cell_facts(cells: jax.Array, here: jax.Array) -> jax.Array:
    """What each cell's surroundings show: float32 (N, 36, 9), by `_CELL_FACTS`."""
    is_block = _sum_of(cells, _BLOCKS)
    is_open, unsiphoned = 1.0 - is_block, is_block * (1.0 - _channel(cells, "siphoned"))
    enemies, able = _sum_of(cells, _ENEMIES), 1.0 - _channel(cells, "stunned")
    is_free = is_open * (1.0 - enemies) * _number(_channel(cells, "transmission") == 0)

    # From the exit (R10), and from the player (R6.2, entities left aside).
    to_exit, from_player = _steps(jnp.stack([_channel(cells, "exit"), here]), is_open)

    def on_and_beside(resource: str) -> jax.Array:
        return jnp.minimum(_channel(cells, resource), 15.0) * is_open @ _REACH

    facts = {
        "on_board": jnp.ones_like(is_open),
        "steps_to_exit": to_exit,
        "steps_from_player": from_player,
        # A virus that moves first and then strikes (two rounds, R6.2); all others strike from a neighbouring cell.
        "strikes": (enemies * able) @ _BESIDE,
        "leaps": jnp.minimum(jnp.minimum((_channel(cells, "virus") * able) @ _BESIDE, 1.0) * is_free @ _BESIDE, 1.0),
        "credits": on_and_beside("credits"),
        "energy": on_and_beside("energy"),
        "points": _channel(cells, "points") * unsiphoned @ _BESIDE,
        "spawns": _channel(cells, "spawn") * unsiphoned @ _BESIDE,
    }
    return jnp.stack([facts[name] for name in _CELL_FACTS], axis=-1)


def _steps(starts: jax.Array, is_open: jax.Array) -> jax.Array:
    """Steps over open cells from each start to each cell, at most `FAR`: (K, N, 36), (N, 36) to float32 (K, N, 36)."""
    open_cells = board.from_mask(is_open.T != 0)

    def spread(reached: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        return reached | (board.neighbours(reached) & open_cells[None]), reached

    starts_on_boards = board.from_mask(jnp.swapaxes(starts, 1, 2) != 0)
    # Unrolled: a GPU would start four kernels in each turn of a loop.
    _, reached = lax.scan(spread, starts_on_boards, length=FAR, unroll=True)
    # A cell is as far as the number of steps by which it is not reached.
    missed = (~reached[:, :, :, None] >> np.arange(board.WORD_CELLS, dtype=np.uint32)[None, None, None, :, None]) & 1
    steps = jnp.sum(missed, axis=0, dtype=jnp.uint32).reshape(starts.shape[0], NUM_CELLS, -1)
    return jnp.swapaxes(steps, 1, 2).astype(jnp.float32)


def _player_facts(player: jax.Array, owned: jax.Array) -> dict[str, jax.Array]:
    """Hp and stage one-hot, resources, flags, owned programs, and those that can be paid."""
    facts = {name: player[:, i : i + 1] for i, name in enumerate(observation.PLAYER_NAMES)}
    credits, energy = facts["credits"], facts["energy"]
    return facts | {
        "hp": _number(facts["hp"] == np.arange(1, MAX_HP + 1, dtype=np.float32)[None]),
        "stage": _number(facts["stage"] == np.arange(NUM_STAGES, dtype=np.float32)[None]),
        "few_credits": jnp.minimum(credits, _FEW),
        "few_energy": jnp.minimum(energy, _FEW),
        "owned": owned,
        "affordable": owned * _number((credits >= _PRICES[:1]) & (energy >= _PRICES[1:])),
    }


def _ray_facts(cells: jax.Array, added: jax.Array, player: jax.Array, pose: jax.Array) -> dict[str, jax.Array]:
    """For each direction as seen: the neighbouring cell, and what an attack would hit (R4.3)."""
    is_block = _sum_of(cells, _BLOCKS)[..., None]
    incoming = jnp.minimum(_channel(cells, "transmission")[..., None], 1.0)
    shown = [_added(added, name)[..., None] for name in _SHOWN_AHEAD]
    looks = jnp.concatenate([cells[..., _OF_ENEMIES], incoming, is_block, *shown], axis=-1)
    beyond = np.zeros((1, 1, looks.shape[-1]), np.float32)
    beyond[..., 8:10] = 1.0, FAR
    looks = jnp.concatenate([looks, jnp.broadcast_to(beyond, (looks.shape[0], 1, looks.shape[-1]))], axis=1)
    seen = jnp.take_along_axis(looks, _table(_RAYS, pose)[..., None], axis=1)
    seen = seen.reshape(-1, 4, BOARD_SIZE - 1, looks.shape[-1])

    ends = jnp.minimum(_sum_of(seen, _ENEMIES) + seen[..., 7] + seen[..., 8], 1.0)
    in_sight = _number(jnp.cumsum(ends, axis=-1) - ends == 0)
    target = jnp.sum(seen[..., :8] * in_sight[..., None], axis=2)
    sight = jnp.sum(in_sight, axis=-1, keepdims=True)
    hp = target[..., 4:5]
    dies = _number((hp > 0) & (hp <= _blow(player)[:, None]))
    next_cell = seen[:, :, 0, 8:]
    position = pose % NUM_CELLS
    steps_here = jnp.take_along_axis(_added(added, "steps_to_exit"), position[:, None], axis=1)
    rays = jnp.concatenate([target, dies, sight, next_cell], axis=-1)
    return {"rays": rays.reshape(rays.shape[0], -1), "nearer": _number(next_cell[..., 1] < steps_here)}


def _board_facts(
    cells: jax.Array, added: jax.Array, here: jax.Array, owned: jax.Array, player: jax.Array
) -> dict[str, jax.Array]:
    """Programs to be had, on the board and from a siphon here; counts of what programs act on (R7)."""
    is_block, enemies = _sum_of(cells, _BLOCKS), _sum_of(cells, _ENEMIES)
    unsiphoned = is_block * (1.0 - _channel(cells, "siphoned"))
    by_siphon_and_all = jnp.stack([here @ _BESIDE * unsiphoned, unsiphoned], axis=1) @ cells[..., _PROGRAMS]
    wanted = 1.0 - owned
    frail = enemies * _number(_channel(cells, "hp") <= _blow(player))
    incoming = jnp.minimum(_channel(cells, "transmission"), 1.0)
    steps = _added(added, "steps_from_player")[..., None]
    pursuit = _number(steps == np.arange(_PURSUIT, dtype=np.float32)[None, None])
    lines = [here @ _SAME_ROW, here @ _SAME_COL]
    counts = [jnp.sum(who * line, axis=-1) for line in lines for who in (enemies, frail)]
    counts += [jnp.sum(who * (here @ _AROUND), axis=-1) for who in (enemies, incoming, is_block)]
    counts += [jnp.sum(who, axis=-1) for who in (enemies * is_block, incoming, unsiphoned, frail)]
    return {
        "programs_by_siphon": by_siphon_and_all[:, 0] * wanted,
        "programs_on_board": jnp.minimum(by_siphon_and_all[:, 1], 1.0) * wanted,
        "enemies": jnp.sum(cells[..., _ENEMIES], axis=1),
        "pursuit": jnp.sum(enemies[..., None] * pursuit, axis=1),
        "counts": jnp.stack(counts, axis=-1),
    }


def _channel(cells: jax.Array, name: str) -> jax.Array:
    """A value of each cell by its name in `CHANNEL_NAMES`: float32 (N, 36)."""
    return cells[..., _CHANNEL[name]]


def _added(added: jax.Array, name: str) -> jax.Array:
    """A fact of each cell by its name in `_CELL_FACTS`: float32 (N, 36)."""
    return added[..., list(_CELL_FACTS).index(name)]


def _blow(player: jax.Array) -> jax.Array:
    """The hp that one attack takes, float32 (N, 1): attack is observed as attack − 1."""
    attack = observation.PLAYER_NAMES.index("attack")
    return player[:, attack : attack + 1] + 1.0


def _sum_of(values: jax.Array, which: slice) -> jax.Array:
    """The sum of a few neighbours along the last axis; a reduction of so few is slow on a CPU."""
    first, *others = (values[..., i] for i in range(which.start, which.stop))
    return sum(others, start=first)


def _number(condition: jax.Array) -> jax.Array:
    return condition.astype(jnp.float32)


def _table(table: np.ndarray, pose: jax.Array) -> jax.Array:
    """The rows of a table by orientation and cell, (8, 36, K): int32 (N, K)."""
    return jnp.take(table.reshape(ORIENTATIONS * NUM_CELLS, -1), pose, axis=0)


def oriented(rise: np.ndarray, run: np.ndarray, orientation: int) -> tuple[np.ndarray, np.ndarray]:
    """A step on the real board, rows up and columns right, as it is seen in an orientation."""
    rise, run = (-rise if orientation & 1 else rise), (-run if orientation & 2 else run)
    return (run, rise) if orientation & 4 else (rise, run)


def _tables() -> tuple[np.ndarray, ...]:
    """Tables by orientation and player's cell, int32; 36 (or 81) stands for a cell (or place) that is not there.

    `SOURCE`: the real cell at each of the 81 places of the view, row by row; the player stands at place 30.
    `PLACE`: where each real cell is seen. `_RAYS`: the five cells ahead in each seen direction. `_SEEN_AT`: where on
    the oriented board the player's cell is.
    """
    source = np.full((ORIENTATIONS, NUM_CELLS, VIEW**2 + 1), NUM_CELLS, np.int32)
    place = np.empty((ORIENTATIONS, NUM_CELLS, NUM_CELLS), np.int32)
    rays = np.full((ORIENTATIONS, NUM_CELLS, 4, BOARD_SIZE - 1), NUM_CELLS, np.int32)
    seen_at = np.empty((ORIENTATIONS, NUM_CELLS, 1), np.int32)
    for orientation in range(ORIENTATIONS):
        rise, run = oriented(_RISE, _RUN, orientation)
        inside = (rise >= -BEHIND) & (run >= -BEHIND)
        place[orientation] = np.where(inside, (rise + BEHIND) * VIEW + run + BEHIND, VIEW**2)
        np.put_along_axis(source[orientation], place[orientation], np.arange(NUM_CELLS, dtype=np.int32)[None], axis=1)
        for direction, (up, right) in enumerate(DIRECTIONS):
            for distance in range(1, BOARD_SIZE):
                player, cell = np.nonzero((rise == up * distance) & (run == right * distance))
                rays[orientation, player, direction, distance - 1] = cell
        middle = (BOARD_SIZE - 1) / 2
        row, col = oriented(_ROW - middle, _COL - middle, orientation)
        seen_at[orientation, :, 0] = (row + middle) * BOARD_SIZE + col + middle
    return source[..., :-1], place, rays, seen_at


SOURCE, PLACE, _RAYS, _SEEN_AT = _tables()
