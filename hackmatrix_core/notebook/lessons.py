"""The pictures of the lessons: what the agent sees, what the mask does, what an agent thinks."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from hackmatrix_core.agent.policy import NetworkPolicy
from hackmatrix_core.game import GameState, get_valid_actions, observe, split_observation
from hackmatrix_core.game.actions import ACTION_NAMES
from hackmatrix_core.viewing import rendering
from hackmatrix_core.viewing.figures import Picture
from hackmatrix_core.viewing.palette import PALETTE
from hackmatrix_core.viewing.recording import Episode
from hackmatrix_core.viewing.style import SERIES, styled

_COLUMNS = 5


@styled
def plot_channels(observation: Any) -> Figure:
    """An observation, float32 (1545,), as 6 × 6 pictures: one for each channel that is not empty, and the numbers."""
    parts = split_observation(observation)
    shown = [name for name in parts.channel_names if parts.channel(name).any()]
    rows = -(-len(shown) // _COLUMNS)
    figure = Picture(figsize=(1.35 * _COLUMNS, 1.6 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS).flat
    for axes, name in zip(panels, shown, strict=False):
        axes.imshow(parts.channel(name), vmin=0, vmax=1, cmap="viridis", origin="lower")
        axes.set_title(name.replace("_", " "), fontsize=10)
        axes.set(xticks=[], yticks=[])
    for axes in panels[len(shown) :]:
        axes.axis("off")
    numbers = [f"{name.replace('_', ' ')} {float(value):.2g}" for name, value in parts.player.items()]
    player = ", ".join(numbers[:5]) + ",\n" + ", ".join(numbers[5:])
    empty = len(parts.channel_names) - len(shown)
    figure.suptitle(f"{len(shown)} of 42 channels; the other {empty} are empty here", fontsize=10)
    figure.supxlabel(f"and the player: {player}", fontsize=8, color=PALETTE["faint"])
    return figure


@styled
def plot_mask(network: NetworkPolicy, state: GameState) -> Figure:
    """What a network would do in a state, with all 28 actions and with the valid ones: probabilities as bars."""
    logits, _ = jax.jit(lambda network, state: network.evaluate(observe(state)))(network, state)
    valid = np.asarray(get_valid_actions(state))
    before = np.asarray(jax.nn.softmax(logits))
    after = np.where(valid, before, 0) / before[valid].sum()
    lost = f"without the mask: {before[~valid].sum():.0%} of the probability is on forbidden actions"
    figure = Picture(figsize=(6.8, 4.2), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, chances, title in zip(panels, (before, after), (lost, "with the mask"), strict=True):
        axes.bar(range(len(valid)), chances, color=[SERIES[0] if ok else SERIES[4] for ok in valid])
        axes.set(ylabel="probability", title=title, ylim=(0, 1))
    panels[1].set_xticks(range(len(valid)), ACTION_NAMES, rotation=90, fontsize=9)
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
    loss = thoughts.action_values[times, episode.actions] - thoughts.action_values[times, favourite]
    time = int(np.argmax(np.where(thoughts.visits[times, favourite] > 0, loss, 0)))
    worth = list(np.where(thoughts.visits[time] > 0, [f"{value:+.1f}" for value in thoughts.action_values[time]], "–"))
    chances = {"network": thoughts.network_policy, "search": thoughts.policy}
    _show(episode, time, chances, f"the network would have chosen {ACTION_NAMES[favourite[time]]}", worth)


def _show(
    episode: Episode, time: int, chances: Mapping[str, np.ndarray], note: str, below: Sequence[str] | None = None
) -> None:
    """The board at this time, and what each mind thinks of each valid action."""
    from IPython.display import display

    display(rendering.picture(jax.tree.map(lambda x: x[time], episode.states), legend=False))
    display(_plot_chances(episode, time, chances, note, below))


@styled
def _plot_chances(
    episode: Episode, time: int, chances: Mapping[str, np.ndarray], note: str, below: Sequence[str] | None
) -> Figure:
    figure = Picture(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    valid = np.flatnonzero(episode.action_masks[time])
    width = 0.8 / len(chances)
    for i, (name, values) in enumerate(chances.items()):
        places = np.arange(len(valid)) + (i - (len(chances) - 1) / 2) * width
        axes.bar(places, values[time, valid], width, label=name)
    names = [ACTION_NAMES[action] + (f"\n{below[int(action)]}" if below is not None else "") for action in valid]
    axes.set_xticks(range(len(valid)), names)
    title = f"action {time}: {ACTION_NAMES[episode.actions[time]]} was chosen; {note}"
    axes.set(ylabel="probability", ylim=(0, 1), title=title)
    if len(chances) > 1:
        axes.legend()
    return figure
