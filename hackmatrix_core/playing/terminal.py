"""`hackmatrix play`: the game in a terminal."""

import asyncio
import functools
import itertools
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
from prompt_toolkit.application import Application
from prompt_toolkit.filters import Always, Condition, Filter
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples, fragment_list_width, to_formatted_text
from prompt_toolkit.formatted_text.utils import split_lines
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import ConditionalContainer, FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.widgets import TextArea

from hackmatrix_core.playing.session import Session, parse_seed
from hackmatrix_core.viewing.actions import ACTIONS
from hackmatrix_core.viewing.board.text import text

KEYS = {
    "up": "up", "down": "down", "left": "left", "right": "right", "siphon": " ",
    "push": "p", "pull": "l", "crash": "c", "warp": "w", "poly": "y", "wait": "t", "debug": "b", "row": "r",
    "col": "o", "undo": "z", "step": "s", "siph+": "i", "exch": "x", "show": "h", "reset": "e", "calm": "m",
    "d_bom": "d", "delay": "a", "anti-v": "v", "score": "g", "reduc": "f", "atk+": "k", "hack": "j",
}  # fmt: skip
"""The key of each action, under the name that prompt_toolkit gives it."""

_SIGNS = {"up": "↑", "down": "↓", "left": "←", "right": "→", " ": "space"}
_SIGN = {name: _SIGNS.get(key, key) for name, key in KEYS.items()}
_LINES = tuple(f"{_SIGN[action.name]:5} {action.name:6} {action.price:5}  {action.does}" for action in ACTIONS)
_LINES_WIDTH = max(map(len, _LINES))
_SHORT = tuple(_SIGN[a.name] if a.name in _SIGNS else f"{_SIGN[a.name]} {a.name}" for a in ACTIONS)
_COSTS = "costs: c credits, e energy, s data siphons; a hit deals attack damage and stuns"
_COMMANDS = "? help   u take back   n new game   S save   L load   q quit"
_STATUS_ROWS = 3
_MESSAGE = 150
"""The longest message that the status has room for; of longer ones it shows beginning and end."""
_LEAST_COLUMNS, _LEAST_ROWS = 80, 24
"""A terminal of this size holds the board, 80 × 20, a line of actions, and the status."""
_GAP = 2


def play(seed: int | None = None, scenario_file: str | Path | None = None) -> int:
    """Play in the terminal of this process until the player leaves.

    Args:
        seed: of the first game, 0 … 2³² − 1; default at random.
        scenario_file: start from this file (R12, JSON).

    Returns:
        The exit code: 0, or 143 after SIGTERM.

    Raises:
        PlayError: the seed or the file is not valid.
        KeyboardInterrupt: after Ctrl-C.
    """
    print("compiling the game, which takes a few seconds…", flush=True)
    return TerminalGame(Session(seed, scenario_file)).run()


class TerminalGame:
    """A session with a screen and keys.

    Args:
        session: the game, which may be under way.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._message = ""
        self._help_line: int | None = None  # the first one that is shown
        self._question: tuple[str, Callable[[str], None]] | None = None
        asking = Condition(lambda: self._question is not None)
        self._input = TextArea(multiline=False, accept_handler=lambda buffer: self._do(self._answer))
        self._main = Window(
            FormattedTextControl(self._screen, focusable=True, show_cursor=False),
            wrap_lines=Condition(self._is_too_small),
        )
        status = Window(FormattedTextControl(self._status), height=_STATUS_ROWS - 1, wrap_lines=True)
        below = FormattedTextControl(lambda: "Enter: confirm   Escape: cancel" if self._question else _COMMANDS)
        commands = Window(below, height=1)
        self._app: Application[int] = Application(
            Layout(HSplit([self._main, status, commands, ConditionalContainer(self._input, asking)]), self._main),
            key_bindings=self._bindings(asking),
            full_screen=True,
        )

    def run(self) -> int:
        """Play until the player leaves; returns and raises as `play`."""

        def on_start() -> None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: self._app.exit(result=143))

        return self._app.run(pre_run=on_start)

    # What is seen.

    def _screen(self) -> StyleAndTextTuples:
        """What stands above the status: the board and the possible actions, in as many words as there is room for."""
        size = self._app.output.get_size()
        rows = size.rows - _STATUS_ROWS
        if self._is_too_small():
            found, needed = f"{size.columns} × {size.rows}", f"{_LEAST_COLUMNS} × {_LEAST_ROWS}"
            problem = f"This terminal has {found} characters and the board needs {needed}."
            return [("", f"{problem} Enlarge the window or choose a smaller font.")]
        if self._help_line is not None:
            return _joined(self._help()[self._help_line :][:rows])
        valid = np.flatnonzero(self._session.mask & (not self._session.over))
        lines: list[StyleAndTextTuples] = [[("", _LINES[number])] for number in valid]
        beside = size.columns >= _LEAST_COLUMNS + _GAP + _LINES_WIDTH
        board, legend = self._board()
        if len(board) + len(legend) + (0 if beside else len(lines)) <= rows:
            board += legend
        if beside:
            blank: StyleAndTextTuples = []
            pairs = itertools.zip_longest(board, lines, fillvalue=blank)
            column = _LEAST_COLUMNS + _GAP
            return _joined([[*a, ("", " " * (column - fragment_list_width(a))), *b] for a, b in pairs])
        if len(board) + len(lines) > rows:
            short = "  ".join(_SHORT[number] for number in valid)
            lines = [[("", short if len(short) <= size.columns else short[: size.columns - 1] + "…")]]
        return _joined(board + lines)

    def _is_too_small(self) -> bool:
        size = self._app.output.get_size()
        return size.columns < _LEAST_COLUMNS or size.rows < _LEAST_ROWS

    def _help(self) -> list[StyleAndTextTuples]:
        prices: list[StyleAndTextTuples] = [[("", line)] for line in (_COSTS, *_LINES)]
        return [*self._board()[1], *prices]

    def _board(self) -> tuple[list[StyleAndTextTuples], list[StyleAndTextTuples]]:
        """The lines of the board, and those of its legend."""
        board = text(self._session.state, legend=False).count("\n") + 1
        lines = list(split_lines(to_formatted_text(ANSI(text(self._session.state)))))
        return lines[:board], lines[board:]

    def _status(self) -> str:
        return self._question[0] if self._question else self._message or self._session.status

    # What is done.

    def _bindings(self, asking: Condition) -> KeyBindings:
        bindings = KeyBindings()

        def bind(key: str, function: Callable[[], None], when: Filter = ~asking) -> None:
            bindings.add(key, filter=when)(lambda event: self._do(function))

        for number, action in enumerate(ACTIONS):
            bind(KEYS[action.name], functools.partial(self._session.act, number))
        bind("u", self._session.take_back)
        bind("n", lambda: self._ask("Seed of the new game (empty for a random one):", self._new))
        bind("S", lambda: self._ask("Save the state to the file:", self._save))
        bind("L", lambda: self._ask("Load a scenario from the file:", self._session.load))
        bind("?", self._turn_help)
        bind("q", lambda: self._app.exit(result=0))
        bind("escape", self._stop_asking, asking)
        for key in ("c-c", "<sigint>"):
            bind(key, lambda: self._app.exit(exception=KeyboardInterrupt), Always())
        bind("c-z", lambda: self._app.suspend_to_background(), Always())
        return bindings

    def _do(self, function: Callable[[], None]) -> bool:
        """Call it, and show what went wrong as the status. What it returns keeps the input when it is accepted."""
        self._message = ""
        if function != self._turn_help:
            self._help_line = None
        try:
            function()
        except Exception as error:  # whatever it is, the game goes on
            text = str(error) or repr(error)
            self._message = text if len(text) <= _MESSAGE else f"{text[: _MESSAGE // 2]} … {text[3 - _MESSAGE // 2 :]}"
        return False

    def _turn_help(self) -> None:
        """To the help, to its next page, and from the last page back to the board."""
        rows = max(1, self._app.output.get_size().rows - _STATUS_ROWS)
        line = 0 if self._help_line is None else self._help_line + rows
        self._help_line = line if line < len(self._help()) else None

    def _ask(self, question: str, answer: Callable[[str], None]) -> None:
        self._question = question, answer
        self._input.text = ""
        self._app.layout.focus(self._input)

    def _stop_asking(self) -> None:
        self._question = None
        self._app.layout.focus(self._main)

    def _answer(self) -> None:
        answer = self._question[1]  # type: ignore[index]  # there is input only while there is a question
        self._stop_asking()
        answer(self._input.text.strip())

    def _new(self, seed: str) -> None:
        self._session.new(parse_seed(seed))

    def _save(self, path: str) -> None:
        self._session.save(path)
        self._message = f"saved as {path}"


def _joined(lines: list[StyleAndTextTuples]) -> StyleAndTextTuples:
    return [fragment for line in lines for fragment in (*line, ("", "\n"))]
