"""Many games in one compiled step, in the vector API of Gymnasium: numpy in and out."""

import functools
from collections.abc import Sequence
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AutoresetMode
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

    def step(keys: Any, time: Any, states: EnvState, actions: Any, params: EnvParams, waiting: Any) -> Any:
        keys = jax.vmap(jax.random.fold_in, (0, None))(keys, time)
        obs, new, reward, _, info = jax.vmap(env.step, (0, 0, 0, None))(keys, states, actions, params)
        if waiting is not None:
            new = jax.vmap(lambda w, *both: jax.tree.map(functools.partial(jnp.where, w), *both))(waiting, states, new)
            reward = jnp.where(waiting, 0, reward)
            info |= {name: info[name] & ~waiting for name in ("terminated", "truncated", "returned_episode")}
            ended = info["returned_episode"][:, None]
            obs = jnp.where(ended, info["final_observation"], jax.vmap(env.get_obs)(new))
        return new, obs, jax.vmap(env.get_action_mask)(new), reward, info

    return compiled(reset), compiled(step, donate_argnums=2)


def _told(info: dict[str, Any], games: np.ndarray) -> dict[str, Any]:
    """The info with the masks that Gymnasium's wrappers look for: which games have each entry."""
    nested = {name: _told(entry, games) if isinstance(entry, dict) else entry for name, entry in info.items()}
    return nested | {f"_{name}": games for name in info}


class HackMatrixVectorEnv(Configured, gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """N games of HackMatrix in the vector API of Gymnasium, stepped together by one compiled program.

    Observation: float32 (N, 1545), R11.
    Action: integers (N,); `action_masks`, also in each info as `action_mask`, tells which of 0–27 are valid (R4). Any
        other ends the episode (R4.2).
    Reward: float32 (N,), the 15 parts of R10, weighted by `reward_weights`.
    Termination and truncation: bool (N,), as in `HackMatrixGymnasium`.
    Autoreset: in the same step. The observation is then the new game's; that of the end is in the info. Or, as many of
        Gymnasium's wrappers need it, in the next step: it ignores the action, rewards nothing and shows the new game.
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
        autoreset_mode: "SameStep" or "NextStep", or as a `gymnasium.vector.AutoresetMode`.

    Raises:
        ValueError: an argument is out of range.
    """

    metadata = Configured.metadata | {"autoreset_mode": AutoresetMode.SAME_STEP}
    _waiting: np.ndarray | None = None  # which games begin in the next step; None where all have begun in the same

    def __init__(
        self,
        num_envs: int = 1,
        render_mode: str | None = None,
        max_steps: int = MAX_ACTIONS,
        reward_weights: np.ndarray | None = None,
        undo_depth: int = DEFAULT_UNDO_DEPTH,
        autoreset_mode: str | AutoresetMode = AutoresetMode.SAME_STEP,
    ) -> None:
        if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise ValueError(f"num_envs is {num_envs!r}, expected an integer of at least 1")
        modes = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP
        if autoreset_mode not in (*modes, *(mode.value for mode in modes)):
            raise ValueError(f"autoreset_mode is {autoreset_mode!r}, expected 'SameStep' or 'NextStep'")
        self.metadata = self.metadata | {"autoreset_mode": AutoresetMode(autoreset_mode)}
        self.num_envs = int(num_envs)
        super().__init__(render_mode, max_steps, reward_weights, undo_depth)
        self.single_observation_space, self.single_action_space = self.observation_space, self.action_space
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, self.num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, self.num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start all games anew (R2).

        Args:
            seed: makes these games and the ones after them the same each time; or one seed a game, of which None is a
                random one.
            options: None; there are none.

        Returns:
            The observations, float32 (N, 1545), and the info: `action_mask`, bool (N, 28).

        Raises:
            ValueError: an option, another number of seeds than games, or one that is no integer of at least 0.
        """
        if options:
            raise ValueError(f"options has {next(iter(options))!r}, expected none")
        given = np.asarray(seed).tolist()
        if isinstance(given, list):
            if len(given) != self.num_envs:
                raise ValueError(f"seed has {len(given)} entries, expected one for each of {self.num_envs} games")
            seeds = [int(self.np_random.integers(2**32)) if one is None else one for one in given]
            if not all(isinstance(one, int | np.integer) and one >= 0 for one in seeds):
                raise ValueError(f"seed is {seed}, expected integers of at least 0, or None for a random one")
            words = (one if one < 2**32 else np.random.default_rng(one).integers(2**32) for one in seeds)
            self._keys = jnp.stack([jax.random.key(int(word)) for word in words])
            self.np_random = np.random.default_rng(seeds)
        else:
            super().reset(seed=given)
            key = jax.random.key(self.np_random.integers(2**32, dtype=np.uint32))
            self._keys = jax.random.split(key, self.num_envs)
        self._time = 0
        if self.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP:
            self._waiting = np.zeros(self.num_envs, bool)
        reset, _ = _programs(self._undo_depth)
        self._state, obs, mask = reset(self._keys, self._params)
        self._mask = np.array(mask)
        return np.array(obs), self._with_mask({})

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
                `reward_parts` by name (not weighted), arrays (N,), and `action_mask`. Where games ended and began in
                the same step also `final_obs`, (N,) of float32 (1545,) or None, and `final_info`, the same entries.
                For each entry `_ENTRY`, bool (N,), says which games have it.

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
        _, step = _programs(self._undo_depth)
        time = np.int32(self._time)
        self._state, obs, mask, reward, info = step(self._keys, time, state, numbers, self._params, self._waiting)
        final = info.pop("final_observation")  # stays on the device where no game ended
        obs, self._mask, reward, info = jax.tree.map(np.array, (obs, mask, reward, info))
        terminated, truncated, ended = (info.pop(name) for name in ("terminated", "truncated", "returned_episode"))
        infos = _told(info, np.ones_like(ended) if self._waiting is None else ~self._waiting)
        if self._waiting is not None:
            self._waiting = ended
        elif ended.any():
            last = np.full(self.num_envs, None, object)
            observed = np.asarray(final)
            for i in np.flatnonzero(ended):
                last[i] = observed[i].copy()
            infos |= _told({"final_obs": last, "final_info": info}, ended)
        return obs, reward, terminated, truncated, self._with_mask(infos)

    def _with_mask(self, infos: dict[str, Any]) -> dict[str, Any]:
        return infos | _told({"action_mask": self.action_masks()}, np.ones(self.num_envs, bool))

    def render(self) -> tuple[Any, ...] | None:
        """The boards as texts ("ansi") or pictures, uint8 (height, width, 3) ("rgb_array")."""
        if self.render_mode is None:
            return None
        games = jax.device_get(self._running("render").game)
        return tuple(draw(jax.tree.map(lambda x, i=i: x[i], games), self.render_mode) for i in range(self.num_envs))
