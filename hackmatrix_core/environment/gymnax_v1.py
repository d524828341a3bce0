"""The environment in the API of gymnax 1.0, which distinguishes the end of a game from a cut."""

from typing import Any

import jax

from hackmatrix_core.environment.gymnax_env import EnvParams, EnvState, HackMatrixGymnax


class HackMatrixGymnaxV1(HackMatrixGymnax):
    """`HackMatrixGymnax` in the API of gymnax 1.0: six values per step.

    Observation, action, reward, state and keys are those of `HackMatrixGymnax`:

        env = HackMatrixGymnaxV1()
        obs, state = env.reset(key, params)
        obs, state, reward, terminated, truncated, info = env.step(key, state, action, params)

    gymnax's own wrappers work with it: `gymnax.wrappers.LogWrapper(HackMatrixGymnaxV1())`.
    """

    def step(  # type: ignore[override]  # six values, as gymnax 1.0 has it
        self, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams | None = None
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, jax.Array, dict[str, Any]]:
        """As `HackMatrixGymnax.step`, but `done` is in two.

        Returns:
            observation: of the state returned: the new game's after an end.
            state: `EnvState`.
            reward: () float32.
            terminated: () bool, won, dead or invalid.
            truncated: () bool, cut after `max_steps` actions; never together with terminated.
            info: `final_observation` is the one before the new game.
        """
        obs, state, reward, _, info = super().step(key, state, action, params)
        return obs, state, reward, info["terminated"], info["truncated"], info

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams | None = None
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[str, Any]]:
        """As `step` without the new game; five values: gymnax 1.0 leaves `truncated` to `is_truncated`."""
        obs, state, reward, _, info = super().step_env(key, state, action, params)
        return obs, state, reward, info["terminated"], info

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, EnvState]:
        """As `reset`."""
        return self.reset(key, params)

    def is_truncated(self, state: EnvState, params: EnvParams) -> jax.Array:
        """Whether the episode has reached `max_steps` actions: () bool. The state is one before the auto-reset."""
        return state.episode_length >= params.max_steps

    def observe(
        self, key: jax.Array, state: EnvState, action: jax.Array | None = None, params: EnvParams | None = None
    ) -> jax.Array:
        """The observation of the state; the other arguments are ignored."""
        del key, action, params
        return self.get_obs(state)
