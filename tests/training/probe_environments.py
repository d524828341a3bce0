"""Environments so small that the right values and policies are known: each is solved only if one part of PPO is right.

The idea is Andy Jones's ("Debugging RL, without the agonizing pain"). All share the contract of the game's environment:
five values per step, auto-reset, a mask, and the same entries of `info`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hackmatrix_core.environment.gymnax_env import EnvParams
from hackmatrix_core.game.rewards import REWARD_PARTS


class ProbeState(NamedTuple):
    """State of a probe: what it is about, and the statistics of the episode."""

    cue: jax.Array  # () int32, what this episode is about
    time: jax.Array  # () int32, steps in this episode
    choice: jax.Array  # () int32, the first action of the episode
    total: jax.Array  # () float32, return so far


class Probe:
    """One-step episodes with two actions, observation [1] and reward 1, unless a subclass says otherwise."""

    num_actions = 2
    default_params = None
    steps = 1
    """Episode length."""
    cuts = False
    """Whether the episode is truncated at its end instead of terminated."""

    def cue(self, key: jax.Array) -> jax.Array:
        return jnp.zeros((), jnp.int32)

    def observe(self, state: ProbeState) -> jax.Array:
        return jnp.ones((1,), jnp.float32)

    def reward(self, state: ProbeState, action: jax.Array) -> jax.Array:
        return jnp.ones((), jnp.float32)

    def get_action_mask(self, state: ProbeState) -> jax.Array:
        return jnp.ones((self.num_actions,), bool)

    def reset(self, key, params):
        zero = jnp.zeros((), jnp.int32)
        state = ProbeState(self.cue(key), zero, zero, jnp.zeros((), jnp.float32))
        return self.observe(state), state

    def step(self, key, state, action, params):
        obs, after, reward, done, info = self.step_env(key, state, action, params)
        fresh_obs, fresh = self.reset(key, params)
        state = jax.tree.map(lambda new, old: jnp.where(done, new, old), fresh, after)
        return jnp.where(done, fresh_obs, obs), state, reward, done, info

    def step_env(self, key, state, action, params):
        first = jnp.where(state.time == 0, action, state.choice)
        state = state._replace(choice=first)
        reward = self.reward(state, action)
        after = state._replace(time=state.time + 1, total=state.total + reward)
        done = after.time >= self.steps
        info = {
            "terminated": done & (not self.cuts),
            "truncated": done & self.cuts,
            "won": jnp.zeros((), bool),
            "stage": jnp.ones((), jnp.int32),
            "score": jnp.zeros((), jnp.int32),
            "hp": jnp.ones((), jnp.int32),
            "final_observation": self.observe(after),
            "episode_return": after.total,
            "episode_length": after.time,
            "returned_episode": done,
            "reward_parts": {"only": reward},
        }
        return self.observe(after), after, reward, done, info


class ConstantReward(Probe):
    """Value 1: wrong if the value loss or the optimiser is."""


class CuedValue(Probe):
    """Reward is what is seen, +1 or −1: wrong if observations and targets are out of step."""

    def cue(self, key):
        return jax.random.bernoulli(key).astype(jnp.int32)

    def observe(self, state):
        return jnp.stack([state.cue, 1 - state.cue]).astype(jnp.float32)

    def reward(self, state, action):
        return jnp.where(state.cue == 1, 1.0, -1.0)


class TwoStepCredit(Probe):
    """The first of two actions earns 1 (action 1) or 0 (action 0), one step later: wrong if credit does not go back."""

    steps = 2

    def observe(self, state):
        return jnp.stack([state.time == 0, state.time > 0, state.choice == 1]).astype(jnp.float32)

    def reward(self, state, action):
        return jnp.where(state.time == 1, state.choice.astype(jnp.float32), 0.0)


class CuedAction(CuedValue):
    """Reward 1 for the action that the observation names, else 0: wrong if policy gradient and observation part."""

    def reward(self, state, action):
        return (action == state.cue).astype(jnp.float32)


class WeightedAction(Probe):
    """Action 1 earns a kill, action 0 half a victory: wrong if the weights of reward parts do not reach the step."""

    default_params = EnvParams()

    def step_env(self, key, state, action, params):
        obs, after, _, done, info = super().step_env(key, state, action, params)
        kill, victory = (params.reward_weights[REWARD_PARTS.index(name)] for name in ("kills", "victory"))
        reward = jnp.where(action == 1, kill, 0.5 * victory)
        return obs, after, reward, done, info | {"episode_return": state.total + reward}


class MaskedAction(Probe):
    """Four actions, worth 0, 1, 2, 3; cue says which one is invalid and costs 100; the observation says nothing.

    The best is the highest valid action: wrong if the mask belongs to another state than the action.
    """

    num_actions = 4

    def cue(self, key):
        return jax.random.randint(key, (), 0, 4, jnp.int32)

    def get_action_mask(self, state):
        return jnp.arange(4, dtype=jnp.int32) != state.cue

    def reward(self, state, action):
        return jnp.where(action == state.cue, -100.0, action.astype(jnp.float32))


class Terminating(Probe):
    """Reward 1 for each of 4 steps that look alike, then the end."""

    steps = 4


class Truncating(Terminating):
    """The same, cut off instead: the value is that of going on for ever, 1 / (1 − gamma)."""

    cuts = True
