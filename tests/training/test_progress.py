"""What a run shows: lines, files, curves, the watch over the entropy."""

import base64
import io
import json
import math

import numpy as np
import pytest
from rich.console import Console

from hackmatrix_core.training.history import MetricsFile, lately, make_record, read_metrics
from hackmatrix_core.training.progress import (
    ConsoleProgress,
    EntropyWatch,
    LiveDisplay,
    Progress,
    TrapWatch,
    status_line,
)
from hackmatrix_core.viewing.charts import plot_curves, save_curves

pytestmark = pytest.mark.quick


def record(update: int, entropy: float = 0.5, mean_return: float | None = 1.5) -> dict:
    return {
        "update": update,
        "steps": 100 * update,
        "steps_per_second": 1234.5,
        "episode_return": mean_return,
        "win_rate": 0.125 if mean_return else None,
        "final_stage": 1.25,
        "relative_entropy": entropy,
    }


def progress(phase="training", update=2, total=10, left=75.0, history=None, seconds=3.0) -> Progress:
    history = [record(1), record(2)] if history is None else history
    return Progress(phase, update, total, 100, seconds, left, history, lambda: None)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_status_line():
    expected = (
        "update 2/10 · 200 steps · 1,234 steps/s · 1:15 left · won 12% · return +1.50 · stage 1.25 · entropy 0.50"
    )
    assert status_line(progress()) == expected
    assert "1:02:03 left" in status_line(progress(left=3723.0))
    assert (
        status_line(progress(left=math.nan, history=[])) == "update 2/10 · 200 steps"
    )  # what is not known is left out
    assert status_line(progress("done", update=9)) == expected.replace("2/10 · 200", "9/10 · 900").replace(
        "1:15 left", "stopped and saved"
    )
    assert "steps/s · done · won" in status_line(progress("done", update=10))


def test_an_update_without_finished_episode_shows_the_last_known_return():
    assert "return +1.50" in status_line(progress(history=[record(1), record(2, mean_return=None)]))


def test_console_in_a_file_tells_compiling_and_training_apart():
    stream = io.StringIO()
    show = ConsoleProgress(Console(file=stream, highlight=False), interval=0.0)
    for phase, update in [("compiling", 0), ("training", 0), ("training", 1), ("done", 2)]:
        show(progress(phase, update))
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["compiling…", "compiled in 3.0 s, training…"]
    assert [line.split(" · ")[0] for line in lines[2:]] == ["update 1/10", "update 2/10"]


def test_console_in_a_file_is_quiet_in_between():
    stream = io.StringIO()
    show = ConsoleProgress(Console(file=stream, highlight=False), interval=1000.0)
    for update in range(50):
        show(progress("training", update))
    assert len(stream.getvalue().splitlines()) == 1


def test_console_in_a_terminal_renews_its_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    show = ConsoleProgress(Console(file=stream, highlight=False))
    for phase in ["compiling", "training", "done"]:
        show(progress(phase))
    text = stream.getvalue()
    assert text.count("\n") == 2
    assert text.count("\r") == 3
    assert max(len(line.split("\033[0K")[-1]) for line in text.splitlines()) <= 39


def test_entropy_watch_warns_once_and_early_only():
    watch = EntropyWatch(threshold=0.2)
    watch(progress(history=[record(1, entropy=0.21)]))
    with pytest.warns(RuntimeWarning, match=r"relative entropy is 0\.19 after 2 of 10 updates.*Raise uniform_coef"):
        watch(progress(history=[record(1, entropy=0.21), record(2, entropy=0.19)]))
    watch(progress(history=[record(1), record(2, entropy=0.1)]))
    EntropyWatch()(progress(update=5, history=[record(1), record(5, entropy=0.01)]))
    EntropyWatch()(progress(history=[record(1, entropy=0.14), record(2, entropy=0.1)]))  # a trained network
    EntropyWatch()(progress(history=[]))


def games(update, won, length, episodes=500):
    return record(update) | {"episodes": episodes, "win_rate": won, "episode_length": length}


def test_what_a_run_did_lately_is_a_mean_over_the_last_thousand_games():
    history = [games(1, 0.1, 100), games(2, 0.2, 200, 900), games(3, None, None, 0), games(4, 0.4, 400, 300)]
    assert lately(history, "win_rate") == pytest.approx((300 * 0.4 + 900 * 0.2) / 1200)
    assert lately(history, "episode_length", 2) == pytest.approx((500 * 100 + 900 * 200) / 1400)
    assert np.isnan(lately(history[2:3], "win_rate"))
    assert np.isnan(lately([], "win_rate"))


def test_a_trap_is_told_once_with_the_steps():
    """The wins and lengths of a run that fell into the undo trap (docs/experiments.md)."""
    fell = [(0.1, 150), (0.5, 170), (0.7, 180), (0.69, 185), (0.5, 300), (0.3, 800), (0.21, 1200)]
    history = [games(i + 1, won, length, 1000) for i, (won, length) in enumerate(fell)]
    watch = TrapWatch()
    for end in range(1, 6):
        watch(progress(update=end, history=history[:end]))
    with pytest.warns(
        RuntimeWarning, match=r"after 600 steps 30% of the games.*after 300, it was 70%.*800 actions instead"
    ):
        watch(progress(update=6, history=history[:6]))
    watch(progress(update=7, history=history))
    with pytest.warns(RuntimeWarning, match="may have found a trap"):  # after a resume it sees what was before
        TrapWatch()(progress(update=7, history=history))


def test_no_trap_where_wins_are_few_or_games_grow_no_longer():
    for fell in (
        [(0.7, 200), (0.3, 150)],
        [(0.15, 100), (0.05, 900)],
        [(0.3, 200), (0.21, 400)],
        [(0.5, 100), (0.6, 300)],
    ):
        TrapWatch()(progress(history=[games(i + 1, won, length, 1000) for i, (won, length) in enumerate(fell)]))


def test_metrics_file_drops_what_comes_after_the_checkpoint(tmp_path):
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path)
    for update in range(1, 6):
        file.history.append(record(update))
        file.write()
    with path.open("a") as broken:
        broken.write('{"update": 6, "ste')
    again = MetricsFile(path, last_update=3)
    assert again.history == [record(1), record(2), record(3)]
    again.history.append(record(4, entropy=0.4))
    again.write()
    assert read_metrics(path) == [record(1), record(2), record(3), record(4, entropy=0.4)]
    assert read_metrics(tmp_path / "none.jsonl") == []


def test_record_is_plain_json():
    shares = np.zeros(28, np.float32)
    shares[[0, 3, 4, 5, 27]] = [0.25, 0.25, 0.125, 0.25, 0.125]
    made = make_record(
        {"episode_return": np.float32(np.nan), "entropy": np.float32(0.5), "action_share": shares}, update=3
    )
    assert json.loads(json.dumps(made, allow_nan=False)) == {
        "episode_return": None,
        "entropy": 0.5,
        "update": 3,
        "share_moves": 0.5,
        "share_siphon": 0.125,
        "share_programs": 0.375,
    }


def test_curves_have_a_strong_line_through_the_noise():
    history = [record(i, 0.5, 10.0 * (i % 2)) for i in range(300)]
    noisy, strong = (line.get_ydata() for line in plot_curves(history).axes[1].lines)
    assert set(noisy) == {0.0, 10.0}
    assert len(strong) == 300
    np.testing.assert_allclose(strong, 5.0, atol=1.1)


def test_curves_show_wins_return_and_entropy_over_steps(tmp_path):
    history = [record(1, 0.9, -3.0), record(2, 0.8, None), record(3, 0.7, 2.0)]
    wins, returns, entropies = plot_curves(history).axes
    np.testing.assert_array_equal(wins.lines[0].get_xydata(), [[100, 0.125], [300, 0.125]])
    assert wins.get_ylim() == entropies.get_ylim() == (0, 1)
    np.testing.assert_array_equal(returns.lines[0].get_xydata(), [[100, -3.0], [300, 2.0]])
    np.testing.assert_array_equal(entropies.lines[0].get_xydata(), [[100, 0.9], [200, 0.8], [300, 0.7]])
    assert entropies.lines[-1].get_ydata()[0] == 0.15
    save_curves(history, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    save_curves([], tmp_path / "empty.png")


@pytest.mark.filterwarnings("ignore:.*ipykernel.comm.Comm. class:DeprecationWarning")  # ipywidgets 7 with ipykernel 7
def test_live_display_renews_status_and_curves_and_its_button_stops(monkeypatch):
    pytest.importorskip("ipywidgets")
    from IPython.display import DisplayHandle

    shown, updates, stops = [], [], []

    def display(thing, **options):
        shown.append(thing)
        return DisplayHandle() if options.get("display_id") else None

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(DisplayHandle, "update", lambda self, data, **options: updates.append(data))
    live = LiveDisplay(interval=0.0)
    shows = []
    for phase in ["compiling", "training", "done"]:
        history = [] if phase == "compiling" else [record(1)]
        live(Progress(phase, 1, 10, 100, 1.0, 1.0, history, lambda: stops.append(True)))
        button = live._button
        if phase == "compiling":
            assert shown[0]["application/vnd.jupyter.widget-view+json"]["model_id"] == button.model_id
        shows.append((button.description, button.disabled))
        if phase == "training":
            button.click()
            shows.append((button.description, button.disabled))
    assert stops == [True]
    assert shows == [("Stop and save", False), ("Stop and save", False), ("Stopping…", True), ("Stopping…", True)]
    assert updates.pop() == {"text/plain": ""}  # the button is gone
    assert button.comm is None  # in a front end that keeps it, too
    texts = [data["text/plain"] for data in updates if "text/plain" in data]
    assert texts[0].startswith("compiling · 0:00 so far")
    assert texts[2] == texts[1].replace("0:01 left", "stopped and saved")
    pictures = [base64.b64decode(data["image/png"]) for data in updates if "image/png" in data]
    assert len(pictures) == 2
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)

    updates.clear()
    LiveDisplay()(progress("done", update=10))  # a run that was complete before: nothing to compile
    assert " · done · " in updates[0]["text/plain"]
    assert updates[-1] == {"text/plain": ""}
