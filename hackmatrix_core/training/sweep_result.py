"""What a sweep shows: tables of its settings, what mattered, curves with bands, and a file for other programs."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from hackmatrix_core.evaluation import evaluate
from hackmatrix_core.training.history import Record
from hackmatrix_core.training.loading import load_policy
from hackmatrix_core.training.sweep_plan import MEASURE, MEASURES, Member
from hackmatrix_core.viewing.charts import half_interval, plot_bands
from hackmatrix_core.viewing.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LAST = 0.1
_THIRDS_FROM = 6
_CURVES = 5


class SweepResult(NamedTuple):
    """The agents of a sweep and how they did."""

    plan: Sequence[Member]
    histories: Mapping[str, Sequence[Record]]
    """The metrics of each agent, by name; of those whose program has begun."""
    stopped_by: str | None
    """As in `TrainResult`."""
    run_dir: Path
    games: Mapping[str, Mapping[str, float]] = {}
    """What evaluations of the agents showed, by name; see `evaluated`."""

    def folder(self, member: Member) -> Path:
        """The run directory of an agent."""
        return self.run_dir / "agents" / member.name

    def evaluated(
        self, num_games: int, seed: int = 0, progress: Callable[[int, int], None] | None = None
    ) -> "SweepResult":
        """The same, judged by games that each agent plays at the end, as `hm.evaluate` plays them.

        Args:
            num_games: of each agent, the same games for all.
            seed: decides the games.
            progress: called with the number of agents that have played, and of all.
        """
        members = [member for member in self.plan if (self.folder(member) / "checkpoints").is_dir()]
        games = {}
        for number, member in enumerate(members, start=1):
            played = evaluate(load_policy(self.folder(member)), jax.random.key(seed), num_games)
            means = {name: mean for name, (mean, _, _) in played.means().items()}
            games[member.name] = {name: means[name] for name in MEASURES}
            if progress:
                progress(number, len(members))
        return self._replace(games=games)

    def measures(self, member: Member) -> dict[str, float]:
        """How an agent did, by the names of `MEASURES`: in its games, or else over the last tenth of its training."""
        if self.games:
            return dict(self.games.get(member.name, dict.fromkeys(MEASURES, np.nan)))
        history = self.histories.get(member.name, [])
        last = history[-max(1, round(_LAST * len(history))) :]
        return {name: _mean([record.get(metric) for record in last]) for name, (_, _, metric) in MEASURES.items()}

    def table(self, by: str = MEASURE) -> Table:
        """The settings, best first, with means over their seeds and 95 % intervals."""
        varied = list(self.plan[0].values)
        rows = [[*varied, "seeds", *(label for label, _, _ in MEASURES.values())]]
        for members in self._ranked(by):
            each = [self.measures(member) for member in members]
            means = [_with_interval([one[name] for one in each], form) for name, (_, form, _) in MEASURES.items()]
            rows.append([*(f"{value:g}" for value in members[0].values.values()), str(len(members)), *means])
        how = "games of each agent" if self.games else f"the last {_LAST:.0%} of training"
        note = f"best first, by {_measure(by)[0]}; from {how}; ± 95 % interval over seeds; a win counts as stage 9"
        return Table(rows, note, left=len(varied))

    def effects(self, by: str = MEASURE) -> Table:
        """Which setting mattered: its best and worst values, and how far they lie apart, with the standard error.

        The values of a setting with many are taken in thirds. All other settings vary beside it.
        """
        label, form, _ = _measure(by)
        results = np.array([self.measures(member)[by] for member in self.plan])
        found = []
        for name in self.plan[0].values:
            values = np.array([member.values[name] for member in self.plan], np.float64)
            groups = [(text, results[chosen & ~np.isnan(results)]) for text, chosen in _groups(values)]
            groups = sorted((group for group in groups if len(group[1])), key=lambda group: group[1].mean())
            if len(groups) > 1:
                (worst, low), (best, high) = groups[0], groups[-1]
                error = np.hypot(_standard_error(low), _standard_error(high))
                found.append((high.mean() - low.mean(), [name, best, worst], _plus_minus(error, form)))
        found.sort(key=lambda row: row[0], reverse=True)
        head = ["what mattered", "best at", "worst at", label, "standard error"]
        return Table([head, *([*texts, form.format(gain), error] for gain, texts, error in found)], left=3)

    def plot(self, by: str = MEASURE) -> "Figure":
        """Curves of the best settings: the mean over seeds and its 95 % interval."""
        groups = {}
        for members in self._ranked(by)[:_CURVES]:
            text = ", ".join(f"{name} {value:g}" for name, value in members[0].values.items())
            histories = [self.histories.get(member.name, []) for member in members]
            groups[text or f"{len(members)} seeds"] = [history for history in histories if history]
        return plot_bands(groups)

    def save(self, by: str = MEASURE) -> None:
        """Write `results.json`, `results.txt` and `curves.png` into the sweep's directory; an OSError if it is gone."""
        agents = [
            {
                "name": member.name,
                "directory": str(self.folder(member).relative_to(self.run_dir)),
                "setting": member.setting,
                "values": dict(member.values),
                "seed": member.config.seed,
                **{name: None if np.isnan(value) else value for name, value in self.measures(member).items()},
            }
            for member in self.plan
        ]
        about = {"judged_by": "games" if self.games else "training", "agents": agents}
        (self.run_dir / "results.json").write_text(json.dumps(about, indent=2) + "\n")
        (self.run_dir / "results.txt").write_text("\n\n".join(self.tables(by)) + "\n")
        if any(self.histories.values()):
            self.plot(by).savefig(self.run_dir / "curves.png", dpi=120)

    def tables(self, by: str = MEASURE) -> list[Table]:
        """The table of settings and, where several were tried, of what mattered."""
        return [self.table(by), self.effects(by)] if len(self._ranked(by)) > 1 else [self.table(by)]

    def _ranked(self, by: str) -> list[list[Member]]:
        """The agents of each setting, the best one first; those of which nothing is known come last."""
        _measure(by)
        settings: dict[int, list[Member]] = {}
        for member in self.plan:
            settings.setdefault(member.setting, []).append(member)
        means = {number: _mean([self.measures(m)[by] for m in members]) for number, members in settings.items()}
        ranking = sorted(settings, key=lambda number: np.nan_to_num(means[number], nan=-np.inf), reverse=True)
        return [settings[number] for number in ranking]


def _measure(by: str) -> tuple[str, str, str]:
    """What `MEASURES` has of this name, or a ValueError."""
    if by not in MEASURES:
        raise ValueError(f"by is {by!r}, expected one of {', '.join(MEASURES)}")
    return MEASURES[by]


def _groups(values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The values of a setting: each by itself, or in thirds; with which agents have them."""
    distinct = np.unique(values)
    if len(distinct) < _THIRDS_FROM:
        return [(f"{value:g}", values == value) for value in distinct]
    parts = np.array_split(distinct, 3)
    return [(f"{part[0]:g} to {part[-1]:g}", np.isin(values, part)) for part in parts]


def _mean(values: Sequence[Any]) -> float:
    """The mean of those that are known."""
    known = [value for value in values if value is not None and not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


def _with_interval(values: Sequence[float], form: str) -> str:
    """The mean of those that are known, with half of its 95 % interval."""
    known = np.array([value for value in values if not np.isnan(value)])
    return f"{form.format(known.mean())} {_plus_minus(half_interval(known), form)}".rstrip() if len(known) else ""


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan


def _plus_minus(error: float | np.ndarray, form: str) -> str:
    return "" if np.isnan(error) else f"± {form.format(error).lstrip('+')}"
