"""A person plays: the session, the notebook's buttons, and the terminal in a real pseudo-terminal."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import jax
import numpy as np
import pyte
import pytest

import hackmatrix_core as hm
from hackmatrix_core.cli import main
from hackmatrix_core.game.actions import ACTION_NAMES, PROGRAMS
from hackmatrix_core.playing import terminal
from hackmatrix_core.playing.session import PlayError, Session
from hackmatrix_core.viewing import rendering
from hackmatrix_core.viewing.actions import ACTIONS

SIPHON, WAIT, SIPH_PLUS = 4, 10, 16


def rich_scenario():
    """A new game with all programs and means for them."""
    scenario = hm.scenario.to_dict(Session(7).state)
    scenario["programs"] = [program.name for program in PROGRAMS]
    scenario["player"] |= {"hp": 2, "credits": 9, "energy": 9, "data_siphons": 3}
    return scenario


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def chosen(session, rng):
    """A valid action, programs and siphons preferred."""
    valid = np.flatnonzero(session.mask)
    return int(rng.choice(valid[valid >= SIPHON] if rng.random() < 0.4 and valid[-1] >= SIPHON else valid))


# The session and its table.


def test_table_has_every_action_with_its_cost():
    assert [action.name for action in ACTIONS] == list(ACTION_NAMES)
    costs = {action.name: action.cost for action in ACTIONS}
    assert (costs["up"], costs["siphon"], costs["atk+"]) == ("free", "1 data siphon", "4 credits, 4 energy")
    assert (costs["undo"], costs["wait"]) == ("1 credit", "1 energy")
    assert (ACTIONS[27].price, ACTIONS[SIPHON].price, ACTIONS[0].price) == ("2c 2e", "1s", "")
    assert len({action.does for action in ACTIONS}) == len(ACTIONS)
    assert max(len(action.does) for action in ACTIONS) <= 60


def test_session_is_the_game_and_goes_back_through_all_of_it():
    session, rng = Session(11), np.random.default_rng(0)
    assert same(session.state, jax.jit(hm.reset)(jax.random.key(11)))
    past, actions = [], []
    while not session.over and len(actions) < 60:
        past.append(session.state)
        actions.append(chosen(session, rng))
        session.act(actions[-1])
    key = jax.random.fold_in(jax.random.key(11), len(actions) - 1)
    expected, outcome = jax.jit(hm.step)(past[-1], actions[-1], key)
    assert same(session.state, expected)
    np.testing.assert_array_equal(session.mask, jax.jit(hm.get_valid_actions)(expected))
    assert same(session.outcome, outcome)
    assert f"{ACTIONS[actions[-1]].name}: reward {float(outcome.reward):+.2f}" in session.status
    last = session.state
    for state in reversed(past):
        session.take_back()
        assert same(session.state, state)
    with pytest.raises(PlayError, match="nothing to take back"):
        session.take_back()
    assert session.status == "seed 11"
    for action in actions:
        session.act(action)
    assert same(session.state, last)


def test_session_refuses_what_is_not_possible():
    session = Session(3)
    before = session.state
    siphons = int(before.data_siphons)
    assert bool(session.mask[SIPHON]) == (siphons > 0)
    with pytest.raises(PlayError, match="wait is not possible now"):
        session.act(WAIT)
    with pytest.raises(PlayError, match="28 is not an action, expected 0 to 27"):
        session.act(28)
    with pytest.raises(PlayError, match="the seed is -1, expected a number from 0 to 4294967295"):
        session.new(-1)
    assert session.state is before
    assert not session.can_take_back


def test_scenario_files(tmp_path):
    session, file = Session(3), tmp_path / "state.json"
    file.write_text(json.dumps(rich_scenario()))
    session.load(file)
    assert hm.scenario.to_dict(session.state) == rich_scenario()
    session.act(SIPH_PLUS)
    session.save(file)
    assert json.loads(file.read_text()) == hm.scenario.to_dict(session.state)
    before = session.state
    for content, message in [
        (None, "cannot be read: No such file or directory"),
        ("{", "is not JSON: Expecting property name"),
        ("{}", "is not a scenario: the scenario has no key"),
        (json.dumps({**rich_scenario(), "stage": 9}), "is not a scenario: stage is 9, expected 1 to 8"),
        (b"\xff\xfe", "is not a scenario: 'utf-8' codec"),
    ]:
        bad = tmp_path / "bad.json"
        if content is not None:
            bad.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(PlayError, match=re.escape(f"{bad} {message}")):
            session.load(bad)
    with pytest.raises(PlayError, match=re.escape(f"{tmp_path} cannot be written: Is a directory")):
        session.save(tmp_path)
    for ask, wrong in [(session.save, "written"), (session.load, "read")]:
        with pytest.raises(PlayError, match=f"~nobody-here/game.json cannot be {wrong}"):
            ask("~nobody-here/game.json")
    assert session.state is before
    assert session.can_take_back


# The notebook.


# ipywidgets 7 with the newest ipykernel
@pytest.mark.filterwarnings("ignore:The `ipykernel.comm.Comm` class has been deprecated:DeprecationWarning")
def test_notebook_plays_by_clicks(tmp_path):
    pytest.importorskip("ipywidgets", reason="ipywidgets is not installed: pip install ipywidgets")
    game, mirror, rng = hm.play(5), Session(5), np.random.default_rng(1)

    def agrees():
        assert same(game.session.state, mirror.state)
        assert game.board.value == rendering.svg(mirror.state, legend=False)
        enabled = [not game.buttons[name].disabled for name in ACTION_NAMES]
        np.testing.assert_array_equal(enabled, mirror.mask & (not mirror.over))
        assert game.take_back.disabled != mirror.can_take_back

    agrees()
    file = tmp_path / "rich <b>.json"
    file.write_text(json.dumps(rich_scenario()))
    game.file.value = str(file)
    game.load.click()
    mirror.load(file)
    assert game.status.value == f"loaded {tmp_path}/rich &lt;b&gt;.json"
    rows = game.programs.children
    assert [row.children[0].description for row in rows] == list(ACTION_NAMES[5:])  # all programs are owned
    assert "<b>5 credits</b> · get a data siphon" in game.texts["siph+"].value
    agrees()
    for _ in range(300):
        if mirror.over:
            break
        action = chosen(mirror, rng)
        game.buttons[ACTION_NAMES[action]].click()
        mirror.act(action)
        agrees()
        assert ACTION_NAMES[action] in game.status.value
    assert mirror.over
    assert game.status.value.startswith("You died in stage")
    game.buttons["up"].click()  # a browser sends none from a button that is off
    assert "the game is over" in game.status.value
    game.take_back.click()
    mirror.take_back()
    agrees()
    game.save.click()
    assert json.loads(file.read_text()) == hm.scenario.to_dict(mirror.state)
    game.seed.value = "12"
    game.new.click()
    mirror.new(12)
    agrees()
    assert len(game.programs.children) == 0  # none is owned
    for field, value, button, message in [
        (game.seed, "twelve", game.new, "the seed is &#x27;twelve&#x27;, expected a number from 0 to 4294967295"),
        (game.file, "", game.load, "saved_games/game.json cannot be read"),
        (game.file, "other.json", game.load, "saved_games/other.json cannot be read"),
        (game.file, "/dev/null/x.json", game.save, "/dev/null/x.json cannot be written: "),
    ]:
        field.value = value
        button.click()
        assert message in game.status.value
    agrees()
    bundle = game._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == game.model_id
    assert "data:image/png;base64,iVBOR" in bundle["text/html"]  # where no kernel runs


# ipywidgets 7 with the newest ipykernel
@pytest.mark.filterwarnings("ignore:The `ipykernel.comm.Comm` class has been deprecated:DeprecationWarning")
def test_notebook_says_why_not_and_gives_hints():
    pytest.importorskip("ipywidgets", reason="ipywidgets is not installed: pip install ipywidgets")
    game = hm.play(0, adviser=hm.baselines.greedy)
    for number, name in enumerate(ACTION_NAMES):
        assert ("<i>" in game.texts[name].value) == bool(game.session.reason(number)) == (not game.session.mask[number])
    assert "(the board ends there)" in game.texts["up"].value
    assert "(costs 1 data siphon, you have 0)" in game.texts["siphon"].value
    assert game.texts["siphon"].value.startswith("siphon: <b>1 data siphon</b>")
    before, keys = game.board.value, game.children[-1]
    assert keys.layout.display == "none"
    assert [key._dom_classes for key in keys.children] == [(f"hackmatrix-{name}",) for name in ACTION_NAMES[:4]]
    keys.children[0].click()
    assert game.status.value == "up is not possible now: the board ends there"
    assert game.board.value == before
    valid = int(np.flatnonzero(game.session.mask[:4])[0])
    keys.children[valid].click()
    assert game.status.value.startswith(f"{ACTION_NAMES[valid]}: reward")
    game.take_back.click()
    assert game.session.reason(WAIT) == "you do not own it"
    game.hint.click()
    assert re.fullmatch(r"hint: (up|down|left|right) 100%", game.status.value)


# The terminal.


class Terminal:
    """A process in a pseudo-terminal, and the screen that a person would see."""

    def __init__(self, *arguments, columns=120, rows=50):
        self.master, self.slave = pty.openpty()
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.output = b""
        self.resize(columns, rows)
        self.settings = termios.tcgetattr(self.slave)
        code = (
            "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
            "from hackmatrix_core.cli import main; sys.exit(main())"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "play", *arguments],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm-256color"},
        )

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def press(self, keys):
        os.write(self.master, keys.encode())

    @property
    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            data = os.read(self.master, 65536)
            self.output += data
            self.stream.feed(data)

    def wait_for(self, *texts, seconds=60):
        end = time.monotonic() + seconds
        while not all(text in self.text for text in texts):
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"waited in vain for {texts}:\n{self.text}")
            self.read(0.2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def exit_code(self):
        """Of the process, which ends by itself; it has to leave screen and settings as they were."""
        end = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.1)
        while select.select([self.master], [], [], 0)[0]:
            self.read(0)
        assert self.output.count(b"\x1b[?1049h") == self.output.count(b"\x1b[?1049l")
        assert termios.tcgetattr(self.slave) == self.settings
        assert b"Traceback" not in self.output
        return self.process.poll()


def board(session):
    return [
        line.rstrip() for line in rendering.text(session.state, color=False, legend=False).splitlines() if line.strip()
    ]


def test_terminal_plays_by_keys(tmp_path):
    pressed = {"up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D"}
    file = tmp_path / "state.json"
    file.write_text(json.dumps(rich_scenario()))
    mirror, rng = Session(5, file), np.random.default_rng(1)
    with Terminal("--seed", "5", "--scenario", str(file)) as game:
        game.wait_for("compiling the game")
        game.wait_for("seed 5", *board(mirror), "i     siph+  5c     get a data siphon")
        for _ in range(300):
            if mirror.over:
                break
            action = chosen(mirror, rng)
            mirror.act(action)
            game.press(pressed.get(ACTION_NAMES[action], terminal.KEYS[ACTION_NAMES[action]]))
            game.wait_for(mirror.status[:100], *board(mirror))
        assert mirror.over
        game.press("s")
        game.wait_for("the game is over: take back, or start a new one")
        game.press("u")
        mirror.take_back()
        game.wait_for(mirror.status[:100], *board(mirror))

        game.press("S")
        game.wait_for("Save the state to the file:")
        game.press(f"{tmp_path}/saved.json\r")
        game.wait_for("saved as")
        assert json.loads((tmp_path / "saved.json").read_text()) == hm.scenario.to_dict(mirror.state)
        game.press("n")
        game.wait_for("Seed of the new game")
        game.press("12\r")
        mirror.new(12)
        game.wait_for("seed 12", *board(mirror))
        for keys, told in [
            ("n" + "9" * 5000 + "\r", "the seed is '9999"),
            ("n" + "9" * 4000 + "\r", "expected a number from 0 to 4294967295"),
            ("n-3\r", "the seed is -3, expected"),
            ("L/dev/zero\r", "/dev/zero is not JSON"),
            ("L" + "/x" * 3000 + "\r", ": File name too long"),
            ("S\x1b[200~a\0b\x1b[201~\r", "cannot be written: embedded null byte"),
        ]:
            game.press(keys)
            game.wait_for(told)
        game.press("t")
        game.wait_for("wait is not possible now")
        game.press("L")
        game.wait_for("Load a scenario from the file:")
        game.press("/nowhere/x.json\r")
        game.wait_for("/nowhere/x.json cannot be read: No such file or directory")

        game.press("?")
        game.wait_for("p     push   2e ", "hit all enemies on siphoned cells")
        game.press("?")
        game.wait_for(*board(mirror))
        game.resize(30, 8)
        game.wait_for("This terminal has 30 × 8")
        game.resize(80, 24)
        game.wait_for(*board(mirror), "↓  →", "seed 12", "q quit")
        game.press("qq")
        assert game.exit_code() == 0


def test_terminal_is_restored_when_stopped():
    with Terminal(columns=20, rows=5) as one, Terminal(columns=20, rows=5) as other:
        for game, stop, code in [(one, signal.SIGTERM, 143), (other, signal.SIGINT, 130)]:
            game.wait_for("This terminal has")
            game.process.send_signal(stop)
            assert game.exit_code() == code


def test_terminal_refuses_in_one_sentence(capsys):
    with Terminal("--scenario", "/nowhere/x.json") as game:
        assert game.exit_code() == 2
        assert b"hackmatrix: /nowhere/x.json cannot be read: No such file or directory\r\n" in game.output
    assert main(["play"]) == 2  # pytest's input is not a terminal
    assert "play needs a terminal" in capsys.readouterr().err
