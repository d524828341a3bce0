"""Many games in one compiled step for Stable-Baselines3: its `VecEnv`, around `HackMatrixVectorEnv`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hackmatrix_core.environment.vector_env import HackMatrixVectorEnv

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise ImportError("HackMatrixVecEnv needs stable-baselines3: pip install sb3-contrib") from error


class HackMatrixVecEnv(VecEnv):
    """N games of HackMatrix as Stable-Baselines3 takes them; sb3-contrib's MaskablePPO finds the masks by itself.

        model = MaskablePPO("MlpPolicy", HackMatrixVecEnv(num_envs=256), n_steps=64)

    The info of a game that ended holds `terminal_observation`, `TimeLimit.truncated` and `episode` (its return and
    length), from which Stable-Baselines3 takes its statistics.

    Args:
        num_envs: games side by side.
        options: those of `HackMatrixVectorEnv`, without `autoreset_mode`.
    """

    def __init__(self, num_envs: int = 1, **options: Any) -> None:
        self.envs = HackMatrixVectorEnv(num_envs, **options, autoreset_mode="SameStep")
        self.render_mode = self.envs.render_mode
        super().__init__(num_envs, self.envs.single_observation_space, self.envs.single_action_space)

    def reset(self) -> np.ndarray:
        """Start all games anew: the observations, float32 (N, 1545). Seeds are those given to `seed`, once."""
        seeds = [seed for seed in self._seeds if seed is not None]
        obs, _ = self.envs.reset(seed=seeds if len(seeds) == self.num_envs else None)
        self._reset_seeds()
        self._reset_options()
        return obs

    def step_async(self, actions: np.ndarray) -> None:
        """Note the actions of the next step."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Observations, rewards, which games ended, and an info a game."""
        obs, rewards, terminated, truncated, told = self.envs.step(self._actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(terminated | truncated):
            infos[i] = {
                "terminal_observation": told["final_obs"][i],
                "TimeLimit.truncated": bool(truncated[i]),
                "episode": {"r": float(told["episode_return"][i]), "l": int(told["episode_length"][i]), "t": 0.0},
                "stage": int(told["stage"][i]),
                "is_success": bool(told["won"][i]),
            }
        return obs, rewards, terminated | truncated, infos

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute, as often as there are games."""
        return [getattr(self.envs, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """The games have no attributes of their own.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(f"{attr_name} cannot be set: the games have no attributes of their own")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **options: Any) -> list[Any]:
        """What a method gives for each game: `action_masks`, bool (28,), or `render`."""
        results = getattr(self.envs, method_name)(*args, **options)
        return [results[i] for i in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """No game is wrapped."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """The boards as pictures, with `render_mode="rgb_array"`."""
        return self.envs.render() or [None] * self.num_envs
