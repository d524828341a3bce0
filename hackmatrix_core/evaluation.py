"""How well a policy plays: many full games by one protocol, and what they show.

Each is a new game (R2) and goes on until it ends, at most 2,000 actions. Game number i of a key is the same for
every policy. Games of all policies are stepped together, in one compiled loop; one that ends makes room for the next.
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core import game
from hackmatrix_core.agent.objective import Objective
from hackmatrix_core.agent.policy import Policy, as_pytree, as_taken
from hackmatrix_core.environment.gymnax_env import MAX_ACTIONS
from hackmatrix_core.game import GameState, actions, history
from hackmatrix_core.game.actions import ACTION_NAMES, NUM_ACTIONS
from hackmatrix_core.game.arguments import check_key
from hackmatrix_core.game.rewards import REWARD_PARTS
from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH, NUM_STAGES
from hackmatrix_core.game.step import compact_observation
from hackmatrix_core.game.vectorization.backend import compiler_options, platform
from hackmatrix_core.viewing.recording import Episode, stacked
from hackmatrix_core.viewing.style import styled
from hackmatrix_core.viewing.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LANES = {"cpu": 128}
_MANY_LANES = 1024
"""Games that a policy plays at a time, by platform. More would wait for the longest, of up to 2,000 actions, when most
have 100; but anything other than a CPU steps many games in the time of a few."""
_ACTIONS_AT_A_TIME = 8
"""After so many actions of all games in progress the host hears how many have ended."""
_OPPOSITE = np.array([actions.DOWN, actions.UP, actions.RIGHT, actions.LEFT], np.int32)
_RESAMPLES = 2000


@dataclasses.dataclass(frozen=True, repr=False)
class Evaluation:
    """What the games of one policy showed: one entry per game, G games. It shows itself as the table of its means."""

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
    reward_parts: np.ndarray
    """(G, 15) float: the sum of each part of R10, in its order."""
    reward_weights: np.ndarray
    """(15,) float: the weights of these parts in what the policy learned; 1 for one that has not learned."""

    def means(self) -> dict[str, tuple[float, float, float]]:
        """Mean and 95 % bootstrap interval (low, high) of each number that the protocol asks for."""
        return self._means

    @functools.cached_property
    def _means(self) -> dict[str, tuple[float, float, float]]:
        return {
            name: _with_interval(*values(self))
            for name, (_, _, values) in _QUANTITIES.items()
            if name != "weighted_return" or np.any(self.reward_weights != 1)
        }

    def stages(self) -> dict[int, int]:
        """How many games ended in each stage; 9 is a win."""
        return {stage: int(np.sum(self.final_stage == stage)) for stage in range(1, NUM_STAGES + 2)}

    def use_when_valid(self) -> dict[str, float | None]:
        """For siphon and each program: how often it was taken, as a share of the states where it was valid."""
        valid, used = self.valid.sum(axis=0), self.used.sum(axis=0)
        return {
            ACTION_NAMES[a]: float(used[a] / valid[a]) if valid[a] else None for a in range(actions.SIPHON, NUM_ACTIONS)
        }

    def __repr__(self) -> str:
        return str(table({"": self}))

    def _repr_html_(self) -> str:
        return table({"": self})._repr_html_()

    def summary(self) -> dict[str, Any]:
        """Everything above, JSON-ready."""
        means = {name: {"mean": mean, "low": low, "high": high} for name, (mean, low, high) in self.means().items()}
        return {"games": len(self.length), **means, "stages": self.stages(), "use_when_valid": self.use_when_valid()}


def evaluate(policy: Policy, key: jax.Array, num_games: int = 1000, undo_depth: int = DEFAULT_UNDO_DEPTH) -> Evaluation:
    """Play full games with a policy.

    Args:
        policy: see `hackmatrix_core.agent.policy`.
        key: a typed key or an old one; decides all games.
        num_games: how many.
        undo_depth: how many snapshots a game keeps for UNDO (R8.3), as in `hackmatrix_core.reset`.
    """
    return compare({"": policy}, key, num_games, undo_depth)[""]


def compare(
    policies: Mapping[str, Policy],
    key: jax.Array,
    num_games: int = 1000,
    undo_depth: int = DEFAULT_UNDO_DEPTH,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Evaluation]:
    """Play the same games with several policies, in one program; arguments and results as `evaluate`, by name.

    Args:
        policies: by name.
        key: as for `evaluate`.
        num_games: of each policy.
        undo_depth: as for `evaluate`.
        progress: called now and then with the number of games that have ended, and of all.

    Raises:
        ValueError: no policy, less than one game, or an undo depth below 1.
        TypeError: the key is none, or a policy cannot be called.
    """
    if not policies or num_games < 1:
        raise ValueError(f"{len(policies)} policies and {num_games} games given, expected at least one of each")
    check_key(key, "hm.evaluate")
    players = tuple(map(as_pytree, policies.values()))
    count = len(players)
    static, options = ("count", "num_games", "undo_depth"), compiler_options()
    games, table = jax.jit(begin, static_argnames=static, compiler_options=options)(
        key, count=count, num_games=num_games, undo_depth=undo_depth
    )
    go_on = jax.jit(play, static_argnames="num_games", donate_argnums=2, compiler_options=options)
    ended = 0
    while ended < count * num_games:
        table, ended = go_on(players, games, table, num_games=num_games)
        if progress:
            progress(int(ended), count * num_games)
    tallies = jax.tree.map(lambda x: x.reshape(count, num_games, *x.shape[1:]), jax.device_get(table.tallies))
    tallies["won"] = tallies["won"] > 0
    objectives = [getattr(policy, "objective", Objective()) for policy in policies.values()]
    tallies["reward_weights"] = np.array([objective.weights for objective in objectives])
    return {name: Evaluation(**jax.tree.map(lambda x, i=i: x[i], tallies)) for i, name in enumerate(policies)}


def of_games(episodes: Iterable[Episode], policy: Policy) -> Evaluation:
    """The evaluation of games that the policy has played somewhere else, as in the original; at least one."""
    tallies: dict[str, Any] = stacked([_tallied(episode) for episode in episodes])
    return Evaluation(**tallies, reward_weights=np.array(getattr(policy, "objective", Objective()).weights))


def _tallied(game: Episode) -> dict[str, Any]:
    """What an `Evaluation` holds of one game."""
    taken, place, stages = game.actions, game.states.position, game.states.stage[:-1]
    moved = (taken < actions.SIPHON) & (place[1:] != place[:-1])
    back = moved[1:] & moved[:-1] & (place[2:] == place[:-2])
    return {
        "final_stage": game.final_stage,
        "won": bool(game.outcomes.won[-1]),
        "total_reward": game.total_reward,
        "score": game.states.score[-1],
        "length": len(game),
        "undone": np.count_nonzero(back & (taken[1:] == _OPPOSITE[taken[:-1] % len(_OPPOSITE)])),
        "valid": game.action_masks.sum(axis=0),
        "used": np.bincount(taken, minlength=NUM_ACTIONS),
        "stages_of_use": np.bincount(taken, stages, NUM_ACTIONS).astype(int),
        "reward_parts": np.array([game.outcomes.reward_parts[part].sum() for part in REWARD_PARTS]),
    }


def table(evaluations: Mapping[str, Evaluation], apart: bool = False) -> Table:
    """The means of several evaluations side by side, with their intervals.

    Args:
        evaluations: by name.
        apart: with a column that tells how many standard errors of their difference lie between the first two.
    """
    rows = [["", *evaluations, *["standard errors between"] * apart]]
    for quantity, (label, form, values) in _QUANTITIES.items():
        means = [[form.format(x) for x in evaluation.means().get(quantity, ())] for evaluation in evaluations.values()]
        if any(means):
            rows.append([label, *("{} ({} – {})".format(*texts) if texts else "" for texts in means)])
            if apart:
                (first, error), (second, other) = (_with_error(*values(games)) for games in [*evaluations.values()][:2])
                rows[-1].append(f"{(first - second) / spread:+.1f}" if (spread := np.hypot(error, other)) else "")
    games = " / ".join(str(len(evaluation.length)) for evaluation in evaluations.values())
    return Table(rows, f"{games} games, 95 % bootstrap intervals; a win counts as stage {NUM_STAGES + 1}")


def usage_table(evaluation: Evaluation) -> Table:
    """Siphon and each program that was ever valid: in how many games it was used, how often, and when.

    When: in what share of the states where it was valid, and in which stage, as the mean over all uses.
    """
    games = len(evaluation.length)
    rows = [("", "games with it", "uses per game", "used when valid", "mean stage")]
    programs = _programs_used(evaluation)
    rows.append(("any program", f"{np.mean(programs > 0):.1%}", f"{programs.mean():.2f}", "", ""))
    when_valid = evaluation.use_when_valid()
    for action in range(actions.SIPHON, NUM_ACTIONS):
        used, share = evaluation.used[:, action], when_valid[ACTION_NAMES[action]]
        if share is not None:
            stage = f"{np.sum(evaluation.stages_of_use[:, action]) / np.sum(used):.1f}" if used.any() else ""
            uses = f"{np.mean(used > 0):.1%}", f"{used.sum() / games:.2f}"
            rows.append((ACTION_NAMES[action], *uses, f"{share:.1%}", stage))
    return Table(rows)


@styled
def plot_stages(evaluations: Mapping[str, Evaluation]) -> "Figure":
    """For each policy the share of its games that ended in each stage, 9 for a won game, as bars side by side."""
    from hackmatrix_core.viewing.figures import Picture  # here, as in `viewing.charts`

    figure = Picture(figsize=(7, 3), layout="constrained")
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


_QUANTITIES: dict[str, tuple[str, str, Callable[[Evaluation], tuple[np.ndarray, ...]]]] = {
    "final_stage": ("final stage", "{:.2f}", lambda games: (games.final_stage,)),
    "win_rate": ("games won", "{:.1%}", lambda games: (games.won,)),
    "return": ("return", "{:+.2f}", lambda games: (games.total_reward,)),
    "weighted_return": ("return, as weighted", "{:+.2f}", lambda games: (games.reward_parts @ games.reward_weights,)),
    "score": ("score", "{:.1f}", lambda games: (games.score,)),
    "length": ("actions", "{:.0f}", lambda games: (games.length,)),
    "steps_undone": ("steps undone at once", "{:.1%}", lambda games: (games.undone, games.length)),
    "games_with_siphon": ("games with siphon", "{:.1%}", lambda games: (games.used[:, actions.SIPHON] > 0,)),
    "games_with_programs": ("games with programs", "{:.1%}", lambda games: (_programs_used(games) > 0,)),
}
"""What the protocol asks for: its label and form in a table, and its values by game (with their weights)."""


def _programs_used(games: Evaluation) -> np.ndarray:
    """How many programs were run in each game: (G,)."""
    return games.used[:, actions.FIRST_PROGRAM :].sum(axis=1)


class _Lanes(NamedTuple):
    """The games in progress: L lanes, each policy an equal share of them. One that ends makes room for the next."""

    number: jax.Array  # int32 (L,), of the game; idle lanes have num_games or more
    time: jax.Array  # int32 (L,), actions so far
    states: GameState  # (L, …)
    came_from: jax.Array  # int32 (L,), the cell before the last action if that was a move, else −1
    direction: jax.Array  # int32 (L,), of that move, else −1


class _Games(NamedTuple):
    """What is the same while the games are played: G of them."""

    starts: GameState  # (G, …), without their histories, all of which are empty: most of a state's memory
    keys: jax.Array  # (G,)


class _Table(NamedTuple):
    """Where the games are played."""

    lanes: _Lanes
    upcoming: jax.Array  # int32 (number of policies,), the next game of each
    tallies: dict[str, jax.Array]  # leading axis number of policies × G


def games_side_by_side(num_games: int) -> int:
    """How many of so many games a policy plays at a time."""
    return min(num_games, _LANES.get(platform(), _MANY_LANES))


def begin(key: jax.Array, count: int, num_games: int, undo_depth: int) -> tuple[_Games, _Table]:
    """The games, and a table at which none of the `count` policies has acted yet."""
    width = games_side_by_side(num_games)
    start_key, play_key = jax.random.split(key)
    starts = jax.vmap(lambda key: history.set_aside(game.reset(key)))(jax.random.split(start_key, num_games))
    number = jnp.tile(jnp.arange(width, dtype=jnp.int32), count)

    def zeros(*shape: int, dtype: Any = jnp.int32) -> jax.Array:
        return jnp.zeros((count * num_games, *shape), dtype)

    names = ("length", "undone", "final_stage", "score")
    tallies = {name: zeros() for name in names} | {"won": zeros(), "total_reward": zeros(dtype=jnp.float32)}
    tallies |= {name: zeros(NUM_ACTIONS) for name in ("valid", "used", "stages_of_use")}
    tallies["reward_parts"] = zeros(len(REWARD_PARTS), dtype=jnp.float32)
    states = jax.vmap(lambda fresh: history.empty(fresh, undo_depth))(jax.tree.map(lambda x: x[number], starts))
    none = jnp.full(count * width, -1, jnp.int32)
    lanes = _Lanes(number, jnp.zeros_like(number), states, none, none)
    games = _Games(starts, jax.random.split(play_key, num_games))
    return games, _Table(lanes, jnp.full(count, width, jnp.int32), tallies)


def play(policies: tuple[Any, ...], games: _Games, table: _Table, num_games: int) -> tuple[_Table, jax.Array]:
    """The table some actions later, and how many games have ended: () int32."""
    count = len(policies)
    width = table.lanes.number.shape[0] // count
    first_result = jnp.repeat(jnp.arange(count, dtype=jnp.int32) * num_games, width)

    def of_game(tree: Any, number: jax.Array) -> Any:
        return jax.tree.map(lambda x: jnp.take(x, number, axis=0, mode="clip"), tree)

    def goes_on(carry: tuple[_Table, jax.Array]) -> jax.Array:
        return jnp.any(carry[0].lanes.number < num_games) & (carry[1] < _ACTIONS_AT_A_TIME)

    def act(carry: tuple[_Table, jax.Array]) -> tuple[_Table, jax.Array]:
        (lanes, upcoming, tallies), time = carry
        states = lanes.states
        keys = jax.vmap(jax.random.fold_in)(games.keys[jnp.minimum(lanes.number, num_games - 1)], lanes.time)
        policy_keys, step_keys = jnp.unstack(jax.vmap(jax.random.split)(keys), axis=1)
        observed, masks = jax.vmap(compact_observation)(states), jax.vmap(game.get_valid_actions)(states)
        parts = zip(policies, *(_split(x, count) for x in (states, observed, masks, policy_keys)), strict=True)
        taken = jnp.concatenate(
            [jax.vmap(policy)(state, as_taken(policy, compact), *rest) for policy, state, compact, *rest in parts]
        )
        after, outcome = jax.vmap(game.step)(states, taken, step_keys)

        moved = (taken < actions.SIPHON) & (after.position != states.position)
        back = moved & (after.position == lanes.came_from)
        back = back & (lanes.direction >= 0) & (taken == jnp.asarray(_OPPOSITE)[lanes.direction])
        chosen = jax.nn.one_hot(taken, NUM_ACTIONS, dtype=jnp.int32)
        told = {
            "won": outcome.won,
            "total_reward": outcome.reward,
            "length": jnp.ones_like(taken),
            "undone": back,
            "valid": masks,
            "used": chosen,
            "stages_of_use": chosen * states.stage[:, None],
            "reward_parts": jnp.stack([outcome.reward_parts[part] for part in REWARD_PARTS], axis=1),
        }
        result = jnp.where(lanes.number < num_games, first_result + lanes.number, count * num_games)
        sums = {
            name: tallies[name].at[result].add(x.astype(tallies[name].dtype), mode="drop") for name, x in told.items()
        }
        last = {"final_stage": after.stage + outcome.won.astype(jnp.int32), "score": after.score}
        last = {name: tallies[name].at[result].set(x, mode="drop") for name, x in last.items()}

        ended = outcome.terminated | (lanes.time + 1 >= MAX_ACTIONS)
        places = jnp.cumsum(ended.reshape(count, width), axis=1, dtype=jnp.int32)
        number = jnp.where(ended, (upcoming[:, None] + places - 1).reshape(-1), lanes.number)
        lanes = _Lanes(
            number=number,
            time=jnp.where(ended, 0, lanes.time + 1),
            states=jax.vmap(history.restarted)(after, of_game(games.starts, number), ended),
            came_from=jnp.where(moved & ~ended, lanes.states.position, -1),
            direction=jnp.where(moved & ~ended, taken, -1),
        )
        return _Table(lanes, upcoming + places[:, -1], sums | last), time + 1

    table, _ = lax.while_loop(goes_on, act, (table, jnp.int32(0)))
    begun = jnp.sum(jnp.minimum(table.upcoming, num_games), dtype=jnp.int32)
    return table, begun - jnp.sum(table.lanes.number < num_games, dtype=jnp.int32)


def _split(tree: Any, count: int) -> list[Any]:
    """The tree's leading axis in `count` equal parts."""
    return [jax.tree.map(lambda x, i=i: jnp.split(x, count)[i], tree) for i in range(count)]


def _with_error(values: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """Mean and its standard error; with weights: of the ratio of the sums."""
    weights = np.ones(len(values)) if weights is None else weights
    mean = np.sum(values) / np.sum(weights)
    rest = (values - mean * weights) / np.mean(weights)
    return float(mean), float(np.sqrt(np.sum(rest**2) / max(1, len(values) - 1) / len(values)))


def _with_interval(values: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float, float]:
    """Mean, and the 2.5 % and 97.5 % points of its bootstrap; with weights: of the ratio of the sums."""
    values = values.astype(np.float64)
    weights = np.ones_like(values) if weights is None else weights.astype(np.float64)
    rng, resampled = np.random.default_rng(0), np.empty(_RESAMPLES)
    for resample in range(_RESAMPLES):
        picks = rng.integers(len(values), size=len(values))
        resampled[resample] = values[picks].sum() / weights[picks].sum()
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(np.sum(values) / np.sum(weights)), float(low), float(high)
