"""What is perceived, against plain searches over states of random play; the eight orientations; errors."""

from collections import deque
from random import Random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hackmatrix_core import game
from hackmatrix_core.agent.network import ActorCritic
from hackmatrix_core.agent.perception import BEHIND, CELL_SCALE, FACT_SCALE, FAR, VIEW, oriented, perceive
from hackmatrix_core.game.actions import NUM_ACTIONS, PROGRAMS
from tests.game import random_states, reference
from tests.game.reference.board import neighbours, on_board
from tests.game.reference.tables import CELLS

NUM_STATES = 60
ALL_CELLS = [divmod(cell, 6) for cell in range(36)]
STATUS = 3 + 8 + 2 + 2 + 4 + 23 + 23
HERE = slice(STATUS, STATUS + 9)
RAYS = slice(STATUS + 9, STATUS + 9 + 4 * 14)


@pytest.fixture(scope="module")
def states():
    plays = random_states.visited(Random(5))
    return [next(plays) for _ in range(7 * NUM_STATES)][::7]


@pytest.fixture(scope="module")
def observations(states):
    return np.array([reference.observe(state) for state in states], np.float32)


@pytest.fixture(scope="module")
def percept(observations):
    return jax.device_get(jax.jit(perceive)(jnp.asarray(observations)))


def walked(state, starts):
    """Steps from the nearest of some cells over cells without a block, by a plain queue."""
    steps, queue = dict.fromkeys(starts, 0), deque(starts)
    while queue:
        at = queue.popleft()
        for beside in neighbours(at):
            if beside not in steps and "block" not in state["cells"][beside[0]][beside[1]]:
                steps[beside] = steps[at] + 1
                queue.append(beside)
    return steps


def exits_of(state):
    return [at for at in CELLS if "exit" in state["cells"][at[0]][at[1]]]


def seen_enemies(observation):
    """By cell: whether an enemy is seen, and whether it can act."""
    cells = observation[33:].reshape(36, 42)
    return {at: (cells[i, :4].any(), cells[i, :4].any() and not cells[i, 5], cells[i, 0]) for i, at in enumerate(CELLS)}


def test_cells_are_those_of_the_observation(observations, percept):
    cells = (percept.cells.astype(np.float32) * CELL_SCALE)[..., :42]
    np.testing.assert_allclose(cells, observations[:, 33:].reshape(-1, 36, 42), rtol=1e-6)


def test_compact_observations_give_the_same(observations, percept):
    compact = np.round(observations / game.observation.OBSERVATION_SCALE).astype(np.uint8)
    for a, b in zip(percept, jax.jit(perceive)(jnp.asarray(compact)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_facts_of_each_cell(states, observations, percept):
    for state, observation, cells in zip(states, observations, percept.cells[..., 42:], strict=True):
        to_exit = walked(state, exits_of(state))
        from_player = walked(state, [(state["player"]["row"], state["player"]["col"])])
        enemies = seen_enemies(observation)
        has_entity = {at for at, (seen, _, _) in enemies.items() if seen}
        has_entity |= {at for i, at in enumerate(CELLS) if observation[33 + 42 * i + 36] > 0}
        viruses = [at for at, (_, able, virus) in enemies.items() if virus and able]
        for at, facts in zip(CELLS, cells, strict=True):
            strikes = sum(enemies[beside][1] for beside in neighbours(at))
            leaps = any(
                "block" not in state["cells"][via[0]][via[1]] and via not in has_entity and virus in neighbours(via)
                for via in neighbours(at)
                for virus in viruses
            )
            open_cells = [near for near in (at, *neighbours(at)) if "block" not in state["cells"][near[0]][near[1]]]
            credits, energy = (
                sum(min(state["cells"][r][c].get(kind, 0), 15) for r, c in open_cells) for kind in ("credits", "energy")
            )
            points, spawns = yielded(state, at)
            distances = [min(walk.get(at, FAR), FAR) for walk in (to_exit, from_player)]
            assert facts.tolist() == [1, *distances, strikes, leaps, credits, energy, points, spawns]


def yielded(state, at):
    """Points and spawns of the unsiphoned blocks beside a cell, as far as they are not hidden."""
    cells = [state["cells"][r][c] for r, c in neighbours(at)]
    blocks = [c["block"] for c in cells if "block" in c and not c.get("siphoned") and not c["block"]["hidden"]]
    return sum(block.get("points", 0) for block in blocks), sum(block["spawn"] for block in blocks)


def test_facts_of_the_player_and_along_the_rays(states, observations, percept):
    scaled = percept.facts.astype(np.float32) * FACT_SCALE
    for state, observation, facts, raw, pose, cells in zip(
        states, observations, scaled, percept.facts, percept.pose, percept.cells, strict=True
    ):
        player = state["player"]
        assert facts[:3].argmax() + 1 == player["hp"] if player["hp"] else not facts[:3].any()
        assert facts[3:11].argmax() + 1 == state["stage"]
        assert raw[11] == min(player["credits"], 50)
        np.testing.assert_array_equal(facts[19:42], observation[10:33])
        own_cell = pose % 36
        assert own_cell == player["row"] * 6 + player["col"]
        np.testing.assert_array_equal(raw[HERE], cells[own_cell, 42:])
        for direction, ray in enumerate(raw[RAYS].reshape(4, 14)):
            expected = looked(observation, (player["row"], player["col"]), real_step(direction, pose // 36))
            np.testing.assert_array_equal(ray[:8], expected[0])
            assert ray[8] == (0 < expected[0][4] <= player["attack"])
            assert ray[9] == expected[1]
            row, col = (a + b for a, b in zip(divmod(own_cell, 6), real_step(direction, pose // 36), strict=True))
            beside = cells[row * 6 + col] if on_board((row, col)) else None
            assert ray[11] == (FAR if beside is None else beside[43])
            assert raw[RAYS.stop + direction] == (ray[11] < cells[own_cell, 43])


def test_facts_of_the_board_and_of_programs(states, observations, percept):
    for state, observation, raw in zip(states, observations, percept.facts, strict=True):
        player = state["player"]
        at, hits = (player["row"], player["col"]), player["attack"]
        cells = dict(zip(CELLS, np.round(observation[33:].reshape(36, 42) / CELL_SCALE[:42]).astype(int), strict=True))
        owned = observation[10:33] > 0
        can_pay = [
            have and player["credits"] >= program.credits and player["energy"] >= program.energy
            for have, program in zip(owned, PROGRAMS, strict=True)
        ]
        np.testing.assert_array_equal(raw[42:65], can_pay)

        fresh = {where: cell[12:35] for where, cell in cells.items() if cell[7:10].any() and not cell[11]}
        nothing = np.zeros(23, int)
        gain = sum((fresh[where] for where in neighbours(at) if where in fresh), nothing) * ~owned
        within_reach = np.minimum(sum(fresh.values(), nothing), 1) * ~owned
        enemies = [where for where, cell in cells.items() if cell[:4].any()]
        frail = [where for where in enemies if cells[where][4] <= hits]
        incoming = [where for where, cell in cells.items() if cell[36]]
        blocks = [where for where, cell in cells.items() if cell[7:10].any()]
        steps = walked(state, [at])

        def near(places, at=at):
            return sum(max(abs(row - at[0]), abs(col - at[1])) == 1 for row, col in places)

        expected = [
            *gain,
            *within_reach,
            *sum((cells[where][:4] for where in enemies), np.zeros(4, int)),
            *[sum(steps.get(where) == distance for where in enemies) for distance in range(6)],
            *[sum(where[axis] == at[axis] for where in who) for axis in (0, 1) for who in (enemies, frail)],
            *[near(who) for who in (enemies, incoming, blocks)],
            *[len(set(enemies) & set(blocks)), len(incoming), len(fresh), len(frail)],
        ]
        assert raw[RAYS.stop + 4 : -36].tolist() == [int(number) for number in expected]
        assert raw[-36:].sum() == 1


def real_step(direction, orientation):
    """The step on the real board that is seen as this direction."""
    steps = [(1, 0), (-1, 0), (0, -1), (0, 1)]
    return next(step for step in steps if tuple(oriented(*step, orientation)) == steps[direction])


def looked(observation, at, step):
    """The first thing that an attack meets (R4.3): its values, 0 for nothing, and how many cells were looked at."""
    compact = np.round(observation / game.observation.OBSERVATION_SCALE).astype(int)[33:].reshape(36, 42)
    looked_at = 0
    while looked_at < 5:
        at = at[0] + step[0], at[1] + step[1]
        looked_at += 1
        if not on_board(at):
            return [0] * 8, looked_at
        cell = compact[at[0] * 6 + at[1]]
        if cell[36] or cell[:4].any():
            return [*cell[:7], int(cell[36] > 0)], looked_at
        if cell[7:10].any():
            return [0] * 8, looked_at
    return [0] * 8, looked_at


def test_a_mirrored_board_is_played_alike(states, observations):
    network = ActorCritic(NUM_ACTIONS, hidden_dim=16, cell_dim=4)
    params = network.init(jax.random.key(0), observations)
    params = jax.tree.map(lambda x: x + 0.3 * jax.random.normal(jax.random.key(x.size), x.shape), params)
    logits, values = network.apply(params, observations)
    # With the exit straight ahead two orientations are equally good, and one of them is taken.
    clear = np.array([len(exits_of(state)) == 1 and 0 not in exit_steps(state) for state in states])
    assert clear.sum() > 10
    for turned, order in (
        (lambda board: board[:, ::-1], [1, 0, 2, 3]),
        (lambda board: board[:, :, ::-1], [0, 1, 3, 2]),
        (lambda board: board[:, ::-1, ::-1], [1, 0, 3, 2]),
    ):
        others = observations.copy()
        others[:, 33:] = turned(observations[:, 33:].reshape(-1, 6, 6, 42)).reshape(len(others), -1)
        places = turned(np.arange(36).reshape(1, 6, 6)).reshape(36).argsort()
        position = places[np.round(observations[:, 0] * 30 + observations[:, 1] * 5).astype(int)]
        others[:, 0], others[:, 1] = position // 6 / 5, position % 6 / 5
        other_logits, other_values = network.apply(params, others)
        expected = np.concatenate([np.asarray(logits)[:, order], np.asarray(logits)[:, 4:]], axis=1)
        np.testing.assert_allclose(other_logits[clear], expected[clear], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(other_values[clear], values[clear], rtol=1e-4, atol=1e-4)


def exit_steps(state):
    """Rows and columns from the player to the first exit."""
    (row, col), player = exits_of(state)[0], state["player"]
    return row - player["row"], col - player["col"]


def test_the_view_has_the_exit_ahead(percept, states):
    for pose, state in zip(percept.pose, states, strict=True):
        if exits_of(state):
            rise, run = oriented(*exit_steps(state), int(pose) // 36)
            assert rise >= run >= 0
    assert VIEW == BEHIND + 6


def test_it_is_for_the_board_of_the_game_only():
    with pytest.raises(ValueError, match=r"observations have 3 numbers, expected 1545.*cell_dim to 0"):
        ActorCritic(28, cell_dim=4).init(jax.random.key(0), jnp.zeros((1, 3), jnp.float32))
