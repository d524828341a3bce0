"""How well a policy plays: many full games by one protocol, and what they show.

Each game starts anew (R2) and goes on until it ends, at most 2,000 actions. Game number i of a key is the same for
every policy. All games of all policies are stepped together, in one compiled loop.
"""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from matplotlib.figure import Figure

from hackmatrix_core import game
from hackmatrix_core.game.state import ACTION_NAMES, DOWN, LEFT, NUM_ACTIONS, NUM_STAGES, RIGHT, SIPHON, UP
from hackmatrix_core.policy import Policy, as_pytree
from hackmatrix_core.rendering.plot import Picture

MAX_ACTIONS = 2000
_OPPOSITE = np.array([DOWN, UP, RIGHT, LEFT], np.int32)
_RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What the games of one policy showed: one entry a game, G games."""

    final_stage: np.ndarray
    """(G,) int, 1–9: the stage where the game ended; a win counts as 9."""
    won: np.ndarray
    """(G,) bool."""
    total_reward: np.ndarray
    """(G,) float: sum of the rewards of R10, not discounted."""
    score: np.ndarray
    """(G,) int."""
    length: np.ndarray
    """(G,) int, actions, at most `MAX_ACTIONS`."""
    undone: np.ndarray
    """(G,) int, moves straight back to the cell where the player just was."""
    valid: np.ndarray
    """(G, 28) int: in how many states each action was valid."""
    used: np.ndarray
    """(G, 28) int: how often each action was taken."""
    stages_of_use: np.ndarray
    """(G, 28) int: the sum of the stages in which it was taken."""

    def means(self) -> dict[str, tuple[float, float, float]]:
        """Mean and 95 % bootstrap interval (low, high) of each number that the protocol asks for."""
        return {
            "final_stage": _with_interval(self.final_stage),
            "win_rate": _with_interval(self.won),
            "return": _with_interval(self.total_reward),
            "score": _with_interval(self.score),
            "length": _with_interval(self.length),
            "steps_undone": _with_interval(self.undone, self.length),
            "games_with_siphon": _with_interval(self.used[:, SIPHON] > 0),
            "games_with_programs": _with_interval(self.used[:, SIPHON + 1 :].any(axis=1)),
        }

    def stages(self) -> dict[int, int]:
        """How many games ended in each stage; 9 is a win."""
        return {stage: int(np.sum(self.final_stage == stage)) for stage in range(1, NUM_STAGES + 2)}

    def use_when_valid(self) -> dict[str, float | None]:
        """For siphon and each program: the share of the states with it valid in which it was taken."""
        valid, used = self.valid.sum(axis=0), self.used.sum(axis=0)
        return {ACTION_NAMES[a]: float(used[a] / valid[a]) if valid[a] else None for a in range(SIPHON, NUM_ACTIONS)}

    def summary(self) -> dict[str, Any]:
        """Everything above, JSON-ready."""
        means = {name: {"mean": mean, "low": low, "high": high} for name, (mean, low, high) in self.means().items()}
        return {
            "games": len(self.length),
            **means,
            "stages": self.stages(),
            "use_when_valid": self.use_when_valid(),
        }


def evaluate(policy: Policy, key: jax.Array, num_games: int = 1000) -> Evaluation:
    """Play full games with a policy.

    Args:
        policy: see `hackmatrix_core.policy`.
        key: a typed key or an old one; decides all games.
        num_games: how many.
    """
    return compare({"": policy}, key, num_games)[""]


def compare(policies: Mapping[str, Policy], key: jax.Array, num_games: int = 1000) -> dict[str, Evaluation]:
    """Play the same games with several policies, in one program; arguments and results as `evaluate`, by name.

    Raises:
        ValueError: no policy, or less than one game.
    """
    if not policies or num_games < 1:
        raise ValueError(f"{len(policies)} policies and {num_games} games given, expected at least one of each")
    players = tuple(map(as_pytree, policies.values()))
    tallies = jax.device_get(_play(players, key, num_games))
    return {name: Evaluation(**jax.tree.map(lambda x, i=i: x[i], tallies)) for i, name in enumerate(policies)}


def table(evaluations: Mapping[str, Evaluation]) -> str:
    """The means of several evaluations side by side, with their intervals, as text."""
    rows = [["", *evaluations]]
    means = {name: evaluation.means() for name, evaluation in evaluations.items()}
    for quantity, (label, form) in _ROWS.items():
        cells = []
        for name in evaluations:
            mean, low, high = (form.format(value) for value in means[name][quantity])
            cells.append(f"{mean} ({low} – {high})")
        rows.append([label, *cells])
    lines = _aligned(rows)
    lines.insert(1, "─" * max(map(len, lines)))
    games = " / ".join(str(len(evaluation.length)) for evaluation in evaluations.values())
    return "\n".join([*lines, f"{games} games, 95 % bootstrap intervals; a win counts as stage {NUM_STAGES + 1}"])


def usage_table(evaluation: Evaluation) -> str:
    """Siphon and each program that was ever valid, as text: in how many games it was used, how often, and when.

    When: in what share of the states where it was valid, and in which stage, as the mean over all uses.
    """
    games = len(evaluation.length)
    rows = [("", "games with it", "a game", "of the states where it is valid", "mean stage")]
    programs = evaluation.used[:, SIPHON + 1 :].sum(axis=1)
    rows.append(("any program", f"{np.mean(programs > 0):.1%}", f"{programs.mean():.2f}", "", ""))
    when_valid = evaluation.use_when_valid()
    for action in range(SIPHON, NUM_ACTIONS):
        used, share = evaluation.used[:, action], when_valid[ACTION_NAMES[action]]
        if share is not None:
            stage = f"{evaluation.stages_of_use[:, action].sum() / used.sum():.1f}" if used.any() else ""
            uses = f"{np.mean(used > 0):.1%}", f"{used.sum() / games:.2f}"
            rows.append((ACTION_NAMES[action], *uses, f"{share:.1%}", stage))
    return "\n".join(_aligned(rows))


def plot_stages(evaluations: Mapping[str, Evaluation]) -> Figure:
    """For each policy the share of its games that ended in each stage, 9 for a won game, as bars side by side."""
    figure = Picture(figsize=(8, 3), layout="constrained")
    axes, width = figure.subplots(), 0.8 / len(evaluations)
    for i, (name, evaluation) in enumerate(evaluations.items()):
        stages = evaluation.stages()
        shares = np.array(list(stages.values())) / len(evaluation.length)
        axes.bar(np.array(list(stages)) + (i - (len(evaluations) - 1) / 2) * width, shares, width, label=name)
    axes.set(xlabel="final stage (9: won)", ylabel="share of games", xticks=range(1, NUM_STAGES + 2))
    axes.legend()
    return figure


def to_json(evaluations: Mapping[str, Evaluation]) -> str:
    """The summaries of several evaluations as a JSON text."""
    return json.dumps({name: evaluation.summary() for name, evaluation in evaluations.items()}, indent=2) + "\n"


_ROWS = {
    "final_stage": ("final stage", "{:.2f}"),
    "win_rate": ("games won", "{:.1%}"),
    "return": ("return", "{:+.2f}"),
    "score": ("score", "{:.1f}"),
    "length": ("actions", "{:.0f}"),
    "steps_undone": ("steps undone at once", "{:.1%}"),
    "games_with_siphon": ("games with siphon", "{:.1%}"),
    "games_with_programs": ("games with programs", "{:.1%}"),
}


@functools.partial(jax.jit, static_argnames="num_games")
def _play(policies: tuple[Any, ...], key: jax.Array, num_games: int) -> dict[str, jax.Array]:
    """The tallies of all games, leading axes (number of policies, num_games)."""
    count = len(policies)
    start_key, play_key = jax.random.split(key)
    starts = jax.vmap(game.reset)(jax.random.split(start_key, num_games))
    states = jax.tree.map(lambda x: jnp.concatenate([x] * count), starts)
    total = count * num_games
    zeros, none = jnp.zeros(total, jnp.int32), jnp.full(total, -1, jnp.int32)
    tallies = {
        "won": jnp.zeros(total, bool),
        "total_reward": jnp.zeros(total, jnp.float32),
        "length": zeros,
        "undone": zeros,
        "valid": jnp.zeros((total, NUM_ACTIONS), jnp.int32),
        "used": jnp.zeros((total, NUM_ACTIONS), jnp.int32),
        "stages_of_use": jnp.zeros((total, NUM_ACTIONS), jnp.int32),
    }
    # Where each player was before its last move, and that move's direction; −1 where it did not move.
    before = (none, none)

    def going_on(carry: tuple) -> jax.Array:
        time, _, ended, *_ = carry
        return (time < MAX_ACTIONS) & ~jnp.all(ended)

    def act(carry: tuple) -> tuple:
        time, states, ended, (came_from, direction), tallies = carry
        policy_key, step_key = jax.random.split(jax.random.fold_in(play_key, time))
        keys = jax.random.split(policy_key, num_games)
        observations, masks = jax.vmap(game.observe)(states), jax.vmap(game.get_valid_actions)(states)
        parts = zip(policies, *(_split(x, count) for x in (states, observations, masks)), strict=True)
        actions = jnp.concatenate([jax.vmap(policy)(*part, keys) for policy, *part in parts])
        step_keys = jnp.concatenate([jax.random.split(step_key, num_games)] * count)
        new_states, outcome = jax.vmap(game.step)(states, actions, step_keys)

        moved = (actions < SIPHON) & (new_states.position != states.position)
        back = moved & (new_states.position == came_from)
        back = back & (direction >= 0) & (actions == jnp.asarray(_OPPOSITE)[direction])
        alive = ~ended
        chosen = jax.nn.one_hot(actions, NUM_ACTIONS, dtype=jnp.int32)
        tallies = {
            "won": tallies["won"] | (alive & outcome.won),
            "total_reward": tallies["total_reward"] + jnp.where(alive, outcome.reward, 0.0),
            "length": tallies["length"] + alive.astype(jnp.int32),
            "undone": tallies["undone"] + (alive & back).astype(jnp.int32),
            "valid": tallies["valid"] + (alive[:, None] & masks).astype(jnp.int32),
            "used": tallies["used"] + jnp.where(alive[:, None], chosen, 0),
            "stages_of_use": tallies["stages_of_use"] + jnp.where(alive[:, None], chosen * states.stage[:, None], 0),
        }
        before = (jnp.where(moved, states.position, -1), jnp.where(moved, actions, -1))
        kept = jax.tree.map(
            lambda new, old: jnp.where(ended.reshape(-1, *(1,) * (old.ndim - 1)), old, new), new_states, states
        )
        return time + 1, kept, ended | outcome.terminated, before, tallies

    init = (jnp.zeros((), jnp.int32), states, jnp.zeros(total, bool), before, tallies)
    _, states, _, _, tallies = lax.while_loop(going_on, act, init)
    tallies["final_stage"] = states.stage + tallies["won"].astype(jnp.int32)
    tallies["score"] = states.score
    return jax.tree.map(lambda x: x.reshape(count, num_games, *x.shape[1:]), tallies)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines of text: the first column flush left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]


def _split(tree: Any, count: int) -> list[Any]:
    """The tree's leading axis in `count` equal parts."""
    return [jax.tree.map(lambda x, i=i: jnp.split(x, count)[i], tree) for i in range(count)]


def _with_interval(values: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float, float]:
    """Mean, and the 2.5 % and 97.5 % points of its bootstrap; with weights: of the ratio of the sums."""
    values = values.astype(np.float64)
    weights = np.ones_like(values) if weights is None else weights.astype(np.float64)
    picks = np.random.default_rng(0).integers(len(values), size=(_RESAMPLES, len(values)))
    resampled = values[picks].sum(axis=1) / weights[picks].sum(axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(values.sum() / weights.sum()), float(low), float(high)
