"""The game as a reinforcement learning environment in the API of gymnax: parameters, time limit, auto-reset."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from hackmatrix_core.environment import spaces
from hackmatrix_core.environment.curriculum import with_later_starts
from hackmatrix_core.errors import shown
from hackmatrix_core.game import history, observation, random, stage
from hackmatrix_core.game.actions import NUM_ACTIONS
from hackmatrix_core.game.arguments import as_action, check_key, check_state
from hackmatrix_core.game.rewards import REWARD_PARTS, by_name
from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH, GameState
from hackmatrix_core.game.step import Outcome, advance, compact_observation, complete, get_valid_actions, observe
from hackmatrix_core.game.vectorization.batching import batched

MAX_ACTIONS = 2000
"""Actions after which an episode is cut, unless a caller wants another number."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class EnvParams:
    """The parameters of an environment; they may be traced."""

    max_steps: int | np.integer | jax.Array = MAX_ACTIONS
    """() int32, actions after which an episode is cut (truncated, not terminated)."""
    reward_weights: jax.Array | np.ndarray = dataclasses.field(
        default_factory=lambda: np.ones(len(REWARD_PARTS), np.float32)
    )
    """(15,) float32, the weights of the reward parts in the order of R10."""

    later_starts: float | jax.Array | None = None
    """() float32, the share of new episodes that start in a later stage (see `curriculum`); None for none at all. All
    steps of an episode need parameters that agree on whether it is None."""

    def __post_init__(self) -> None:
        """Refuse plain numbers that are none of these; what JAX computes is taken as it is.

        Raises:
            ValueError: names the field, its value and what was expected.
        """
        steps, weights, share = self.max_steps, self.reward_weights, self.later_starts
        for field in dataclasses.fields(self):
            if isinstance(value := getattr(self, field.name), str | bytes):
                raise ValueError(f"{field.name} is {shown(value)}, expected numbers")
        if isinstance(steps, int | float | np.number) and not (1 <= steps < 2**31 and steps == int(steps)):
            raise ValueError(f"max_steps is {shown(steps)}, expected an integer from 1 to {2**31 - 1}")
        if isinstance(weights, np.ndarray):
            _check_one_weight_per_part(weights)
            if not np.all(np.isfinite(weights)):
                raise ValueError(f"reward_weights is {weights}, expected finite numbers")
        if isinstance(share, int | float | np.number) and not 0 <= share <= 1:
            raise ValueError(f"later_starts is {shown(share)}, expected a share from 0 to 1")

    @property
    def max_steps_in_episode(self) -> int | np.integer | jax.Array:
        """`max_steps` under the name that gymnax gives it."""
        return self.max_steps

    def replace(self, **changes: Any) -> "EnvParams":
        """A copy with some fields changed, as the parameters of gymnax offer it, also under the name it gives one."""
        if "max_steps_in_episode" in changes:
            changes["max_steps"] = changes.pop("max_steps_in_episode")
        return dataclasses.replace(self, **changes)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, repr=False)
class EnvState:
    """A game and the running totals of its episode."""

    game: GameState
    episode_return: jax.Array  # () float32, weighted rewards so far
    episode_length: jax.Array  # () int32, actions so far
    full_game: jax.Array | None = None  # () bool: a game of R2. None where all are, without `EnvParams.later_starts`

    def __repr__(self) -> str:
        account = f"episode_return={self.episode_return}, episode_length={self.episode_length}"
        return f"EnvState({account}, game=\n{self.game!r})"

    def _repr_html_(self) -> str | None:
        return self.game._repr_html_()


Step = tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[str, Any]]


class HackMatrixGymnax:
    """HackMatrix in the API of gymnax, five values per step.

    Observation: float32 (1545,), R11; or the same as small integers, uint8 (1545,), with `compact_observations=True`,
        which `decode_observation` turns into the first.
    Action: an integer 0–27, R4; `get_action_mask` tells which are valid. An invalid one ends the episode (R4.2).
    Reward: float32, the 15 parts of R10 weighted by `EnvParams.reward_weights`.
    Termination: the game is won, the player is dead, or the action was invalid. Truncation: after `max_steps` actions.
    State: an `EnvState`. Its game keeps `undo_depth` snapshots for UNDO, as `hackmatrix_core.reset` says.

    All methods are for one environment and work under `jax.jit` and `jax.vmap`, with typed and old keys:

        env = HackMatrixGymnax()
        params = env.default_params
        keys = jax.random.split(jax.random.key(0), 64)
        obs, state = jax.vmap(env.reset, in_axes=(0, None))(keys, params)
        mask = jax.vmap(env.get_action_mask)(state)
        action = jax.random.categorical(jax.random.key(1), jnp.where(mask, 0.0, -jnp.inf))
        obs, state, reward, done, info = jax.vmap(env.step, in_axes=(0, 0, 0, None))(keys, state, action, params)
    """

    name = "HackMatrix"
    num_actions = NUM_ACTIONS
    obs_shape = (observation.OBSERVATION_SIZE,)

    def __init__(self, compact_observations: bool = False, undo_depth: int = DEFAULT_UNDO_DEPTH) -> None:
        self.compact_observations = compact_observations
        self.undo_depth = history.checked_depth(undo_depth)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), self.compact_observations, self.undo_depth))

    @property
    def default_params(self) -> EnvParams:
        """`EnvParams()`: 2,000 actions, all weights 1."""
        return EnvParams()

    def action_space(self, params: EnvParams | None = None) -> spaces.Discrete:
        """The integers 0–27 (R4): `spaces.Discrete`, or gymnax's own where gymnax is in use."""
        del params
        return spaces.as_gymnax(spaces.Discrete(NUM_ACTIONS))

    def observation_space(self, params: EnvParams | None = None) -> spaces.Box:
        """(1545,) float32 from 0 to 127.5, or uint8 from 0 to 255 if compact; where gymnax is in use, its own `Box`.

        The rules set no limit to the attack; 127.5 is where its value, (attack − 1) / 2, stops counting.
        """
        del params
        high, dtype = (255, jnp.uint8) if self.compact_observations else (127.5, jnp.float32)
        return spaces.as_gymnax(spaces.Box(0, high, self.obs_shape, dtype))

    def reset(self, key: jax.Array, params: EnvParams | None = None) -> tuple[jax.Array, EnvState]:
        """Start an episode with a new game (R2, or `EnvParams.later_starts`): the observation and the state."""
        check_key(key, "env.reset")
        return _reset(key, _arrays(params or self.default_params), self.undo_depth, self.compact_observations)

    def step(self, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams | None = None) -> Step:
        """One action, and a new game if it ended the episode.

        Args:
            key: one key, typed or old.
            state: from `reset` or an earlier step.
            action: () integer; outside 0–27 it counts as invalid.
            params: default `default_params`.

        Returns:
            observation: of the state returned: the new game's after an end.
            state: `EnvState`.
            reward: () float32.
            done: () bool, terminated or truncated.
            info: the same keys in every step. `reward_parts` (15 × () float32, not weighted), `stage`, `score`, `hp`
                (() int32, before the auto-reset), `terminated`, `truncated`, `won`, `died` (() bool),
                `final_observation` (before the auto-reset), and `returned_episode` (() bool, an episode ended here)
                with `episode_return` (() float32) and `episode_length` (() int32), running totals until it does. With
                `EnvParams.later_starts` also `full_game` (() bool, the episode began as R2 says).
        """
        return self._run(_step_batch, key, state, action, params)

    def step_env(self, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams | None = None) -> Step:
        """As `step`, without the auto-reset: the state and the observation after an end are those of the end."""
        return self._run(_step_env_batch, key, state, action, params)

    def get_action_mask(self, state: EnvState) -> jax.Array:
        """The action mask of the state: bool (28,)."""
        check_state(state, "env.get_action_mask", EnvState)
        return get_valid_actions(state.game)

    def get_obs(self, state: EnvState) -> jax.Array:
        """The observation of the state."""
        check_state(state, "env.get_obs", EnvState)
        return compact_observation(state.game) if self.compact_observations else observe(state.game)

    def decode_observation(self, obs: jax.Array) -> jax.Array:
        """Compact observations as float32: uint8 (…, 1545) to float32 (…, 1545); float32 ones are returned as given."""
        return observation.decode(obs) if obs.dtype == jnp.uint8 else obs

    def _run(
        self,
        rules: Callable[..., "_Result"],
        key: jax.Array,
        state: EnvState,
        action: ArrayLike,
        params: EnvParams | None,
    ) -> Step:
        """One step by these rules, its arguments checked."""
        check_state(state, "env.step", EnvState)
        check_key(key, "env.step")
        params = _arrays(params or self.default_params)
        if (params.later_starts is None) != (state.full_game is None):
            raise ValueError(
                f"later_starts is {'not ' * (params.later_starts is not None)}None in these parameters, but the "
                "state was made with different ones. Pass reset and step the same parameters"
            )
        return _step(rules, self.compact_observations, key, state, as_action(action, "env.step"), params)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _reset(key: jax.Array, params: EnvParams, undo_depth: int, is_compact: bool) -> tuple[jax.Array, EnvState]:
    packed, state = _reset_batch(random.seed_from_key(key), params)
    return _unpacked(packed, is_compact), dataclasses.replace(state, game=history.empty(state.game, undo_depth))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _step(
    rules: Callable[..., "_Result"],
    is_compact: bool,
    key: jax.Array,
    state: EnvState,
    action: jax.Array,
    params: EnvParams,
) -> Step:
    """One step by these rules, with what they leave out: the history of a game, the unpacked observations."""
    before = dataclasses.replace(state, game=history.with_newest(state.game))
    result = rules(random.seed_from_key(key), before, action, params)
    game = history.changed(result.state.game, state.game, result.change)
    info: dict[str, Any] = result.info | {
        "reward_parts": by_name(result.info["reward_parts"]),
        "final_observation": _unpacked(result.final_observation, is_compact),
    }
    return (
        _unpacked(result.observation, is_compact),
        dataclasses.replace(result.state, game=game),
        result.reward,
        info["returned_episode"],
        info,
    )


def _unpacked(packed: observation.Packed, is_compact: bool) -> jax.Array:
    compact = observation.compact(packed)
    return compact if is_compact else observation.decode(compact)


class _Result(NamedTuple):
    """What the rules give for one step of N environments, along the last axis."""

    observation: observation.Packed
    final_observation: observation.Packed
    state: EnvState  # the history of its game set aside
    change: jax.Array  # int32 (N,), a `history.Change`
    reward: jax.Array  # float32 (N,)
    info: dict[str, Any]  # as `step` gives it, but the reward parts as one array, float32 (15, N)


@batched
def _step_batch(seed: jax.Array, state: EnvState, action: jax.Array, params: EnvParams) -> _Result:
    ended, outcome, change, reward, info = _advanced(seed, state, action, params)
    done = info["returned_episode"]
    # One pass generates the next stages and the first stages of new games. A game that is cut on its way into a stage
    # is in both halves: its last observation shows that stage.
    game, (fresh, full_game) = ended.game, _new_games(seed, params)
    enters = outcome.stage_completed & ~outcome.won
    halves = ((start, one.position, one.stage, one.entities, seed) for start, one in ((enters, game), (done, fresh)))
    generated = stage.generate(*(jnp.concatenate(both, axis=-1) for both in zip(*halves, strict=True)))
    for_game, for_fresh = zip(*(jnp.split(x, 2, axis=-1) for x in generated), strict=True)
    game, fresh = stage.entered(game, enters, for_game), stage.entered(fresh, done, for_fresh)
    next_game = jax.tree.map(
        lambda new, old: jnp.where(done.reshape((1,) * (old.ndim - 1) + (-1,)), new, old), fresh, game
    )
    return _Result(
        observation=observation.packed(next_game),
        final_observation=observation.packed(game),
        state=EnvState(
            next_game,
            jnp.where(done, jnp.float32(0), ended.episode_return),
            jnp.where(done, 0, ended.episode_length),
            # Both states have it, or neither: `_run` checks that.
            None if full_game is None else jnp.where(done, full_game, ended.full_game),  # type: ignore[arg-type]
        ),
        change=jnp.where(done, history.Change.CLEAR, change),
        reward=reward,
        info=info,
    )


@batched
def _step_env_batch(seed: jax.Array, state: EnvState, action: jax.Array, params: EnvParams) -> _Result:
    ended, outcome, change, reward, info = _advanced(seed, state, action, params)
    ended = dataclasses.replace(ended, game=complete(ended.game, outcome, seed))
    observed = observation.packed(ended.game)
    return _Result(observed, observed, ended, change, reward, info)


@batched
def _reset_batch(seed: jax.Array, params: EnvParams) -> tuple[observation.Packed, EnvState]:
    games = seed.shape[1]
    fresh, full_game = _new_games(seed, params)
    game = stage.enter(fresh, jnp.ones(games, bool), seed)
    state = EnvState(game, jnp.zeros(games, jnp.float32), jnp.zeros(games, jnp.int32), full_game)
    return observation.packed(game), state


def _new_games(seed: jax.Array, params: EnvParams) -> tuple[GameState, jax.Array | None]:
    """New games before their first stage is generated, and which of them are full games."""
    games = stage.new_games(seed)
    return (games, None) if params.later_starts is None else with_later_starts(games, seed, params.later_starts)


def _advanced(
    seed: jax.Array, state: EnvState, action: jax.Array, params: EnvParams
) -> tuple[EnvState, Outcome[jax.Array], jax.Array, jax.Array, dict[str, Any]]:
    game, outcome, change = advance(state.game, action, seed)
    reward = jnp.sum(outcome.reward_parts * params.reward_weights, axis=0)
    ended = EnvState(game, state.episode_return + reward, state.episode_length + 1, state.full_game)
    truncated = (ended.episode_length >= params.max_steps) & ~outcome.terminated
    info = {
        "reward_parts": outcome.reward_parts,
        "stage": game.stage,
        "score": game.score,
        "hp": game.hp,
        "terminated": outcome.terminated,
        "truncated": truncated,
        "won": outcome.won,
        "died": outcome.died,
        "episode_return": ended.episode_return,
        "episode_length": ended.episode_length,
        "returned_episode": outcome.terminated | truncated,
    }
    if state.full_game is not None:
        info["full_game"] = state.full_game
    return ended, outcome, change, reward, info


def _check_one_weight_per_part(weights: jax.Array | np.ndarray) -> None:
    if weights.shape != (len(REWARD_PARTS),):
        raise ValueError(
            f"reward_weights has shape {weights.shape}, expected ({len(REWARD_PARTS)},): "
            "one weight for each reward part, in the order of REWARD_PARTS"
        )


def _arrays(params: EnvParams) -> EnvParams:
    weights = jnp.asarray(params.reward_weights, jnp.float32)
    _check_one_weight_per_part(weights)
    share = None if params.later_starts is None else jnp.asarray(params.later_starts, jnp.float32)
    return EnvParams(jnp.asarray(params.max_steps, jnp.int32), weights, share)
