"""What a rollout shows of the episodes and the actions in it, summed up while it is played."""

import dataclasses
from typing import Any, Self

import jax
import jax.numpy as jnp

Metrics = dict[str, jax.Array]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Named:
    """Numbers with names, held as one array: compiling takes time for each array that a loop carries or returns."""

    names: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    values: jax.Array
    """float32, the names along the first axis (behind that of the steps where a loop has returned it)."""

    @classmethod
    def of(cls, numbers: Metrics) -> Self:
        """The numbers, all of one shape, as float32."""
        return cls(tuple(numbers), jnp.stack([number.astype(jnp.float32) for number in numbers.values()]))

    def as_dict(self) -> Metrics:
        """The numbers by name."""
        return dict(zip(self.names, self.values, strict=True))


def rollout_sums(info: dict[str, Any], action: jax.Array, num_actions: int) -> tuple[Named, jax.Array]:
    """Sums over the environments of what is told of one step, so that a long rollout stays small; and of the actions.

    The names are those of `rollout_metrics`.
    """
    ended = info["returned_episode"] & info.get("full_game", True)
    # The final stage counts a win as one more than the last stage.
    finals = {
        "episodes": jnp.ones_like(ended),
        "episode_return": info["episode_return"],
        "episode_length": info["episode_length"],
        "final_stage": info["stage"] + info["won"].astype(jnp.int32),
        "win_rate": info["won"],
    }
    finals = {name: jnp.where(ended, value.astype(jnp.float32), 0.0) for name, value in finals.items()}
    told = Named.of(finals | {f"reward/{name}": value for name, value in info["reward_parts"].items()})
    taken = jax.nn.one_hot(action, num_actions, dtype=jnp.float32)
    return jax.tree.map(lambda x: jnp.sum(x, axis=1), told), jnp.sum(taken, axis=0)


def rollout_metrics(sums: Named, taken: jax.Array) -> Metrics:
    """What a rollout shows: float32 scalars, and the share of each action.

    Args:
        sums: over all steps and environments.
        taken: float32 (A,), how often each action was taken.

    Returns:
        `episodes` that ended, and over these the means `episode_return`, `episode_length`, `final_stage` (a win counts
        one more than the last stage) and `win_rate`, NaN if there are none; `reward/PART`, mean over steps;
        `action_share`, float32 (A,).
    """
    totals, steps = sums.as_dict(), jnp.sum(taken)
    episodes = totals.pop("episodes")
    means = {name: total / (steps if name.startswith("reward/") else episodes) for name, total in totals.items()}
    return means | {"episodes": episodes, "action_share": taken / steps}
