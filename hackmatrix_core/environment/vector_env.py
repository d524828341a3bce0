"""Many games in one compiled step, in the vector API of Gymnasium: numpy in and out."""

import functools
from collections.abc import Sequence
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from hackmatrix_core.display import draw
from hackmatrix_core.environment.gymnasium_env import Configured
from hackmatrix_core.environment.gymnax_env import MAX_ACTIONS, EnvParams, EnvState, HackMatrixGymnax
from hackmatrix_core.game.actions import NUM_ACTIONS
from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH
from hackmatrix_core.game.vectorization.backend import compiler_options


@functools.lru_cache
def _programs(undo_depth: int) -> tuple[Any, Any]:
    """The compiled functions, one pair for all instances: of keys, to a state; and of a step."""
    env = HackMatrixGymnax(undo_depth=undo_depth)
    compiled = functools.partial(jax.jit, compiler_options=compiler_options())

    def reset(keys: jax.Array, params: EnvParams) -> tuple[EnvState, jax.Array, jax.Array]:
        obs, states = jax.vmap(env.reset, (0, None))(keys, params)
        return states, obs, jax.vmap(env.get_action_mask)(states)

    def step(keys: jax.Array, time: jax.Array, states: EnvState, actions: jax.Array, params: EnvParams) -> Any:
        keys = jax.vmap(jax.random.fold_in, (0, None))(keys, time)
        obs, states, reward, _, info = jax.vmap(env.step, (0, 0, 0, None))(keys, states, actions, params)
        return states, obs, jax.vmap(env.get_action_mask)(states), reward, info

    return compiled(reset), compiled(step, donate_argnums=2)


class HackMatrixVectorEnv(Configured, gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """N games of HackMatrix in the vector API of Gymnasium, stepped together by one compiled program.

    Observation: float32 (N, 1545), R11.
    Action: integers (N,); `action_masks` tells which of 0–27 are valid (R4). Any other ends the episode (R4.2).
    Reward: float32 (N,), the 15 parts of R10, weighted by `reward_weights`.
    Termination and truncation: bool (N,), as in `HackMatrixGymnasium`.
    Autoreset: in the same step. The observation is then the new game's; that of the end is in the info.
    Rendering: a tuple of what `HackMatrixGymnasium` gives, one a game.

        envs = HackMatrixVectorEnv(num_envs=256)  # or gymnasium.make_vec("HackMatrix-v0", num_envs=256)
        obs, info = envs.reset(seed=0)
        obs, reward, terminated, truncated, info = envs.step(envs.action_masks().argmax(axis=1))

    Args:
        num_envs: games side by side.
        render_mode: None, "ansi" or "rgb_array".
        max_steps: actions after which an episode is cut.
        reward_weights: (15,), weights of the reward parts in the order of R10; default all 1.
        undo_depth: how many snapshots the games keep for UNDO (R8.3), as in `hackmatrix_core.reset`.

    Raises:
        ValueError: an argument is out of range.
    """

    metadata = Configured.metadata | {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        render_mode: str | None = None,
        max_steps: int = MAX_ACTIONS,
        reward_weights: np.ndarray | None = None,
        undo_depth: int = DEFAULT_UNDO_DEPTH,
    ) -> None:
        if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise ValueError(f"num_envs is {num_envs!r}, expected an integer of at least 1")
        self.num_envs = int(num_envs)
        super().__init__(render_mode, max_steps, reward_weights, undo_depth)
        self.single_observation_space, self.single_action_space = self.observation_space, self.action_space
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, self.num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, self.num_envs)
        self._reset, self._step = _programs(self._undo_depth)

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start all games anew (R2).

        Args:
            seed: makes these games and the ones after them the same each time; or one seed a game.
            options: None; there are none.

        Returns:
            The observations, float32 (N, 1545), and an empty info.

        Raises:
            ValueError: an option, or another number of seeds than games.
        """
        if options:
            raise ValueError(f"options has {next(iter(options))!r}, expected none")
        if isinstance(seed, Sequence):
            if len(seed) != self.num_envs:
                raise ValueError(f"seed has {len(seed)} entries, expected one for each of {self.num_envs} games")
            self._keys = jnp.stack([jax.random.key(one) for one in seed])
            self.np_random = np.random.default_rng(seed)
        else:
            super().reset(seed=seed)
            key = jax.random.key(self.np_random.integers(2**32, dtype=np.uint32))
            self._keys = jax.random.split(key, self.num_envs)
        self._time = 0
        self._state, obs, mask = self._reset(self._keys, self._params)
        self._mask = np.array(mask)
        return np.array(obs), {}

    def step(self, actions: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Carry out one action in each game.

        Args:
            actions: integers (N,); outside 0–27 they count as invalid (R4.2).

        Returns:
            observations: float32 (N, 1545); the new game's where one ended.
            rewards: float32 (N,).
            terminations: bool (N,), won, dead or invalid.
            truncations: bool (N,), cut after `max_steps` actions; never together with a termination.
            infos: `stage`, `score`, `hp`, `won`, `died`, `episode_return`, `episode_length` before the autoreset, and
                `reward_parts` by name (not weighted), arrays (N,). Where games ended also `final_obs`, (N,) of
                float32 (1545,) or None, `final_info`, the same entries, and which ones: `_final_obs`, `_final_info`.

        Raises:
            gymnasium.error.ResetNeeded: the games have not begun.
            TypeError: the actions are not integers.
            ValueError: they are not one a game.
        """
        state, given = self._running("step"), np.asarray(actions)
        if not np.issubdtype(given.dtype, np.integer):
            raise TypeError(f"actions have dtype {given.dtype}, expected integers from 0 to {NUM_ACTIONS - 1}")
        if given.shape != (self.num_envs,):
            raise ValueError(f"actions have shape {given.shape}, expected ({self.num_envs},), one a game")
        numbers = np.where((given >= 0) & (given < NUM_ACTIONS), given, -1).astype(np.int32)
        self._time += 1
        self._state, obs, mask, reward, info = self._step(
            self._keys, np.int32(self._time), state, numbers, self._params
        )
        final = info.pop("final_observation")  # stays on the device where no game ended
        obs, self._mask, reward, info = jax.tree.map(np.array, (obs, mask, reward, info))
        terminated, truncated, ended = (info.pop(name) for name in ("terminated", "truncated", "returned_episode"))
        infos: dict[str, Any] = dict(info)
        if ended.any():
            last = np.full(self.num_envs, None, object)
            observed = np.asarray(final)
            for i in np.flatnonzero(ended):
                last[i] = observed[i].copy()
            infos |= {"final_obs": last, "_final_obs": ended, "final_info": info, "_final_info": ended}
        return obs, reward, terminated, truncated, infos

    def render(self) -> tuple[Any, ...] | None:
        """The boards as texts ("ansi") or pictures, uint8 (height, width, 3) ("rgb_array")."""
        if self.render_mode is None:
            return None
        games = jax.device_get(self._running("render").game)
        return tuple(draw(jax.tree.map(lambda x, i=i: x[i], games), self.render_mode) for i in range(self.num_envs))
