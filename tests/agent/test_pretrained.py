"""The agents that come with the package are those that their descriptions describe."""

import dataclasses
from pathlib import Path

import jax
import pytest

import hackmatrix_core as hm
from hackmatrix_core.agent import pretrained
from hackmatrix_core.training.checkpoints import CheckpointError
from hackmatrix_core.training.config import TrainConfig


# An agent that is another one, or sees something else than it was trained on, is stages worse. 64 games show that, for
# their interval is ±0.5 stages or less; with 200 it is ±0.3.
@pytest.mark.parametrize("games", [64, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", pretrained.AGENTS)
def test_its_evaluation_is_found_again(name, games):
    _, about = pretrained.load(pretrained.AGENTS[name])
    policy = hm.load_policy(name)
    told = about["evaluation"]["trained, sampled"]
    assert told["games"] >= 1000
    found = hm.evaluate(policy, jax.random.key(7), num_games=games).summary()
    # Other games than those of the description: the two 95 % intervals meet.
    for quantity in ("final_stage", "length"):
        assert found[quantity]["low"] <= told[quantity]["high"], quantity
        assert found[quantity]["high"] >= told[quantity]["low"], quantity
    assert found["final_stage"]["low"] > about["evaluation"]["greedy"]["final_stage"]["mean"]


@pytest.mark.parametrize("name", pretrained.AGENTS)
def test_a_folder_of_that_name_is_a_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        hm.load_policy(Path(name))


@pytest.mark.parametrize("name", pretrained.AGENTS)
def test_its_description_is_whole(name):
    params, about = pretrained.load(pretrained.AGENTS[name])
    for run in (about, *about["earlier"]):
        assert set(run["config"]) == {field.name for field in dataclasses.fields(TrainConfig)}
        assert 0 < run["steps"] <= TrainConfig.from_dict(run["config"]).total_timesteps
    assert {leaf.dtype.name for leaf in jax.tree.leaves(params)} == {"float32"}
    assert hm.load_policy(name, greedy=True).greedy
