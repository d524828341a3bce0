"""The pictures of the lessons: what the agent sees, what the mask does, what an agent thinks."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from IPython.display import display

from hackmatrix_core.agent.policy import NetworkPolicy
from hackmatrix_core.game import GameState, get_valid_actions, observe, split_observation
from hackmatrix_core.game.state import ACTION_NAMES
from hackmatrix_core.viewing.palette import PALETTE
from hackmatrix_core.viewing.recording import Episode
from hackmatrix_core.viewing.style import SERIES, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _figure(width: float, height: float) -> "Figure":
    from hackmatrix_core.viewing.figures import Picture

    return Picture(figsize=(width, height), layout="constrained")


@styled
def plot_channels(observation: Any) -> "Figure":
    """An observation, float32 (1545,), as 6 × 6 pictures: one for each channel that is not empty, and the numbers."""
    parts = split_observation(observation)
    shown = [name for name in parts.channel_names if parts.channel(name).any()]
    columns = 5
    rows = -(-len(shown) // columns)
    figure = _figure(1.35 * columns, 1.6 * rows + 0.5)
    for axes, name in zip(figure.subplots(rows, columns).flat, [*shown, *[""] * (rows * columns)], strict=False):
        axes.set(xticks=[], yticks=[])
        if not name:
            axes.axis("off")
            continue
        axes.imshow(parts.channel(name), vmin=0, vmax=1, cmap="viridis", origin="lower")
        axes.set_title(name.replace("_", " "), fontsize=10)
    numbers = [f"{name.replace('_', ' ')} {float(value):.2g}" for name, value in parts.player.items()]
    player = ", ".join(numbers[:5]) + ",\n" + ", ".join(numbers[5:])
    empty = len(parts.channel_names) - len(shown)
    figure.suptitle(f"{len(shown)} of 42 channels; the other {empty} are empty here", fontsize=10)
    figure.supxlabel(f"and the player: {player}", fontsize=8, color=PALETTE["faint"])
    return figure


@jax.jit
def _looked(network: NetworkPolicy, state: GameState) -> tuple[jax.Array, jax.Array]:
    return network.evaluate(observe(state))


@styled
def plot_mask(network: NetworkPolicy, state: GameState) -> "Figure":
    """What a network would do in a state, with all 28 actions and with the valid ones: probabilities as bars."""
    logits, _ = _looked(network, state)
    valid = np.asarray(get_valid_actions(state))
    before = np.asarray(jax.nn.softmax(logits))
    after = np.where(valid, before, 0) / before[valid].sum()
    figure = _figure(6.8, 4.2)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, chances, title in zip(panels, (before, after), ("without the mask", "with the mask"), strict=True):
        axes.bar(range(len(valid)), chances, color=[SERIES[0] if ok else SERIES[4] for ok in valid])
        axes.set(ylabel="probability", title=title, ylim=(0, 1))
    panels[1].set_xticks(range(len(valid)), ACTION_NAMES, rotation=90, fontsize=9)
    lost = before[~valid].sum()
    panels[0].set_title(f"without the mask: {lost:.0%} of the probability is on forbidden actions")
    return figure


def show_hardest_choice(episode: Episode) -> None:
    """Show the position where the agent was least sure of what to do, and how likely each valid action was."""
    if episode.probabilities is None or episode.values is None:
        print("This agent follows a rule: it has no probabilities.")
        return
    chances = np.where(episode.action_masks, episode.probabilities, 0)
    time = int(np.argmax(-np.sum(chances * np.log(np.maximum(chances, 1e-9)), axis=1)))
    _show(episode, time, {"agent": chances}, f"value of the position {episode.values[time]:+.2f}")


def show_worst_slip(episode: Episode) -> None:
    """Show the position of a searching agent where the network's favourite would have lost most.

    The bars are how likely network and search take each valid action; below is what the search found it to be worth.
    """
    if episode.thoughts is None:
        print("This agent does not search.")
        return
    thoughts: Any = episode.thoughts  # numpy's arrays, where the class speaks of JAX's
    times = np.arange(len(episode))
    favourite = np.argmax(thoughts.network_policy, axis=1)
    looked_at = thoughts.visits[times, favourite] > 0
    loss = thoughts.action_values[times, episode.actions] - thoughts.action_values[times, favourite]
    time = int(np.argmax(np.where(looked_at, loss, 0)))
    worth = [
        f"{value:+.1f}" if n else "–"
        for value, n in zip(thoughts.action_values[time], thoughts.visits[time], strict=True)
    ]
    minds = {"network": thoughts.network_policy, "search": thoughts.policy}
    _show(episode, time, minds, f"the network would have chosen {ACTION_NAMES[favourite[time]]}", worth)


def _show(
    episode: Episode, time: int, minds: Mapping[str, np.ndarray], note: str, below: Sequence[str] | None = None
) -> None:
    """The board at this time, and a bar for each valid action and each mind."""
    from hackmatrix_core.viewing.board.picture import picture

    display(picture(jax.tree.map(lambda x: x[time], episode.states), legend=False))
    display(_plot_minds(episode, time, minds, note, below))


@styled
def _plot_minds(
    episode: Episode, time: int, minds: Mapping[str, np.ndarray], note: str, below: Sequence[str] | None
) -> "Figure":
    figure = _figure(8, 3)
    axes = figure.subplots()
    valid = np.flatnonzero(episode.action_masks[time])
    width = 0.8 / len(minds)
    for i, (name, chances) in enumerate(minds.items()):
        places = np.arange(len(valid)) + (i - (len(minds) - 1) / 2) * width
        axes.bar(places, chances[time, valid], width, label=name)
    names = [ACTION_NAMES[action] + (f"\n{below[int(action)]}" if below else "") for action in valid]
    axes.set_xticks(range(len(valid)), names)
    title = f"action {time}: {ACTION_NAMES[episode.actions[time]]} was chosen; {note}"
    axes.set(ylabel="probability", ylim=(0, 1), title=title)
    if len(minds) > 1:
        axes.legend()
    return figure
