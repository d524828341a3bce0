"""`hm.play()`: the game in a notebook cell."""

import html
from collections.abc import Callable
from pathlib import Path

from hackmatrix_core.game.state import FIRST_PROGRAM_ACTION
from hackmatrix_core.playing.session import PlayError, Session, parse_seed
from hackmatrix_core.viewing import rendering
from hackmatrix_core.viewing.actions import ACTIONS

try:
    import ipywidgets as widgets
except ImportError as error:
    raise ImportError(
        "play needs ipywidgets: pip install 'hackmatrix-jax[notebook]'; in a terminal use `hackmatrix play`"
    ) from error


def play(seed: int | None = None, scenario_file: str | Path | None = None) -> "NotebookGame":
    """Play in a notebook: make the result the last line of a cell. The first call takes some seconds to compile.

    Args:
        seed: of the first game, 0 … 2³² − 1; default at random.
        scenario_file: start from this file (R12, JSON).

    Raises:
        PlayError: the seed or the file is not valid.
    """
    return NotebookGame(Session(seed, scenario_file))


class NotebookGame(widgets.VBox):
    """A session with a board and buttons, a widget of ipywidgets.

    Directions, siphon and owned programs have a button each, with its cost and what it does; it is off while the
    action is not valid.

    Args:
        session: the game, which may be under way.

    Attributes:
        session: the game.
        board: an HTML widget with the board.
        status: an HTML widget with what the last action brought.
        actions: the rows of the actions that are shown, each a button and its text.
        buttons: the button of each action by name.
        take_back, new, load, save: the other buttons.
        seed, file: text fields, the seed of a new game and the path of a scenario file.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.board, self.status = widgets.HTML(), widgets.HTML()
        self.buttons = {
            action.name: _button(action.name, f"{action.cost}: {action.does}", self._doing(session.act, number))
            for number, action in enumerate(ACTIONS)
        }
        self._rows = [
            widgets.HBox(
                [self.buttons[action.name], widgets.HTML(f"<b>{action.price or 'free'}</b> · {action.does}")],
                layout=_ROW,
            )
            for action in ACTIONS
        ]
        self.actions = widgets.HBox(layout=_WRAPPED)
        self.seed = widgets.Text(placeholder="seed (empty: random)", layout=_FIELD)
        self.file = widgets.Text(placeholder="scenario file (.json)", layout=_FIELD)
        self.take_back = _button("take back", "go back to before the last action", self._doing(session.take_back))
        self.new = _button("new game", "with the seed in the field", self._doing(self._new))
        self.load = _button("load", "continue from the state in the file", self._doing(self._load))
        self.save = _button("save", "write the state to the file", self._doing(self._save))
        controls = [self.take_back, self.new, self.seed, self.load, self.save, self.file]
        super().__init__([self.board, self.status, self.actions, widgets.HBox(controls, layout=_WRAPPED)])
        self._show(session.status)

    def _doing(self, function: Callable[..., str | None], *arguments: int) -> Callable[[widgets.Button], None]:
        """What a click does: call the function and redraw; its text, or what went wrong, becomes the status."""

        def clicked(button: widgets.Button) -> None:
            try:
                message = function(*arguments)
            except PlayError as error:
                message = str(error)
            self._show(message or self.session.status)

        return clicked

    def _new(self) -> None:
        seed = self.seed.value.strip()
        self.session.new(parse_seed(seed) if seed else None)

    def _load(self) -> str:
        self.session.load(self._path())
        return f"loaded {self._path()}"

    def _save(self) -> str:
        self.session.save(self._path())
        return f"saved as {self._path()}"

    def _path(self) -> str:
        path = self.file.value.strip()
        if not path:
            raise PlayError("enter the path of a scenario file in the field next to the button")
        return path

    def _show(self, message: str) -> None:
        session = self.session
        self.board.value = rendering.svg(session.state)
        self.status.value = html.escape(message)
        shown = []
        for number, (action, row) in enumerate(zip(ACTIONS, self._rows, strict=True)):
            self.buttons[action.name].disabled = session.over or not session.mask[number]
            program = number - FIRST_PROGRAM_ACTION
            if program < 0 or int(session.state.programs) >> program & 1:
                shown.append(row)
        self.actions.children = shown
        self.take_back.disabled = not session.can_take_back


_FIELD = widgets.Layout(width="15em")
_ROW = widgets.Layout(width="40em")
_WRAPPED = widgets.Layout(flex_flow="row wrap")


def _button(text: str, tooltip: str, on_click: Callable[[widgets.Button], None]) -> widgets.Button:
    button = widgets.Button(description=text, tooltip=tooltip, layout=widgets.Layout(width="auto", min_width="5.5em"))
    button.on_click(on_click)
    return button
