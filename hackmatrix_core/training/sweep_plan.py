"""Which agents a sweep trains and judges: settings that are tried, each with several seeds; which share a program."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hackmatrix_core.errors import shown
from hackmatrix_core.game.rewards import REWARD_PARTS
from hackmatrix_core.training.config import MAX_SEED, TrainConfig
from hackmatrix_core.training.hyperparameters import VARIABLE

MEASURES = {
    "final_stage": ("final stage", "{:.2f}", "final_stage"),
    "win_rate": ("games won", "{:.1%}", "win_rate"),
    "return": ("return", "{:+.2f}", "episode_return"),
}
"""What agents are judged by: label, format, and the metric of training that tells it."""
MEASURE = "final_stage"
"""By default: it tells beginners apart, who win no game, and experts, since a win counts as stage 9."""
_DIGITS = 3
_LONGEST_NAME = 120


@dataclasses.dataclass(frozen=True)
class Member:
    """One agent of a sweep."""

    setting: int
    """The number of its setting, from 0."""
    values: Mapping[str, float]
    """Of the varied fields and reward parts."""
    config: TrainConfig
    """With these values and the agent's own seed."""
    name: str
    """What its directory is called."""


def make_plan(
    config: TrainConfig, vary: Mapping[str, Sequence[float] | str], seeds: int, draws: int | None = None
) -> list[Member]:
    """The agents of a sweep: every combination of the values, times the draws, times the seeds.

    Args:
        config: what all have in common; seeds count up from its own, which also decides what is drawn.
        vary: by the name of a field, or of a reward part for its weight: values, or a text as on the command line,
            either of values ("3e-4,1e-3") or of a range to draw from ("0.005..0.05"): log-uniform where both ends are
            above 0, to three digits.
        seeds: of each setting.
        draws: settings that are drawn, where there are ranges.

    Raises:
        ValueError: a name that is none, no values, values that the config refuses, ranges without draws.
    """
    if isinstance(seeds, bool) or not isinstance(seeds, int) or not 1 <= seeds <= MAX_SEED - config.seed + 1:
        raise ValueError(f"seeds is {shown(seeds)}, expected how many seeds, from {config.seed} on")
    if draws is not None and (isinstance(draws, bool) or not isinstance(draws, int) or draws < 1):
        raise ValueError(f"draws is {shown(draws)}, expected an integer of at least 1")
    lists: dict[str, list[float]] = {}
    ranges: dict[str, tuple[float, float]] = {}
    for name, values in vary.items():
        _check_name(name)
        if isinstance(values, str) and ".." in values:
            ranges[name] = _range(name, values)
        else:
            lists[name] = _values(name, values)
    if bool(ranges) != (draws is not None):
        raise ValueError(
            f"{', '.join(ranges)} has a range, and draws is None: say how many settings to draw"
            if ranges
            else f"draws is {draws}, and nothing has a range to draw from, as in 0.005..0.05"
        )
    rng = np.random.default_rng(config.seed)
    drawn = [{name: _draw(rng, name, *ends) for name, ends in ranges.items()} for _ in range(draws or 1)]
    combinations = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
    settings = [{name: (combination | draw)[name] for name in vary} for combination in combinations for draw in drawn]
    names = [_name(setting) for setting in settings]
    members = []
    for number, (setting, name) in enumerate(zip(settings, names, strict=True)):
        if len(name) > _LONGEST_NAME or names.count(name) > 1:  # each agent has a directory of its own
            name = f"setting={number}"
        changed = config.with_values(setting)
        for seed in range(config.seed, config.seed + seeds):
            own = dataclasses.replace(changed, seed=seed)
            members.append(Member(number, setting, own, f"{name},seed={seed}".removeprefix(",")))
    return members


def programs(plan: Sequence[Member]) -> list[list[Member]]:
    """The agents that one compiled program can train side by side: those that differ in hyperparameters alone."""
    groups: dict[Any, list[Member]] = {}
    for member in plan:
        fixed = {name: value for name, value in member.config.to_dict().items() if name not in VARIABLE}
        del fixed["seed"], fixed["reward_weights"]
        groups.setdefault(tuple(fixed.values()), []).append(member)
    return list(groups.values())


def _name(values: Mapping[str, float]) -> str:
    return ",".join(f"{field}={value:g}" for field, value in values.items())


def _check_name(name: str) -> None:
    fields = [field for field in TrainConfig.__dataclass_fields__ if field not in ("reward_weights", "network")]
    fields += REWARD_PARTS
    if name == "seed":
        raise ValueError("seed cannot be varied like a setting: say how many seeds")
    if name not in fields:
        fields.remove("seed")
        raise ValueError(f"{shown(name)} cannot be varied, expected names among {', '.join(fields)}")


def _is_whole(name: str) -> bool:
    return name not in REWARD_PARTS and TrainConfig.__dataclass_fields__[name].type is int


def _number(name: str, text: Any) -> float:
    """A value as a number, whole where its field is."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value) or isinstance(text, bool):
        raise ValueError(f"{name} has the value {shown(text)}, expected numbers, as in {name}=1,2 or {name}=1..2")
    return int(value) if _is_whole(name) and value == int(value) else value


def _values(name: str, values: Sequence[float] | str) -> list[float]:
    numbers = [_number(name, value) for value in (values.split(",") if isinstance(values, str) else values)]
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"{name} has the values {shown(values)}, expected some, each once")
    return numbers


def _range(name: str, text: str) -> tuple[float, float]:
    low, high = (_number(name, end) for end in text.split("..", 1))
    if not low < high:
        raise ValueError(f"{name} has the range {text}, expected the lower end first")
    return low, high


def _draw(rng: np.random.Generator, name: str, low: float, high: float) -> float:
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if low > 0 else rng.uniform(low, high)
    rounded = round(value) if _is_whole(name) else float(f"{value:.{_DIGITS}g}")
    return min(max(rounded, low), high)
