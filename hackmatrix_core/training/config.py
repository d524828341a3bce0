"""The settings of a training run, checked when they are created.

`TrainConfig()` is the preset `plan`, plain PPO without the recipe; `TrainConfig.preset("t4")` starts from a named set.
"""

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from flax.core import FrozenDict

from hackmatrix_core.errors import shown
from hackmatrix_core.game.rewards import REWARD_PARTS

MAX_SEED = 2**32 - 1
"""The largest seed of a game or a run."""
MAX_MINUTES = 1_000_000
"""The longest training run, almost two years."""
_LARGEST = float(np.finfo(np.float32).max)
_REMOVED = {"value_bins": 0, "num_simulations": 0}
"""Fields of earlier versions, which stored configs have, with the values that mean what this version does."""


def _option(default: Any, text: str, *, low: float = -_LARGEST, high: float = _LARGEST, above: bool = False) -> Any:
    """A field with its help text and its range; `above` excludes `low` itself."""
    return dataclasses.field(default=default, metadata={"help": text, "low": low, "high": high, "above": above})


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what a training run computes. Same config, same machine: same result, bit for bit.

    One update collects `num_envs` × `num_steps` steps and goes over them `update_epochs` times in `num_minibatches`
    parts, each made of whole environments.

    Raises:
        ValueError: a field has the wrong type, is out of range, or does not fit another field. The message names
            the field, its value and what to do.
    """

    num_envs: int = _option(256, "environments that run side by side", low=1)
    num_steps: int = _option(128, "steps of each environment in one update", low=1)
    total_timesteps: int = _option(10_000_000, "steps of all environments together, over the whole run", low=1)
    learning_rate: float = _option(2.5e-4, "step size of Adam", low=0.0, above=True)
    gamma: float = _option(0.99, "discount of a reward one step later", low=0.0, high=1.0)
    gamma_to: float = _option(
        0.0,
        "gamma at the end of the run; 1 - gamma is multiplied by the same factor in each update; with 0 it stays",
        low=0.0,
        high=1.0,
    )
    gae_lambda: float = _option(0.95, "weight of long returns in the advantage estimate", low=0.0, high=1.0)
    num_minibatches: int = _option(4, "parts of one pass over the collected steps; divides num_envs", low=1)
    update_epochs: int = _option(4, "passes over the collected steps in one update", low=1)
    clip_eps: float = _option(0.2, "how far the probability ratio may move before it is clipped", low=0.0, above=True)
    vf_coef: float = _option(0.5, "weight of the value loss", low=0.0)
    ent_coef: float = _option(0.1, "weight of the entropy bonus; higher explores more", low=0.0)
    uniform_coef: float = _option(
        0.0,
        "weight of the divergence of a uniform choice from the policy; keeps every valid action alive, where the "
        "entropy bonus lets rare ones die",
        low=0.0,
    )
    anneal_to: float = _option(
        1.0,
        "fraction of learning_rate, ent_coef and uniform_coef that is left at the end of the run; they fall linearly, "
        "and if total_timesteps is raised they go back up to their values in the longer run",
        low=0.0,
        high=1.0,
    )
    max_grad_norm: float = _option(0.5, "norm to which longer gradients are scaled down", low=0.0, above=True)
    hidden_dim: int = _option(256, "units of each hidden layer", low=1)
    num_layers: int = _option(2, "hidden layers", low=1)
    cell_dim: int = _option(
        0, "learned features of each cell of the perceived board; 0 for dense layers on the plain observation", low=0
    )
    network: str | None = _option(
        None,
        "a network of your own (docs/own_parts.md), as in my_module:MyNetwork(width=64), in place of the package's, "
        "whose sizes (hidden_dim, num_layers, cell_dim) then mean nothing",
    )
    symlog_rewards: int = _option(
        0,
        "1: learn from sign(r) × log(1 + |r|) instead of the reward r; hit points, credits, energy count as they are",
        low=0,
        high=1,
    )
    shaping: float = _option(
        1.0,
        "weight of the reward parts that show a beginner the way and that UNDO lets an expert earn again and again: "
        "data_siphon, kills, distance_shaping, score_gain",
        low=0.0,
        high=1.0,
    )
    shaping_fades: float = _option(
        0.0, "share of the run over which shaping falls linearly to 0; with 0 it does not fall", low=0.0, high=1.0
    )
    points: float = _option(
        0.0,
        "what a point of the score counts when it is earned, beside the (symlog) reward; taken back in a lost game",
        low=0.0,
    )
    reward_weights: Mapping[str, float] = _option(
        FrozenDict(), "weights of reward parts (R10) by name, as in {'kills': 3}; 1 for the others"
    )
    later_starts: float = _option(
        0.0, "share of the training games that start in a later stage, with programs", low=0.0, high=1.0
    )
    seed: int = _option(0, "seed for all randomness of the run", low=0, high=MAX_SEED)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check: Any = {"reward_weights": _checked_weights, "network": _checked_name}.get(field.name, _checked)
            object.__setattr__(self, field.name, check(field, getattr(self, field.name)))
        if self.gamma_to and 1 in (self.gamma, self.gamma_to):
            raise ValueError(
                f"gamma is {self.gamma} and gamma_to {self.gamma_to}, and no factor leads from or to a gamma of 1. Set "
                "both below 1, or gamma_to to 0"
            )
        if self.num_envs % self.num_minibatches:
            envs, parts = self.num_envs, self.num_minibatches
            raise ValueError(
                f"num_envs is {envs}, not a multiple of num_minibatches = {parts}: minibatches are made of whole "
                f"environments. Set num_envs to {next_multiple(envs, parts)}, or num_minibatches to "
                f"{math.gcd(envs, parts)}"
            )
        if self.total_timesteps < self.batch_size:
            raise ValueError(
                f"total_timesteps is {self.total_timesteps:,}, less than one update of num_envs × num_steps = "
                f"{self.num_envs} × {self.num_steps} = {self.batch_size:,} steps. Set it to {self.batch_size} or more, "
                "or use fewer environments or steps"
            )

    @property
    def batch_size(self) -> int:
        """Environment steps of one update."""
        return self.num_envs * self.num_steps

    @property
    def num_updates(self) -> int:
        """Updates of the whole run: as many as fit into `total_timesteps`."""
        return self.total_timesteps // self.batch_size

    @property
    def quality_metric(self) -> str:
        """The metric of training by which a checkpoint is the best: games won, or the return where points count."""
        return "episode_return" if self.points else "win_rate"

    @classmethod
    def preset(cls, name: str, **changes: int | float) -> Self:
        """The config of a named preset (`plan`, `cpu`, `t4`, `gpu`, `tpu`) with some fields changed.

        If `num_envs` is changed, the preset's own `num_minibatches` is lowered to its largest divisor that also
        divides `num_envs`, but not below the 4 of `plan`.

        Raises:
            ValueError: no such preset, or a value out of range.
        """
        if name not in PRESETS:
            raise ValueError(f"preset is {name!r}, expected one of {', '.join(PRESETS)}")
        values: dict[str, Any] = {**PRESETS[name], **changes}
        num_envs = changes.get("num_envs")
        if "num_minibatches" in PRESETS[name] and "num_minibatches" not in changes and isinstance(num_envs, int):
            values["num_minibatches"] = max(math.gcd(values["num_minibatches"], num_envs), cls().num_minibatches)
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The config of a dictionary as `to_dict` makes it (also by way of JSON); missing fields take their default.

        Configs that version 0.2 stored are read as well.

        Raises:
            ValueError: an unknown or removed field, or a value out of range.
        """
        for name, neutral in _REMOVED.items():
            if values.get(name, neutral) != neutral:
                raise ValueError(f"{name} is {values[name]}, and {name} was removed: only {neutral} can be used")
        values = {name: value for name, value in values.items() if name not in _REMOVED}
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown config field {', '.join(unknown)}; the fields are {', '.join(sorted(known))}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All fields as a JSON-ready dictionary."""
        return dataclasses.asdict(self) | {"reward_weights": dict(self.reward_weights)}

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """The config with other values of some fields, and weights of reward parts, by name.

        Raises:
            ValueError: a value is out of range, or does not fit the others.
        """
        parts = {name: value for name, value in values.items() if name in REWARD_PARTS}
        fields = {name: value for name, value in values.items() if name not in parts}
        if parts:
            fields["reward_weights"] = {**self.reward_weights, **parts}
        return type(self).from_dict(self.to_dict() | fields)

    def differences(self, other: "TrainConfig") -> dict[str, tuple[Any, Any]]:
        """The fields, with (own value, the other's value), in which two configs differ.

        Not `total_timesteps`: a longer run is the same run.
        """
        mine, theirs = self.to_dict(), other.to_dict() | {"total_timesteps": self.total_timesteps}
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}


SIZES = ("hidden_dim", "num_layers", "cell_dim")
"""Those of the package's own network."""
NETWORK = (*SIZES, "network")
"""The fields that decide the shape of the network."""
_RECIPE = {
    "learning_rate": 2e-3,
    "gamma": 0.992,
    "gamma_to": 0.997,
    "gae_lambda": 0.85,
    "update_epochs": 1,
    "vf_coef": 0.35,
    "ent_coef": 0.02,
    "uniform_coef": 0.03,
    "anneal_to": 0.05,
    "cell_dim": 16,
    "symlog_rewards": 1,
    "shaping_fades": 1.0,
    "later_starts": 0.3,
}
"""Found by experiment; docs/learning.md says how."""
_LONG = _RECIPE | {
    "num_envs": 4096,
    "num_steps": 32,
    "num_minibatches": 32,
    "shaping_fades": 0.25,
    "total_timesteps": 500_000_000,
}
PRESETS: Mapping[str, Mapping[str, int | float]] = MappingProxyType(
    {
        "plan": {},
        # On a CPU the network takes most of the time: a smaller one learns more in the same minutes.
        "cpu": _RECIPE
        | {"num_steps": 16, "num_minibatches": 8, "hidden_dim": 128, "cell_dim": 8, "total_timesteps": 20_000_000},
        # Short rollouts renew the policy more often; a GPU starts more kernels for each step then.
        "t4": _LONG | {"num_steps": 8, "total_timesteps": 200_000_000},
        # A GPU takes hardly longer for many environments than for few: starting kernels is what takes time.
        "gpu": _LONG | {"num_envs": 16_384, "num_minibatches": 64},
        "tpu": _LONG,
    }
)
"""What each preset changes in the defaults, which are `plan`. `cpu` takes 5 to 15 minutes on two cores."""


def _checked(field: dataclasses.Field, value: Any) -> int | float:
    """The field's value as a plain number, or a ValueError."""
    low, high, above = (field.metadata[name] for name in ("low", "high", "above"))
    is_integer = isinstance(value, int | np.integer)
    right_type = is_integer if field.type is int else is_integer or isinstance(value, float | np.floating)
    in_range = right_type and (low < value if above else low <= value) and value <= high
    if isinstance(value, bool) or not in_range:
        most = f" and at most {high:.10g}" if high < _LARGEST or (right_type and value > high) else ""
        kind = f"{'an integer' if field.type is int else 'a number'} {'above' if above else 'of at least'} {low:g}"
        raise ValueError(f"{field.name} is {shown(value)}, expected {kind}{most} ({field.metadata['help']})")
    return int(value) if field.type is int else float(value)


def _checked_weights(field: dataclasses.Field, weights: Mapping[str, float]) -> FrozenDict[str, float]:
    """The weights by name, or a ValueError."""
    if not isinstance(weights, Mapping):
        raise ValueError(f"{field.name} is {weights!r}, expected {field.metadata['help']}")
    for name, weight in weights.items():
        if name not in REWARD_PARTS:
            raise ValueError(f"{field.name} has {name!r}, expected names among {', '.join(REWARD_PARTS)}")
        is_number = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
        if not is_number or not abs(weight) <= _LARGEST:
            raise ValueError(f"{field.name} has {shown(weight)} for {name}, expected a finite number")
    return FrozenDict({name: float(weight) for name, weight in weights.items()})


def _checked_name(field: dataclasses.Field, name: str | None) -> str | None:
    """The name of a network, or a ValueError."""
    if name is not None and not isinstance(name, str):
        raise ValueError(
            f"{field.name} is a {type(name).__name__}, expected a name as in 'my_module:MyNetwork'. A network itself "
            "goes to hm.Trainer or hm.make_train, as network="
        )
    return name


def next_multiple(value: int, of: int) -> int:
    """The smallest multiple of `of` that is at least `value`."""
    return -(-value // of) * of
