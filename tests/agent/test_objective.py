"""What is learned of the rewards."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hackmatrix_core as hm
from hackmatrix_core.agent.objective import GUIDES, Objective
from hackmatrix_core.environment.gymnax_env import EnvParams, EnvState, HackMatrixGymnax
from hackmatrix_core.game.actions import ACTION_NAMES
from hackmatrix_core.game.rewards import REWARD_PARTS
from hackmatrix_core.game.scenario import blank, from_dict
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.runner import make_agent
from tests.training import probe_environments as probes

GAMES, STEPS = 256, 100
UP, DOWN, SIPHON, UNDO = (ACTION_NAMES.index(name) for name in ("up", "down", "siphon", "undo"))


def test_points_add_up_to_the_score_of_a_won_game_and_to_nothing_in_a_lost_one():
    env, policy = HackMatrixGymnax(compact_observations=True), hm.load_policy("pretrained")
    # Games that start in all stages, so that many end soon.
    params = env.default_params.replace(later_starts=1.0)
    plain, with_points = Objective(symlog_rewards=True), Objective(symlog_rewards=True, points=2.0)

    def play(carry, key):
        obs, state = carry
        choice_key, step_key = jax.random.split(key)
        mask = jax.vmap(env.get_action_mask)(state)
        # Every third siphon that could be used is used: the agent itself takes few points.
        action = jax.vmap(policy)(state.game, obs, mask, jax.random.split(choice_key, GAMES))
        siphons = mask[:, SIPHON] & jax.random.bernoulli(choice_key, 1 / 3, (GAMES,))
        action = jnp.where(siphons, SIPHON, action)
        keys = jax.random.split(step_key, GAMES)
        obs, state, reward, done, info = jax.vmap(env.step, (0, 0, 0, None))(keys, state, action, params)
        difference = with_points.learned(reward, info) - plain.learned(reward, info)
        return (obs, state), (difference, done, info["won"], info["score"])

    keys = jax.random.split(jax.random.key(0), STEPS)
    first = jax.jit(jax.vmap(env.reset, (0, None)))(jax.random.split(jax.random.key(1), GAMES), params)
    _, told = jax.jit(lambda first: jax.lax.scan(play, first, keys))(first)
    differences, done, won, score = map(np.asarray, told)
    wins, losses = [], []
    for game in range(GAMES):
        start = 0
        for end in np.flatnonzero(done[:, game]):
            total = differences[start : end + 1, game].sum()
            (wins if won[end, game] else losses).append((total, score[end, game]))
            start = end + 1
    wins, losses = np.array(wins), np.array(losses)
    np.testing.assert_allclose(wins[:, 0], 2 * wins[:, 1], atol=1e-4)
    np.testing.assert_allclose(losses[:, 0], 0, atol=1e-4)
    assert np.count_nonzero(wins[:, 1]) > 10
    assert np.count_nonzero(losses[:, 1]) > 10


def test_undo_takes_points_back():
    objective = Objective(points=2.0)
    block = {"block": {"kind": "data", "points": 3}}
    state = from_dict(blank(player=(2, 2), data_siphons=1, credits=5, programs=["undo"], cells={(2, 1): block}))
    step, counted, scores = jax.jit(hm.step), 0.0, []
    for number, action in enumerate((UP, DOWN, SIPHON, UNDO, UNDO)):
        state, outcome = step(state, jnp.int32(action), jax.random.key(number))
        info = {
            "reward_parts": outcome.reward_parts,
            "score": state.score,
            "terminated": outcome.terminated,
            "won": outcome.won,
        }
        counted += float(objective.learned(outcome.reward, info) - outcome.reward)
        scores.append(int(state.score))
        assert counted == pytest.approx(2 * scores[-1], abs=1e-5)
    assert (scores[2], scores[-1]) == (3, 0)


def test_an_agent_that_undoes_earns_nothing_but_what_it_keeps():
    """Under symlog too, where one undo takes back several gains at once: those of three programs in a turn, say."""
    env, objective = HackMatrixGymnax(compact_observations=True), Objective(symlog_rewards=True, shaping=0.0)
    block = {"block": {"kind": "data", "points": 5, "spawn": 2}}
    start = from_dict(
        blank(
            player=(2, 2),
            exit=(5, 5),
            credits=20,
            energy=20,
            data_siphons=4,
            programs=["undo", "score", "siph+", "exch", "step"],
            cells={(2, 1): block, (1, 2): block, (3, 2): {"data_siphon": True}},
        )
    )

    def kept(state):
        return state.hp.astype(jnp.float32) + 0.05 * (state.credits + state.energy).astype(jnp.float32)

    @jax.jit
    def play(shaping):
        params = env.default_params.replace(reward_weights=Objective(shaping=shaping).reward_weights)

        def act(carry, key):
            state, over = carry
            choice, undoes, chance = jax.random.split(key, 3)
            mask = env.get_action_mask(state)
            action = jax.random.categorical(choice, jnp.where(mask, 0.0, -1e9)).astype(jnp.int32)
            action = jnp.where(mask[UNDO] & jax.random.bernoulli(undoes, 0.3), UNDO, action)
            _, after, reward, done, info = env.step_env(chance, state, action, params)
            over |= done | (after.game.stage > state.game.stage)
            state = jax.tree.map(lambda new, old: jnp.where(over, old, new), after, state)
            return (state, over), jnp.where(over, 0.0, objective.learned(reward, info))

        def game(key):
            begun = EnvState(start, jnp.float32(0), jnp.int32(0))
            (end, _), learned = jax.lax.scan(act, (begun, jnp.bool_(False)), jax.random.split(key, STEPS))
            return jnp.sum(learned), kept(end.game) - kept(start)

        return jax.vmap(game)(jax.random.split(jax.random.key(0), GAMES))

    learned, change = play(jnp.float32(0))
    assert (learned <= change + 1e-4).all()
    learned, change = play(jnp.float32(1))
    assert (learned > change + 1).mean() > 0.5  # so there was something to earn again and again


def test_a_game_lost_by_an_invalid_action_takes_them_back():
    state = from_dict(blank(player=(2, 2), score=5))
    after, outcome = hm.step(state, jnp.int32(SIPHON), jax.random.key(0))
    info = outcome._asdict() | {"score": after.score}
    assert outcome.invalid
    assert not outcome.died
    assert float(Objective(points=2.0).learned(outcome.reward, info)) == -10.0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"points": 2.0}, r"points is 2\.0, but ConstantReward has no reward weights\. Set it to 0"),
        ({"shaping": 0.5}, r"shaping is 0\.5, but ConstantReward has no reward weights\. Set it to 1"),
        ({"reward_weights": {"kills": 3}}, r"reward_weights is {'kills': 3\.0}, but .* Set it to {}"),
        ({"shaping_fades": 0.5}, r"shaping_fades is 0\.5, but ConstantReward has no reward weights\. Set it to 0"),
    ],
)
def test_an_environment_without_reward_weights_says_so(setting, message):
    with pytest.raises(ValueError, match=message):
        make_agent(TrainConfig(**setting), probes.ConstantReward())


def test_weights_of_the_environment_and_of_the_config_come_together():
    """With shaping and its fading on top; the config, which the run keeps, has them all."""

    class Weighted(HackMatrixGymnax):
        @property
        def default_params(self):
            return EnvParams(
                reward_weights=np.where(np.isin(REWARD_PARTS, ("kills", "victory")), 3, 1).astype(np.float32)
            )

    config = TrainConfig(reward_weights={"victory": 2, "step_penalty": 0.1, "hp_recovery": 1}, shaping_fades=0.5)
    agent = make_agent(config, Weighted())
    assert agent.config.reward_weights == {"step_penalty": 0.1, "kills": 3, "victory": 2}
    assert make_agent(agent.config, Weighted()).config == agent.config
    assert TrainConfig.from_dict(json.loads(json.dumps(agent.config.to_dict()))) == agent.config

    expected = np.ones(len(REWARD_PARTS), np.float32)
    for name, weight in {"step_penalty": 0.1, "kills": 3, "victory": 2}.items():
        expected[REWARD_PARTS.index(name)] = weight
    guides = np.isin(REWARD_PARTS, GUIDES)
    for done, shaping in ((0.0, 1.0), (0.25, 0.5), (1.0, 0.0)):
        later = agent.at(jnp.float32(done))
        np.testing.assert_array_equal(later.env_params.reward_weights, np.where(guides, shaping, 1) * expected)
        np.testing.assert_array_equal(later.objective.reward_weights, later.env_params.reward_weights)
    plain = make_agent(TrainConfig(), HackMatrixGymnax())
    assert plain.config == TrainConfig()
    np.testing.assert_array_equal(plain.env_params.reward_weights, np.ones(len(REWARD_PARTS)))


def test_symlog_leaves_out_what_undo_takes_back_at_its_weight():
    weights = np.where(np.array(REWARD_PARTS) == "damage_penalty", 2, 1).astype(np.float32)
    info = {"reward_parts": {"damage_penalty": jnp.float32(-1), "hp_recovery": jnp.float32(0)}}
    learned = Objective(symlog_rewards=True, weights=weights).learned(jnp.float32(-2 + 5), info)
    assert float(learned) == pytest.approx(-2 + np.log1p(5))


def test_it_says_what_a_value_counts():
    """In a few words that a player knows, without names of the code and long numbers."""
    assert str(Objective()) == "the rewards still to come, 1.0% less for each action until then"
    assert "2 more for each point, taken back in a lost game" in str(Objective(points=2.0))
    longest = str(Objective(0.994, symlog_rewards=True, shaping=0.741935, points=2.0))
    assert ", large ones toned down (500 counts as 6), 74% of those for picking up siphons, kills, " in longest
    assert ", none of those for picking up siphons" in str(Objective(shaping=0.0))
    assert ", kills times 3," in str(
        Objective(weights=np.where(np.array(REWARD_PARTS) == "kills", 3, 1).astype(np.float32))
    )
    assert "_" not in longest
    assert len(longest) <= 240
