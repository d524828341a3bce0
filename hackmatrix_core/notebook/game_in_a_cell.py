"""`hm.play()`: the game in a notebook cell."""

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hackmatrix_core.agent.policy import Policy
from hackmatrix_core.game import actions
from hackmatrix_core.playing.session import PlayError, Session, parse_seed
from hackmatrix_core.viewing.actions import ACTIONS
from hackmatrix_core.viewing.board import svg
from hackmatrix_core.viewing.waiting import Waiting

try:
    import ipywidgets as widgets
except ImportError as error:
    raise ImportError("play needs ipywidgets: pip install ipywidgets; in a terminal use `hackmatrix play`") from error

FOLDER = Path("saved_games")
"""Where games are saved whose file has a plain name; git ignores it."""


def play(
    seed: int | None = None, scenario_file: str | Path | None = None, adviser: Policy | None = None
) -> "NotebookGame":
    """Play in a notebook: make the result the last line of a cell. The first call takes some seconds to compile.

    Args:
        seed: of the first game, 0 … 2³² − 1; default at random.
        scenario_file: start from this file (R12, JSON).
        adviser: the policy that the button "hint" asks; default the pretrained agent.

    Raises:
        PlayError: the seed or the file is not valid.
    """
    with Waiting("compiling the game", "about half a minute the first time"):
        session = Session(seed, scenario_file)
    return NotebookGame(session, adviser)


class NotebookGame(widgets.VBox):
    """A session with a board and buttons, a widget of ipywidgets.

    Directions are a cross with siphon in its middle, and owned programs have a row each. A button is off while its
    action is not valid, and the text beside it says why. After a click into the game the arrow keys move, or tell why
    that is not possible.

    Args:
        session: the game, which may be under way.
        adviser: as for `play`.

    Attributes:
        session: the game.
        board: an HTML widget with the board.
        status: an HTML widget with what the last action brought.
        cross: the buttons of directions and siphon, and a text for each.
        programs: the rows of the programs that are owned, each a button and its text.
        buttons: the button of each action by name.
        texts: what each action costs and does, and why it is not valid, by name.
        hint, take_back, new, load, save: the other buttons.
        seed, file: text fields, the seed of a new game and the path of a scenario file.
    """

    _ipython_display_ = None  # that of ipywidgets 7, which would leave nothing but the widget

    def __init__(self, session: Session, adviser: Policy | None = None) -> None:
        self.session, self._adviser = session, adviser
        self.board, self.status = widgets.HTML(), widgets.HTML()
        self.buttons = {
            action.name: _button(action.name, f"{action.cost}: {action.does}", self._doing(session.act, number))
            for number, action in enumerate(ACTIONS)
        }
        self.texts = {action.name: widgets.HTML() for action in ACTIONS}
        # What `_KEYS` presses: never off, so that a key that is not valid says why.
        keys = widgets.HBox(layout=widgets.Layout(display="none"))
        for number, action in enumerate(ACTIONS[: actions.SIPHON]):
            key = _button("", "", self._doing(session.act, number))
            keys.children += (key.add_class(f"hackmatrix-{action.name}"),)
        places = ("", "up", "", "left", "siphon", "right", "", "down", "")
        grid = [self.buttons[name] if name else widgets.HTML() for name in places]
        lines = widgets.VBox([self.texts[action.name] for action in ACTIONS[: actions.FIRST_PROGRAM]])
        self.cross = widgets.HBox([widgets.GridBox(grid, layout=_CROSS), lines], layout=_WRAPPED)
        self._rows = [
            widgets.HBox([self.buttons[action.name], self.texts[action.name]], layout=_ROW)
            for action in ACTIONS[actions.FIRST_PROGRAM :]
        ]
        self.programs = widgets.HBox(layout=_WRAPPED)
        self.seed = widgets.Text(placeholder="seed (empty: random)", layout=_FIELD)
        self.file = widgets.Text(placeholder="file (empty: game.json)", layout=_FIELD)
        self.hint = _button("hint", "what the agent would do here", self._doing(self._ask))
        self.take_back = _button("take back", "go back to before the last action", self._doing(session.take_back))
        self.new = _button("new game", "with the seed in the field", self._doing(self._new))
        self.load = _button("load", "continue from the state in the file", self._doing(self._load))
        self.save = _button("save", "write the state to the file", self._doing(self._save))
        controls = [self.hint, self.take_back, self.new, self.seed, self.load, self.save, self.file]
        legend = widgets.HTML(f"<details><summary>Legend</summary>{svg.legend()}</details>{_KEYS}")
        below = widgets.HBox(controls, layout=_WRAPPED)
        super().__init__([self.board, self.status, self.cross, self.programs, below, legend, keys])
        self.add_class("hackmatrix-game")
        self._show(session.status)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The widget, and for when its kernel is gone a picture of the board."""
        from hackmatrix_core.viewing.board.picture import still  # brings matplotlib along, which takes a second

        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        words = "Run this cell to play."
        return {
            "text/plain": words,
            "text/html": f"{still(self.session.state, 'board')}<p>{words}</p>",
            "application/vnd.jupyter.widget-view+json": view,
        }

    def _doing(self, function: Callable[..., str | None], *arguments: int) -> Callable[[widgets.Button], None]:
        """What a click does: call the function and redraw; its text, or what went wrong, becomes the status."""

        def clicked(button: widgets.Button) -> None:
            try:
                message = function(*arguments)
            except PlayError as error:
                message = str(error)
            self._show(message or self.session.status)

        return clicked

    def _ask(self) -> str:
        self.status.value = "thinking…"
        if self._adviser is None:
            from hackmatrix_core.training.loading import load_policy  # brings flax along

            self._adviser = load_policy("pretrained")
        return f"hint: {self.session.hint(self._adviser)}"

    def _new(self) -> None:
        self.session.new(parse_seed(self.seed.value.strip()))

    def _load(self) -> str:
        path = self._path()
        self.session.load(path)
        return f"loaded {path}"

    def _save(self) -> str:
        path = self._path()
        self.session.save(path)
        return f"saved as {path}"

    def _path(self) -> Path:
        path = Path(self.file.value.strip() or "game.json")
        return path if len(path.parts) > 1 else FOLDER / path

    def _show(self, message: str) -> None:
        session = self.session
        self.board.value = svg.svg(session.state, legend=False)
        self.status.value = html.escape(message)
        for number, action in enumerate(ACTIONS):
            self.buttons[action.name].disabled = session.over or not session.mask[number]
            reason = f" <i>({session.reason(number)})</i>" if not (session.over or session.mask[number]) else ""
            name = f"{action.name}: " if number < actions.FIRST_PROGRAM else ""
            self.texts[action.name].value = f"{name}<b>{action.cost}</b> · {action.does}{reason}"
        owned = int(session.state.programs)
        self.programs.children = [row for program, row in enumerate(self._rows) if owned >> program & 1]
        self.hint.disabled = session.over or not session.mask.any()
        self.take_back.disabled = not session.can_take_back


_FIELD = widgets.Layout(width="15em")
_ROW = widgets.Layout(width="100%", max_width="40em")
_CROSS = widgets.Layout(grid_template_columns="repeat(3, 6em)", align_content="flex-start")
_WRAPPED = widgets.Layout(flex_flow="row wrap")
_KEYS = Path(__file__).with_name("keys.html").read_text(encoding="utf-8")


def _button(text: str, tooltip: str, on_click: Callable[[widgets.Button], None]) -> widgets.Button:
    button = widgets.Button(description=text, tooltip=tooltip, layout=widgets.Layout(width="auto", min_width="5.5em"))
    button.on_click(on_click)
    return button
