"""The settings of a run that are numbers: arguments of its compiled program, so that another value compiles nothing."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.agent.objective import Objective
from hackmatrix_core.errors import shown
from hackmatrix_core.game.rewards import REWARD_PARTS
from hackmatrix_core.training.config import TrainConfig


class Hyperparameters(NamedTuple):
    """The fields of `TrainConfig` of the same names: () float32, plain or traced."""

    learning_rate: Any
    gamma: Any
    gamma_to: Any
    gae_lambda: Any
    clip_eps: Any
    vf_coef: Any
    ent_coef: Any
    uniform_coef: Any
    anneal_to: Any
    max_grad_norm: Any
    shaping: Any
    shaping_fades: Any
    points: Any
    later_starts: Any
    reward_weights: Any
    """(15,) float32, in the order of R10."""

    def replaced(self, values: Mapping[str, Any]) -> Self:
        """These with some others: hyperparameters, and weights of reward parts, by name."""
        numbers = {name: jnp.asarray(value, jnp.float32) for name, value in values.items()}
        weights = self.reward_weights
        for part in REWARD_PARTS:
            if part in numbers:
                weights = jnp.asarray(weights).at[REWARD_PARTS.index(part)].set(numbers.pop(part))
        return self._replace(**numbers, reward_weights=weights)

    @classmethod
    def of(cls, config: TrainConfig) -> Self:
        """Those of a config; reward parts that it does not name have weight 1."""
        numbers = {name: np.float32(getattr(config, name)) for name in cls._fields if name != "reward_weights"}
        weights = [config.reward_weights.get(part, 1.0) for part in REWARD_PARTS]
        return cls(**numbers, reward_weights=np.array(weights, np.float32))

    def objective(self, symlog_rewards: bool, done: Any = 1.0) -> Objective:
        """What a value counts when this share of the run is done: a number, or () float32 where it is traced."""
        numpy: Any = jnp if isinstance(done, jax.Array) else np
        one = np.float32(1)
        rises, fades = self.gamma_to > 0, self.shaping_fades > 0
        factor = numpy.where(rises, one - self.gamma_to, one) / numpy.where(rises, one - self.gamma, one)
        gamma = numpy.where(rises, one - (one - self.gamma) * factor**done, self.gamma)
        left = numpy.maximum(one - done / numpy.where(fades, self.shaping_fades, one), np.float32(0))
        shaping = self.shaping * numpy.where(fades, left, one)
        return Objective(gamma, symlog_rewards, shaping, self.points, self.reward_weights)

    def annealing(self, done: jax.Array) -> jax.Array:
        """The fraction of learning rate, ent_coef and uniform_coef that is left by then: () float32."""
        return 1.0 - (1.0 - self.anneal_to) * jnp.minimum(done, 1.0)


VARIABLE = (*(name for name in Hyperparameters._fields if name != "reward_weights"), *REWARD_PARTS)
"""What can vary inside one program: hyperparameters, and the weights of reward parts."""


def check_varied(names: Collection[str]) -> None:
    """Raise a ValueError unless all of these are `VARIABLE`."""
    if isinstance(names, str):
        raise ValueError(f"vary is {names!r}, expected several names, as in ({names!r},)")
    for name in names:
        if name == "seed":
            raise ValueError("vary has seed, and the key takes its place: train with other keys")
        if name in TrainConfig.__dataclass_fields__ and name not in VARIABLE:
            raise ValueError(
                f"vary has {name}, which cannot vary inside a program: {_WHY_NOT.get(name, _SHAPES)}. Make a program "
                "for each of its values, as hackmatrix sweep does"
            )
        if name not in VARIABLE:
            raise ValueError(f"vary has {shown(name)}, expected names among {', '.join(VARIABLE)}")


_SHAPES = "it decides the shapes of arrays"
_WHY_NOT = {
    "symlog_rewards": "it decides what is computed",
    "reward_weights": "it is a dictionary (name its parts instead)",
}


def check_values(names: Collection[str], values: Mapping[str, Any], config: TrainConfig) -> None:
    """Raise a ValueError unless there is one value for each of these names, in its range if it is not traced."""
    if set(values) != set(names):
        given, expected = (", ".join(sorted(x)) or "none" for x in (values, names))
        raise ValueError(f"the values given are {given}, expected are {expected}: those that vary names")
    for name, value in values.items():
        if np.ndim(value):
            raise ValueError(f"{name} has shape {np.shape(value)}, expected one number: map over it with jax.vmap")
    known = {name: value for name, value in values.items() if not isinstance(value, jax.core.Tracer)}
    config.with_values({name: value.item() if hasattr(value, "item") else value for name, value in known.items()})
