"""The better one of two checkpoints: games decide, where training was notably better before its end."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import hackmatrix_core as hm
from hackmatrix_core import notebook
from hackmatrix_core.agent import pretrained
from hackmatrix_core.notebook import training
from hackmatrix_core.training.checkpoints import Checkpoints
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.runner import init_runner, make_agent
from hackmatrix_core.training.selection import better, rival
from hackmatrix_core.training.trainer import TrainResult, training_environment


@pytest.fixture(scope="module")
def runner():
    """Of a run that plays as the pretrained agent."""
    params, about = pretrained.load()
    sizes = {name: about["config"][name] for name in ("hidden_dim", "num_layers", "cell_dim")}
    config = TrainConfig.preset("cpu", num_envs=16, **sizes)
    fresh = jax.jit(lambda key: init_runner(make_agent(config, training_environment()), key))(jax.random.key(0))
    return config, fresh._replace(params=params)


def saved(run_dir, runner, qualities, good, **changes):
    """A run of which the checkpoint `good` plays well, the others hardly; their qualities by update."""
    config, whole = runner
    config = dataclasses.replace(config, **changes)
    for update, quality in qualities.items():
        params = whole.params if update == good else jax.tree.map(lambda x: 0 * x, whole.params)
        now = whole._replace(update=jnp.int32(update), params=params)
        Checkpoints(run_dir / "checkpoints").save(now, config, quality)
    return TrainResult(now, [], None, run_dir)


def test_the_last_one_counts_unless_training_was_notably_better_before(tmp_path, runner):
    saved(tmp_path / "rises", runner, {1: 0.2, 2: 0.5, 3: 0.49}, good=3)
    saved(tmp_path / "falls", runner, {1: 0.2, 2: 0.5, 3: 0.45}, good=3)
    saved(tmp_path / "no game ended", runner, {1: float("nan")}, good=1)
    assert [rival(tmp_path / name) for name in ("rises", "falls", "no game ended")] == [None, 2, None]


@pytest.mark.parametrize(("good", "changes"), [(2, {}), (3, {"points": 1.0})])
def test_games_decide(good, changes, tmp_path, runner, capsys, monkeypatch):
    monkeypatch.setattr(training, "_GAMES", 8)
    result = saved(tmp_path, runner, {1: 0.2, 2: 0.5, 3: 0.1}, good, **changes)
    told = []
    checkpoint, why = better(tmp_path, rival(tmp_path), jax.random.key(0), 8, lambda *done: told.append(done))
    assert checkpoint == {2: 2, 3: "last"}[good]
    assert ("return with the last" if changes else "games won with the last checkpoint 0%") in why
    assert told[-1] == (16, 16)
    policy = notebook.trained(result)
    assert why.split(":")[1] in capsys.readouterr().out
    assert jnp.all(jax.tree.leaves(policy.params)[0] == jax.tree.leaves(hm.load_policy("pretrained").params)[0])
