"""The fixed parts of a training run and what it starts from: environment, network, optimiser, first state.

The environments of a run may be spread over devices (see `devices`); `Agent.axis` then names the axis of devices. What
is random in an environment depends on its number in the whole run, so the number of devices does not change what is
computed, except for rounding.
"""

import dataclasses
from collections.abc import Collection
from typing import Any, NamedTuple, Protocol, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from hackmatrix_core.agent import own_network
from hackmatrix_core.agent.network import ActorCritic, network_input
from hackmatrix_core.agent.objective import Objective
from hackmatrix_core.agent.perception import Percept
from hackmatrix_core.game.rewards import REWARD_PARTS
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.hyperparameters import Hyperparameters


class Environment(Protocol):
    """What PPO needs from an environment: the functions of one game, which it maps over a batch with `jax.vmap`.

    `info` of a step holds `terminated`, `truncated`, `won` (bool), `stage` (int), `final_observation` (the
    observation before the auto-reset), `episode_return`, `episode_length` (of the episode that the step belongs to),
    `returned_episode` (bool: it ended here) and `reward_parts` (a dict). It may hold `full_game` (bool): the metrics of
    episodes leave out those where it is False. An environment may give observations in a compact dtype; it then has
    `decode_observation`, which makes float32 of them, on any leading batch shape.
    """

    @property
    def num_actions(self) -> int:
        """How many actions there are, valid or not."""

    @property
    def default_params(self) -> Any:
        """What `reset` and `step` are given."""

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        """Observation and state of a new episode."""

    def step(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> tuple[jax.Array, Any, Any, Any, dict]:
        """Observation, state, reward, done and info after one action; a finished episode starts over."""

    def get_action_mask(self, state: Any) -> jax.Array:
        """Which actions are valid: bool (num_actions,)."""


class RunnerState(NamedTuple):
    """All that passes from one update to the next, which is also all that a checkpoint keeps."""

    params: Any  # parameters of the network
    opt_state: Any  # state of the optimiser
    env_state: Any  # (num_envs, …) states of the environments, with their episode statistics
    obs: jax.Array  # (num_envs, D) observations of these states
    key: jax.Array  # () typed key
    update: jax.Array  # () int32, updates done


class Agent(NamedTuple):
    """The parts of a training run that are not state.

    As `make_agent` gives it, the agent is at the beginning of the run, with the config's hyperparameters; `using` gives
    it others, and `at` is the agent later in the run.
    """

    config: TrainConfig
    env: Environment
    env_params: Any
    network: nn.Module
    hyperparameters: Hyperparameters
    objective: Objective
    annealing: float | jax.Array = 1.0
    """() float32, the fraction of learning rate, ent_coef and uniform_coef that is left (`TrainConfig.anneal_to`)."""
    axis: str | None = None
    """Name of the axis of devices that the environments are spread over; None on one device."""

    def using(self, hyperparameters: Hyperparameters) -> Self:
        """The agent with these instead, which may be traced; what depends on the share that is done follows by `at`."""
        env_params = self.env_params
        if getattr(env_params, "later_starts", None) is not None:
            env_params = env_params.replace(later_starts=hyperparameters.later_starts)
        return self._replace(hyperparameters=hyperparameters, env_params=env_params)

    def at(self, done: jax.Array) -> Self:
        """The agent as it plays and learns when this share of the run is done, () float32 from 0 to 1."""
        objective = self.hyperparameters.objective(bool(self.config.symlog_rewards), done)
        env_params = self.env_params
        if hasattr(env_params, "reward_weights"):
            env_params = env_params.replace(reward_weights=objective.reward_weights)
        annealing = self.hyperparameters.annealing(done)
        return self._replace(objective=objective, annealing=annealing, env_params=env_params)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Adam with a learning rate; a schedule, as far as its state is concerned, whatever the rate."""
        rate = self.hyperparameters.learning_rate * self.annealing
        clip = optax.clip_by_global_norm(self.hyperparameters.max_grad_norm)
        return optax.chain(clip, optax.adam(lambda _: rate, eps=1e-5))

    def apply(self, params: Any, inputs: jax.Array | Percept) -> tuple[jax.Array, jax.Array]:
        """Logits and values of network inputs."""
        outputs: Any = self.network.apply(params, self._decode(inputs))
        return outputs

    def init(self, key: jax.Array, obs: jax.Array) -> Any:
        """Fresh parameters for observations like these; under `jax.vmap` one key after the other.

        Initialisers may decompose matrices, and a batch of QR decompositions may hang on a CPU: see `orthogonal`.
        """

        @jax.custom_batching.sequential_vmap
        def init(key: jax.Array, obs: jax.Array) -> Any:
            return self.network.init(key, self._decode(self.network_input(obs)))

        return init(key, obs)

    def network_input(self, obs: jax.Array) -> jax.Array | Percept:
        """What a rollout stores of observations, (N, D): themselves, or what the network perceives in them."""
        return network_input(self.network, obs)

    def _decode(self, inputs: jax.Array | Percept) -> jax.Array | Percept:
        """Network inputs as its layers take them: observations as float32."""
        if isinstance(inputs, Percept) or not hasattr(self.env, "decode_observation"):
            return inputs
        return self.env.decode_observation(inputs)

    def env_keys(self, key: jax.Array, count: int, times: int) -> jax.Array:
        """Keys for each of the device's `count` environments: (times, count)."""
        first = jnp.arange(times, dtype=jnp.int32)[:, None] * self.config.num_envs
        numbers = first + numbers_of(count, self.axis)[None]
        return jax.vmap(jax.vmap(jax.random.fold_in, (None, 0)), (None, 0))(key, numbers)


def make_network(config: TrainConfig, num_actions: int) -> nn.Module:
    """The network of a config.

    Raises:
        NetworkError: it is one of the user's own that cannot be imported.
    """
    if config.network is not None:
        return own_network.from_name(config.network)
    return ActorCritic(num_actions, config.hidden_dim, config.num_layers, config.cell_dim)


def make_agent(
    config: TrainConfig, env: Environment, network: nn.Module | None = None, vary: Collection[str] = ()
) -> Agent:
    """Network, optimiser and the environment's parameters for a config.

    Reward weights of the environment count where the config has none; the agent's config has all of them, and the name
    of a network that is given.

    Args:
        config: of the run.
        env: what it plays.
        vary: hyperparameters that `Agent.using` may set although the config leaves them out (later starts).

    Raises:
        NetworkError: the network cannot be imported, or cannot be trained.
        ValueError: the config asks for what the environment does not have (later starts, reward weights).
    """
    env_params, name = env.default_params, type(env).__name__
    if config.later_starts or "later_starts" in vary:
        if not hasattr(env_params, "later_starts"):
            raise ValueError(f"later_starts is {config.later_starts}, but {name} has no later starts. Set it to 0")
        env_params = env_params.replace(later_starts=config.later_starts)
    if hasattr(env_params, "reward_weights"):
        own = [float(str(weight)) for weight in np.asarray(env_params.reward_weights)]  # 0.1, not 0.10000000149
        weights = {
            part: config.reward_weights.get(part, weight)
            for part, weight in zip(REWARD_PARTS, own, strict=True)
            if weight != 1 or config.reward_weights.get(part, 1) != 1
        }
        config = dataclasses.replace(config, reward_weights=weights)
    else:
        for field, plain in {"reward_weights": {}, "shaping": 1, "shaping_fades": 0, "points": 0}.items():
            if (value := config.to_dict()[field]) != plain:
                raise ValueError(f"{field} is {value}, but {name} has no reward weights. Set it to {plain}")
        if unused := {*REWARD_PARTS, "shaping", "shaping_fades", "points"}.intersection(vary):
            raise ValueError(f"vary has {min(unused)}, but {name} has no reward weights. Leave it out")
    hyperparameters = Hyperparameters.of(config)
    objective = hyperparameters.objective(bool(config.symlog_rewards), done=0.0)
    if hasattr(env_params, "reward_weights"):
        env_params = env_params.replace(reward_weights=objective.reward_weights)
    is_own = network is not None or config.network is not None
    network = make_network(config, env.num_actions) if network is None else network
    if is_own:
        obs, _ = jax.eval_shape(env.reset, jax.random.key(0), env_params)
        own_network.check(network, obs.shape[-1], env.num_actions)
        config = dataclasses.replace(config, network=own_network.name_of(network))
    return Agent(config, env, env_params, network, hyperparameters, objective)


def numbers_of(count: int, axis: str | None) -> jax.Array:
    """The numbers, in the whole run, of the `count` things that are this device's share: int32 (count,)."""
    first = 0 if axis is None else lax.axis_index(axis) * count
    return first + jnp.arange(count, dtype=jnp.int32)


def mean_over_devices(x: jax.Array, axis: str | None) -> jax.Array:
    """The mean over all elements, on all devices."""
    return over_devices(jnp.mean(x), axis)


def over_devices(tree: Any, axis: str | None) -> Any:
    """The mean over devices of each array."""
    return tree if axis is None else lax.pmean(tree, axis)


def init_runner(agent: Agent, key: jax.Array) -> RunnerState:
    """The state before the first update: fresh parameters and new episodes.

    Args:
        agent: the run's fixed parts.
        key: a typed key, `jax.random.key(seed)`.
    """
    key, network_key, env_key = jax.random.split(key, 3)
    env = agent.env
    count = agent.config.num_envs // (1 if agent.axis is None else lax.axis_size(agent.axis))
    obs, env_state = jax.vmap(env.reset, (0, None))(agent.env_keys(env_key, count, 1)[0], agent.env_params)
    params = agent.init(network_key, obs[:1])
    return RunnerState(params, agent.optimizer.init(params), env_state, obs, key, jnp.zeros((), jnp.int32))


def as_plain(tree: Any) -> Any:
    """A runner, or any arrays, with words in place of typed keys, which neither files nor messages can hold."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, tree)


def is_finite(params: Any) -> bool:
    """Whether all parameters of a network are finite; on this process."""
    return all(bool(np.all(np.isfinite(leaf))) for leaf in jax.tree.leaves(params))


def is_key(leaf: Any) -> bool:
    """Whether this is an array of typed keys, or the shape of one."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
