"""Later starts: what they draw, that they leave full games alone, and that metrics count full games only."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hackmatrix_core as hm
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.ppo import collect
from hackmatrix_core.training.runner import init_runner, make_agent
from hackmatrix_core.training.trainer import training_environment
from tests import programs
from tests.training import probe_environments as probes

ENV = programs.ENV
GAMES = programs.MANY


@pytest.fixture(scope="module")
def resets():
    """New games by the rules and with later starts, of the same keys."""
    keys = jax.random.split(jax.random.key(0), GAMES)
    params = [ENV.default_params.replace(later_starts=share) for share in (None, 0.4)]
    return [jax.device_get(programs.env_reset(keys, one)[1]) for one in params]


def test_a_share_of_the_games_starts_later(resets):
    by_rules, mixed = resets
    assert by_rules.full_game is None
    assert (~mixed.full_game).mean() == pytest.approx(0.4, abs=4 * np.sqrt(0.24 / GAMES))
    for plain, other in zip(jax.tree.leaves(by_rules.game), jax.tree.leaves(mixed.game), strict=True):
        np.testing.assert_array_equal(plain[mixed.full_game], other[mixed.full_game])


def test_later_starts_cover_all_stages_and_programs(resets):
    _, mixed = resets
    later = jax.tree.map(lambda x: x[~mixed.full_game], mixed.game)
    expected = {"stage": 8, "hp": 3, "credits": 16, "energy": 16, "data_siphons": 3, "attack": 3}
    for name, count in expected.items():
        values = getattr(later, name)
        first = 1 if name in ("stage", "hp", "attack") else 0
        assert sorted(set(values.tolist())) == list(range(first, first + count))
    np.testing.assert_array_equal(later.interval, 13 - later.stage)
    owned = (later.programs[:, None] >> np.arange(32, dtype=np.uint32)) & 1
    assert (owned[:, :23].mean(axis=0) > 0.1).all()
    assert owned[:, 23:].sum() == 0
    for game in range(20):
        one = hm.scenario.to_dict(jax.tree.map(lambda x, i=game: x[i], later))
        assert len(one["transmissions"]) == one["stage"]
        assert hm.scenario.to_dict(hm.scenario.from_dict(one)) == one


def test_the_flag_follows_the_episode_and_a_new_one_is_drawn_at_its_end():
    params = ENV.default_params.replace(later_starts=0.5, max_steps=3)
    _, state = programs.env_reset(jax.random.split(jax.random.key(1), GAMES), params)
    for time in range(3):
        flags = state.full_game
        action = jnp.argmax(programs.get_valid_actions(state.game), axis=-1)
        step_keys = jax.random.split(jax.random.key(2 + time), GAMES)
        _, state, _, done, info = programs.env_step(step_keys, state, action, params)
        np.testing.assert_array_equal(info["full_game"], flags)
        np.testing.assert_array_equal(state.full_game[~done], flags[~done])
    assert done.any()
    ended = np.asarray(done)
    assert 0.2 < np.asarray(state.full_game)[ended].mean() < 0.8
    new_stages = np.asarray(state.game.stage)[ended & ~np.asarray(state.full_game)]
    assert len(set(new_stages.tolist())) == 8
    assert (np.asarray(state.game.stage)[ended & np.asarray(state.full_game)] == 1).all()


def test_parameters_of_another_kind_than_the_state_are_refused(resets):
    first, later = (jax.tree.map(lambda x: x[0], state) for state in resets)
    with_later_starts = ENV.default_params.replace(later_starts=0.5)
    for state, params in ((first, with_later_starts), (later, None)):
        with pytest.raises(ValueError, match=r"later_starts is (not )?None in these parameters.*the same parameters"):
            ENV.step(jax.random.key(0), state, 0, params)


def test_metrics_count_full_games_only():
    config = TrainConfig(num_envs=32, num_steps=64, total_timesteps=4096, hidden_dim=8, num_layers=1, later_starts=0.5)

    @jax.jit
    def episodes(share):
        agent = make_agent(config, training_environment())
        agent = agent._replace(env_params=agent.env_params.replace(later_starts=share))
        return collect(agent, init_runner(agent, jax.random.key(3)))[1:]

    transitions, metrics = jax.device_get(episodes(jnp.float32(1.0)))
    assert transitions.done.any()
    assert metrics["episodes"] == 0
    transitions, metrics = jax.device_get(episodes(jnp.float32(0.5)))
    assert 0 < metrics["episodes"] < transitions.done.sum()
    assert 1.0 <= metrics["final_stage"] < 3.0


def test_an_environment_without_later_starts_says_so():
    with pytest.raises(ValueError, match=r"later_starts is 0.5, but ConstantReward has no later starts. Set it to 0"):
        make_agent(TrainConfig(later_starts=0.5), probes.ConstantReward())
