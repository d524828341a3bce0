"""Looking ahead: Gumbel MuZero search with the game itself as the model.

Search: Danihelka et al. 2022, "Policy improvement by planning with Gumbel" (ICLR), as the library mctx has it. The
network says which actions are worth a try and what the states behind them are worth; the exact rules say what an action
brings. Chance in the tree comes from keys of its own, so the search knows no more of what will happen than a player
who knows the rules; each edge of the tree sees one outcome of it. But it starts from the whole state, and so knows what
an observation hides: cryptogs out of line, the types of transmissions, hidden blocks.
"""

import functools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, cast

import flax.struct
import jax
import jax.numpy as jnp
import mctx
import numpy as np

from hackmatrix_core.agent.network import Categorical, masked_categorical
from hackmatrix_core.agent.objective import Objective
from hackmatrix_core.agent.policy import NetworkPolicy, Policy
from hackmatrix_core.agent.tree import fast_loops
from hackmatrix_core.environment.gymnax_env import EnvParams, EnvState, HackMatrixGymnax
from hackmatrix_core.game import GameState, history
from hackmatrix_core.game.arguments import short

UNDO_DEPTH = 8
"""Snapshots that a state in the tree keeps. A path through the tree seldom goes back further, and states are copied."""
MAX_CONSIDERED = 8
"""Actions that are tried at the root: the likeliest ones or, where points count, drawn by how likely they are.
Sequential halving shares the simulations among them."""
VALUE_SCALE = 0.1
"""How much a difference of values counts beside one of the network's logits: times 50 plus the visits of the most
visited action. It is the default of mctx."""


class Thoughts(NamedTuple):
    """What a search found out about one state with A actions. Values are in the network's units."""

    action: jax.Array  # () int32, the choice
    policy: jax.Array  # (A,) float32, the improved policy
    visits: jax.Array  # (A,) int32, simulations that began with each action
    action_values: jax.Array  # (A,) float32, what each action is worth; 0 where it was not visited
    value: jax.Array  # () float32, of the state, as the mean over the simulations
    network_policy: jax.Array  # (A,) float32
    network_value: jax.Array  # () float32


def search(
    model: HackMatrixGymnax,
    objective: Objective,
    num_simulations: int,
    evaluate: Callable[[jax.Array], tuple[jax.Array, jax.Array]],
    params: EnvParams,
    state: EnvState,
    observation: jax.Array,
    mask: jax.Array,
    key: jax.Array,
) -> Thoughts:
    """Search from one state; `jax.vmap` searches from many side by side.

    Args:
        model: the environment, whose observations the network takes.
        objective: what the network's values count.
        num_simulations: states that are looked at, at least 1.
        evaluate: the network: observations (N, D) to logits (N, A) and values (N,).
        params: of the environment.
        state: of the environment.
        observation: (D,), of the state.
        mask: bool (A,), the valid actions of the state.
        key: decides all chance in the tree.
    """

    def step(_: None, unused_key: jax.Array, action: jax.Array, node: Any) -> tuple[mctx.RecurrentFnOutput, Any]:
        states, keys = node
        keys = jax.vmap(jax.random.fold_in)(keys, action)  # each edge is taken once, so this key is its own
        step_env = jax.vmap(model.step_env, (0, 0, 0, None))
        obs, states, reward, _done, info = step_env(keys, states, action, params)
        logits, value = evaluate(obs)
        prior = masked_categorical(logits, jax.vmap(model.get_action_mask)(states)).logits
        ended = info["terminated"]
        output = mctx.RecurrentFnOutput(
            reward=objective.learned(reward, info),
            discount=jnp.where(ended, 0.0, jnp.float32(objective.gamma)),
            prior_logits=prior,
            value=jnp.where(ended, 0.0, value),
        )
        return output, (states, keys)

    logits, value = evaluate(observation[None])
    prior = masked_categorical(logits, mask[None])
    search_key, chance_key = jax.random.split(key)
    root = jax.tree.map(lambda x: x[None], (state, chance_key))
    with (
        jax.numpy_dtype_promotion("standard"),  # mctx needs this one and the next
        jax.numpy_rank_promotion("allow"),
        fast_loops(),
    ):
        output = mctx.gumbel_muzero_policy(
            None,
            search_key,
            mctx.RootFnOutput(prior_logits=prior.logits, value=value, embedding=root),
            step,
            num_simulations,
            # Where no action is valid, all of them are equal (R4.1).
            invalid_actions=~mask[None] & jnp.any(mask),
            max_num_considered_actions=MAX_CONSIDERED,
            # The best action; where points count a sampled one, or many games would walk to and fro for ever.
            gumbel_scale=jnp.where(objective.points > 0, 1.0, 0.0),
            qtransform=_completed_values(objective),
        )
    found = output.search_tree.summary()
    thoughts = Thoughts(
        action=output.action.astype(jnp.int32),
        policy=output.action_weights,
        visits=found.visit_counts.astype(jnp.int32),
        action_values=jnp.where(found.visit_counts > 0, found.qvalues, 0.0),
        value=found.value,
        network_policy=prior.probs,
        network_value=value,
    )
    return jax.tree.map(lambda x: x[0], thoughts)


def _completed_values(objective: Objective) -> Callable[..., jax.Array]:
    """How mctx weighs the values of a state's actions, against the network's logits."""
    if not objective.symlog_rewards:
        return mctx.qtransform_completed_by_mix_value
    # By default mctx stretches the values to the range from 0 to 1, and with them the noise where all are alike. Under
    # symlog, a difference means the same in every state. Where points count, values are larger and so are their errors:
    # at full weight, they make the agent walk to and fro.
    scale = VALUE_SCALE / (1 + 2 * objective.points)
    return functools.partial(mctx.qtransform_completed_by_mix_value, rescale_values=False, value_scale=scale)


_ENV = HackMatrixGymnax(compact_observations=True)


@flax.struct.dataclass(eq=False)
class SearchPolicy:
    """A network that thinks before it acts: a policy like any other.

    Args:
        policy: of a trained network, as `load_policy` returns it.
        num_simulations: states that it looks at before each action, at least 1.

    Raises:
        TypeError: the policy has no network.
        ValueError: `num_simulations` is below 1.
    """

    policy: Policy
    num_simulations: int = flax.struct.field(pytree_node=False, default=32)
    takes_compact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.policy, NetworkPolicy):
            raise TypeError(
                f"policy is {short(getattr(self.policy, '__name__', self.policy))}, expected one with a network, as "
                "load_policy returns it: a search needs its probabilities and values"
            )
        count = self.num_simulations
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"num_simulations is {count!r}, expected an integer of at least 1")

    def __call__(self, state: GameState, observation: jax.Array, action_mask: jax.Array, key: jax.Array) -> jax.Array:
        """The action: () int32."""
        return self.think(state, observation, action_mask, key).action

    def think(self, state: GameState, observation: jax.Array, action_mask: jax.Array, key: jax.Array) -> Thoughts:
        """All that the search finds out; arguments as for any policy."""
        network = self._network
        params = EnvParams(reward_weights=network.objective.reward_weights)
        root = EnvState(history.recent(state, UNDO_DEPTH), jnp.float32(0), jnp.int32(0))
        settings = _ENV, network.objective, self.num_simulations
        return search(*settings, network.evaluate, params, root, observation, action_mask, key)

    @property
    def _network(self) -> NetworkPolicy:
        return cast(NetworkPolicy, self.policy)

    @property
    def objective(self) -> Objective:
        """What the values count."""
        return self._network.objective

    def distribution(self, observation: jax.Array, action_mask: jax.Array) -> tuple[Categorical, jax.Array]:
        """What the network alone thinks: its distribution over actions, and its value."""
        return self._network.distribution(observation, action_mask)
