"""A game as a self-contained page: a player with a slider, keys, the agent's choices and what they brought."""

import dataclasses
import html
import json
import os
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from hackmatrix_core.game import GameState
from hackmatrix_core.game.actions import NUM_ACTIONS
from hackmatrix_core.viewing.actions import ACTIONS
from hackmatrix_core.viewing.board.shapes import BOARD_VIEW, LEGEND_VIEW, PANEL, ground, legend_shapes, pieces
from hackmatrix_core.viewing.board.svg import elements, view_box
from hackmatrix_core.viewing.palette import PALETTE

if TYPE_CHECKING:
    from hackmatrix_core.viewing.recording import Episode

_PAGE = Path(__file__).with_name("player.html")


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Replay:
    """A page that plays a game. A notebook shows it as the last line of a cell; `save` makes it a file.

    Attributes:
        page: the whole page, as self-contained HTML.
        moment: one state of the game, a picture of which stands in where no page is shown: on GitHub, and in notebooks
            that are not trusted.
        caption: what happens at this moment, in a sentence.
    """

    page: str
    moment: GameState
    caption: str

    def save(self, path: str | Path) -> Path:
        """Write the page to a file that any browser opens, and return its path. Missing folders are created."""
        path = Path(os.path.expanduser(path))  # a ~user that nobody is stays as it is
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.page, encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        from hackmatrix_core.viewing.board.picture import still  # brings matplotlib along, which takes a second

        caption = html.escape(self.caption)
        instead = "Run this cell, or trust the notebook, to see the whole game move."
        # The page takes the still away when it runs.
        return (
            f'<iframe srcdoc="{html.escape(self.page)}" title="replay" '
            f'style="width:100%;height:860px;border:0;border-radius:8px">{caption}</iframe>'
            f"<div>{still(self.moment, self.caption)}<p>{instead}</p></div>"
        )


def replay(episode: "Episode", title: str = "HackMatrix") -> Replay:
    """The replay player of a game: slider, play, single steps, keys; the state, the action taken in it and its reward.

    Args:
        episode: from `record`. Probabilities and values are shown where it has them.
        title: shown above the player.
    """
    table: dict[str, int] = {}
    frames = [
        [table.setdefault(elements(piece), len(table)) for piece in pieces(_at(episode.states, time))]
        for time in range(len(episode) + 1)
    ]
    data = {
        "actions": [{"name": action.name, "does": f"{action.cost}: {action.does}"} for action in ACTIONS],
        "pieces": list(table),
        "frames": frames,
        "stages": np.asarray(episode.states.stage).tolist(),
        "steps": [_step(episode, time) for time in range(len(episode))],
        "end": _end(episode),
        "value_unit": episode.value_unit,
    }
    page = Template(_PAGE.read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        board_view=view_box(BOARD_VIEW),
        board_share=f"{BOARD_VIEW[1] / (PANEL - 12):.1%}",
        panel_left=PANEL - 12,
        panel_color=PALETTE["panel"],
        legend_view=view_box(LEGEND_VIEW),
        ground=elements(ground()),
        legend=elements(legend_shapes()),
        # A "<" could end the script element that the data stands in.
        episode=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    )
    # A telling moment: most enemies and transmissions were on the board.
    time = int(np.argmax(np.count_nonzero(episode.states.entities[:-1], axis=1)))
    action = ACTIONS[episode.actions[time]].name if episode.actions[time] in range(NUM_ACTIONS) else "an invalid action"
    caption = (
        f"Action {time} of {len(episode)}, in stage {int(episode.states.stage[time])}: {action}, "
        f"for a reward of {float(episode.outcomes.reward[time]):+.2f}."
    )
    return Replay(page, _at(episode.states, time), caption)


def _step(episode: "Episode", time: int) -> dict[str, Any]:
    """What the page says about one action."""
    outcome = _at(episode.outcomes, time)
    said: dict[str, Any] = {
        "action": int(episode.actions[time]),
        "reward": _rounded(outcome.reward),
        "parts": {name: _rounded(part) for name, part in outcome.reward_parts.items() if part},
    }
    if episode.probabilities is not None:
        valid = np.flatnonzero(episode.action_masks[time])
        said["probabilities"] = [[int(action), _rounded(episode.probabilities[time, action])] for action in valid]
    if episode.values is not None:
        said["value"] = _rounded(episode.values[time])
    if episode.thoughts is not None:
        thoughts = _at(episode.thoughts, time)
        columns = (thoughts.policy, thoughts.visits, thoughts.action_values)
        said["search"] = [[*(_rounded(column[action]) for column in columns)] for action, _ in said["probabilities"]]
        said["search_value"] = _rounded(thoughts.value)
    return said


def _end(episode: "Episode") -> str:
    """How the game ended, in a sentence."""
    last, state = _at(episode.outcomes, -1), _at(episode.states, -1)
    if last.won:
        return f"Won with a score of {state.score}."
    if last.died:
        return f"Died in stage {state.stage}."
    if last.invalid:
        return f"Ended in stage {state.stage} by an invalid action."
    return f"Cut off in stage {state.stage} after {len(episode):,} actions."


def _at(tree: Any, time: int) -> Any:
    """The entry of one time, of all arrays of the tree."""
    return jax.tree.map(lambda x: x[time], tree)


def _rounded(value: np.ndarray) -> float:
    return round(float(value), 4)
