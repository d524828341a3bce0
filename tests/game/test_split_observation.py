"""`split_observation`: the 1,545 numbers by their names (R11)."""

import jax
import numpy as np
import pytest

import hackmatrix_core as hm
from hackmatrix_core.game.step import compact_observation

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def scenario():
    return hm.scenario.blank(
        (3, 2),
        stage=8,
        hp=2,
        credits=25,
        energy=5,
        data_siphons=1,
        attack=2,
        programs=["pull", "hack"],
        enemies=[("daemon", 3, 4)],
        transmissions=[("virus", 0, 1)],
        cells={
            (1, 1): {"block": {"kind": "data", "points": 9}},
            (1, 2): {"block": {"kind": "program", "program": "row"}},
            (4, 4): {"data_siphon": True, "energy": 3},
        },
    )


def test_every_part_has_its_name(scenario):
    parts = hm.split_observation(hm.observe(hm.scenario.from_dict(scenario)))
    expected = {"row": 3 / 5, "col": 2 / 5, "hp": 2 / 3, "credits": 0.5, "energy": 0.1, "stage": 1, "data_siphons": 0.1}
    expected |= {"attack": 0.5, "show": 0, "calm": 0}
    assert {name: float(value) for name, value in parts.player.items()} == pytest.approx(expected)
    assert [name for name, owned in parts.programs.items() if owned] == ["pull", "hack"]
    where = {name: np.argwhere(parts.channel(name)).tolist() for name in parts.channel_names}
    assert {name: cells for name, cells in where.items() if cells} == {
        "daemon": [[3, 4]],
        "hp": [[3, 4]],
        "data_block": [[1, 1]],
        "points": [[1, 1]],
        "spawn": [[1, 1]],
        "program_block": [[1, 2]],
        "row": [[1, 2]],
        "transmission": [[0, 1]],
        "energy": [[4, 4]],
        "data_siphon": [[4, 4]],
        "exit": [[5, 5]],
    }


@pytest.mark.parametrize("leading", [(), (2,), (2, 3)])
@pytest.mark.parametrize("observe", [hm.observe, compact_observation])
def test_any_batch_shape_and_dtype(scenario, leading, observe):
    obs = observe(hm.scenario.from_dict(scenario))
    parts = hm.split_observation(np.broadcast_to(obs, (*leading, 1545)))
    assert parts.grid.shape == (*leading, 6, 6, 42)
    assert parts.channel("daemon").shape == (*leading, 6, 6)
    assert {value.shape for value in (parts.player | parts.programs).values()} == {leading}
    assert parts.grid.dtype == obs.dtype
    whole = [*parts.player.values(), *parts.programs.values()]
    again = np.concatenate([np.stack(whole, axis=-1), parts.grid.reshape(*leading, -1)], axis=-1)
    np.testing.assert_array_equal(again, np.broadcast_to(obs, again.shape))


def test_under_jit(scenario):
    obs = hm.observe(hm.scenario.from_dict(scenario))
    assert jax.jit(lambda obs: hm.split_observation(obs).player["hp"])(obs) == pytest.approx(2 / 3)


def test_mistakes():
    with pytest.raises(ValueError, match=r"obs has shape \(5,\), expected \(…, 1545\)"):
        hm.split_observation(np.zeros(5))
    with pytest.raises(ValueError, match="no channel is named 'dragon', expected one of virus, daemon"):
        hm.split_observation(np.zeros(1545)).channel("dragon")
