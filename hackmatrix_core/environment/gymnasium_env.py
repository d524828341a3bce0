"""The environment in the API of Gymnasium: one game at a time, numpy in and out."""

import functools
import operator
from typing import Any, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.display import draw
from hackmatrix_core.environment.gymnax_env import MAX_ACTIONS, EnvParams, EnvState, HackMatrixGymnax
from hackmatrix_core.game import history, scenario
from hackmatrix_core.game.actions import NUM_ACTIONS
from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH

try:
    import gymnasium
except ImportError as error:
    raise ImportError("the Gymnasium environments need gymnasium: pip install 'gymnasium>=1.1'") from error

_ENV = HackMatrixGymnax()


@functools.partial(jax.jit, static_argnames="undo_depth")
def _reset(key: jax.Array, undo_depth: int) -> EnvState:
    return HackMatrixGymnax(undo_depth=undo_depth).reset(key)[1]


@jax.jit
def _step(key: jax.Array, state: EnvState, action: jax.Array, params: EnvParams) -> tuple[EnvState, jax.Array, dict]:
    _, state, reward, _, info = _ENV.step_env(jax.random.fold_in(key, state.episode_length), state, action, params)
    del info["final_observation"], info["returned_episode"]
    return state, reward, info


@jax.jit
def _look(state: EnvState) -> tuple[jax.Array, jax.Array]:
    return _ENV.get_obs(state), _ENV.get_action_mask(state)


class Configured:
    """What `HackMatrixGymnasium` and `HackMatrixVectorEnv` have in common: settings, and a state once they run."""

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012
    observation_space: gymnasium.Space
    action_space: gymnasium.Space
    _state: Any = None
    _mask: np.ndarray

    def __init__(
        self,
        render_mode: str | None = None,
        max_steps: int = MAX_ACTIONS,
        reward_weights: np.ndarray | None = None,
        undo_depth: int = DEFAULT_UNDO_DEPTH,
    ) -> None:
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise ValueError(f"render_mode is {render_mode!r}, expected None or one of {', '.join(modes)}")
        self.render_mode = render_mode
        self._params = EnvParams(max_steps).replace(max_steps=np.int32(max_steps))
        if reward_weights is not None:
            self._params = self._params.replace(reward_weights=np.asarray(reward_weights, np.float32))
        self._undo_depth = history.checked_depth(undo_depth)
        space = _ENV.observation_space()
        self.observation_space = gymnasium.spaces.Box(space.low, space.high, space.shape, np.float32)
        self.action_space = gymnasium.spaces.Discrete(NUM_ACTIONS)

    def _running(self, method: str) -> Any:
        if self._state is None:
            raise gymnasium.error.ResetNeeded(f"{method} needs an episode: call reset first")
        return self._state

    def action_masks(self) -> np.ndarray:
        """Which actions are valid (R4.1): bool (28,) a game, under the name that sb3-contrib asks for."""
        self._running("action_masks")
        return self._mask.copy()


class HackMatrixGymnasium(Configured, gymnasium.Env[np.ndarray, np.int64]):
    """HackMatrix in the API of Gymnasium; compiled once per process, for all instances.

    Observation: float32 (1545,), R11.
    Action: an integer; `action_masks`, also in each info as `action_mask`, tells which of 0–27 are valid (R4). Any
        other ends the episode (R4.2).
    Reward: the 15 parts of R10, weighted by `reward_weights`.
    Termination: the game is won, the player is dead, or the action was invalid. Truncation: after `max_steps` actions.
    Rendering: "ansi", coloured text; "rgb_array", uint8 (height, width, 3).

        env = HackMatrixGymnasium()  # or gymnasium.make("HackMatrix-v0")
        obs, info = env.reset(seed=0)
        obs, reward, terminated, truncated, info = env.step(int(np.argmax(env.action_masks())))

    sb3-contrib's MaskablePPO finds the mask by the name `action_masks`.

    Args:
        render_mode: None, "ansi" or "rgb_array".
        max_steps: actions after which an episode is cut.
        reward_weights: (15,), weights of the reward parts in the order of R10; default all 1.
        undo_depth: how many snapshots the game keeps for UNDO (R8.3), as in `hackmatrix_core.reset`.

    Raises:
        ValueError: an argument is out of range.
    """

    _over = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode with a new game (R2), or with the state of a scenario (R12).

        Args:
            seed: makes this episode and the ones after it the same each time.
            options: None, or {"scenario": dictionary of R12}.

        Returns:
            The observation, float32 (1545,), and the info: `action_mask`, bool (28,).

        Raises:
            ValueError: an unknown option, or a scenario that does not follow R12; the message names the place.
        """
        super().reset(seed=np.asarray(seed).tolist())
        options = options or {}
        if unknown := sorted(set(options) - {"scenario"}):
            raise ValueError(f"options has {unknown[0]!r}, expected only 'scenario', a dictionary as in R12")
        self._key = jax.random.key(self.np_random.integers(2**32, dtype=np.uint32))
        if "scenario" in options:
            self._state = EnvState(
                scenario.from_dict(options["scenario"], self._undo_depth), jnp.float32(0), jnp.int32(0)
            )
        else:
            self._state = _reset(self._key, self._undo_depth)
        self._over = False
        return self._looked(), {"action_mask": self.action_masks()}

    def step(self, action: SupportsIndex) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Carry out one action.

        Args:
            action: an integer; outside 0–27 it counts as invalid (R4.2).

        Returns:
            observation: float32 (1545,).
            reward: weighted sum of the parts.
            terminated: won, dead or invalid.
            truncated: cut after `max_steps` actions; never together with terminated.
            info: `reward_parts` (15 floats by name, not weighted), `stage`, `score`, `hp`, `won`, `died`,
                `episode_return`, `episode_length`, `action_mask`.

        Raises:
            gymnasium.error.ResetNeeded: the episode has not begun, or is over.
            TypeError: the action is not an integer.
        """
        state = self._running("step")
        if self._over:
            raise gymnasium.error.ResetNeeded("step needs a running episode, and this one is over: call reset first")
        try:
            index = operator.index(action)
        except TypeError:
            raise TypeError(f"action is {action!r}, expected an integer from 0 to {NUM_ACTIONS - 1}") from None
        number = np.int32(index if 0 <= index < NUM_ACTIONS else -1)
        self._state, reward, info = _step(self._key, state, number, self._params)
        info = jax.tree.map(lambda value: value.item(), jax.device_get(info))
        terminated, truncated = info.pop("terminated"), info.pop("truncated")
        self._over = terminated or truncated
        observation = self._looked()
        return observation, float(reward), terminated, truncated, info | {"action_mask": self.action_masks()}

    def render(self) -> str | np.ndarray | None:
        """The board as text ("ansi") or as a picture, uint8 (height, width, 3) ("rgb_array")."""
        if self.render_mode is None:
            gymnasium.logger.warn('render needs a render_mode: HackMatrixGymnasium(render_mode="ansi")')
            return None
        return draw(self._running("render").game, self.render_mode)

    def _looked(self) -> np.ndarray:
        observation, mask = jax.device_get(_look(self._state))
        self._mask = np.array(mask)
        return np.array(observation)
