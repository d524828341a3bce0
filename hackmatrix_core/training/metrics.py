"""What a rollout shows of its episodes and actions, summed up while it is played."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.game.vectorization.rows import FUSED

EPISODE_MEANS = ("episode_return", "episode_length", "final_stage", "win_rate")
"""Metrics that have no value where no episode ended."""
_JAX_CONFIG: Any = jax.config  # the types of some releases of JAX lack its options


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Metrics(Mapping[str, jax.Array]):
    """Numbers, and rows of numbers, by name; a mapping that is held as one array.

    Compiling takes time for each array that a loop carries or a program returns.
    """

    slots: tuple[tuple[str, int | None], ...] = dataclasses.field(metadata={"static": True})
    """The names, each with the length of its row, None for a number."""
    numbers: jax.Array
    """float32 (…, K), one after the other; leading axes where a loop or `jax.vmap` has made some."""

    @classmethod
    def of(cls, **numbers: jax.Array) -> Self:
        """These arrays, () or (K,), as float32."""
        slots = tuple((name, x.shape[0] if x.ndim else None) for name, x in numbers.items())
        return cls(slots, jnp.concatenate([x.astype(jnp.float32).reshape(-1) for x in numbers.values()]))

    def __getitem__(self, name: str) -> jax.Array:
        start = 0
        for other, length in self.slots:
            if other == name:
                return self.numbers[..., start] if length is None else self.numbers[..., start : start + length]
            start += length or 1
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.slots)

    def __len__(self) -> int:
        return len(self.slots)

    def joined_with(self, other: "Metrics") -> "Metrics":
        """These and the others, whose names are different."""
        return Metrics(self.slots + other.slots, jnp.concatenate([self.numbers, other.numbers], axis=-1))


def rollout_sums(info: dict[str, Any], action: jax.Array, num_actions: int) -> Metrics:
    """Sums over the environments of what one step reports, so that a long rollout stays small.

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
    finals = {name: jnp.where(ended, x, jnp.zeros_like(x)) for name, x in finals.items()}
    told = finals | {f"reward/{name}": part for name, part in info["reward_parts"].items()}
    taken = action[None] == np.arange(num_actions, dtype=np.int32)[:, None]
    sums = [_sums(list(told.values())), jnp.sum(taken, axis=1, dtype=jnp.float32)]
    return Metrics((*((name, None) for name in told), ("action_share", num_actions)), jnp.concatenate(sums))


def _sums(arrays: list[jax.Array]) -> jax.Array:
    """The sum of each array, (N,): float32 (K,). As many at a time as fit into one kernel."""
    parts = [arrays[i : i + FUSED] for i in range(0, len(arrays), FUSED)]
    return jnp.concatenate([jnp.sum(jnp.stack([x.astype(jnp.float32) for x in part]), axis=1) for part in parts])


def rollout_metrics(sums: Metrics) -> Metrics:
    """What a rollout shows, from the sums over all its steps and environments: float32 scalars and a row.

    Returns:
        `episodes` that ended, and over these the means `episode_return`, `episode_length`, `final_stage` (a win counts
        one more than the last stage) and `win_rate`, NaN if there are none (0 with `jax_debug_nans`, which ends a
        program at any NaN); `reward/PART`, mean over steps; `action_share`, (A,), the share of each action.
    """
    episodes, steps = sums["episodes"], jnp.sum(sums["action_share"])
    over_steps = np.concatenate(
        [np.full(length or 1, name.startswith(("reward/", "action_share"))) for name, length in sums.slots]
    )
    is_count = np.arange(len(over_steps)) == list(sums).index("episodes")
    number = jnp.where(is_count, 1.0, jnp.where(over_steps, steps, episodes))
    nothing = 0.0 if _JAX_CONFIG.jax_debug_nans else np.nan
    means = jnp.where(number > 0, sums.numbers / jnp.maximum(number, 1.0), nothing)
    return dataclasses.replace(sums, numbers=means)
