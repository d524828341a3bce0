"""The notebooks in JupyterLab, as a person uses them: a real server and kernel, driven in a headless browser.

JupyterLab is exposed to the page's scripts only to ask whether the kernel is there; all else is read and clicked.
"""

import contextlib
import importlib.metadata
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import jupytext
import nbformat
import pytest

from tests import ROOT

SECONDS = 240
"""How long anything may take, on a slow machine with a cold cache of compiled programs."""
pytestmark = pytest.mark.skipif(
    int(importlib.metadata.version("ipywidgets").partition(".")[0]) < 8,
    reason="JupyterLab 4 shows no widgets of ipywidgets 7, which Colab has",
)
LESSONS = ("rendering.legend(", "plot_channels(", "plot_mask(")
SETTINGS = {
    # Cells that are scrolled away are drawn too, so that what is there can be found.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The folder that a JupyterLab of our own serves, and its address."""
    home = tmp_path_factory.mktemp("jupyter")
    for name, values in SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    folder = tmp_path_factory.mktemp("notebooks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = {
        "HACKMATRIX_SMOKE": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    options = ["--allow-root", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--IdentityProvider.token="]
    command = [sys.executable, "-m", "jupyterlab", *options, "--LabApp.expose_app_in_browser=True", str(folder)]
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"} | environment  # kernels choose their own
    log = home / "log"
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        wait_for_server(server, address, log)
        yield folder, address
    finally:
        server.terminate()  # it ends its kernels first
        try:
            server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_for_server(server, address, log):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/api/status", timeout=5):
            return
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()[-3000:]}")


class Notebook:
    """A notebook that is open in a tab, with its kernel ready and nothing run.

    Args:
        browser: of the fixture.
        lab: of the fixture.
        name: of the notebook.
        before: a text in the code of one cell, and the code that is put before it.
        without: a text in the code of each cell that is left out; `pytest --nbval notebooks` runs them all.
        stored: take it with its stored outputs, as it comes with a clone; else it has none.
    """

    def __init__(self, browser, lab, name, before=("", ""), without=(), stored=False):
        folder, address = lab
        source = ROOT / "notebooks" / name
        notebook = jupytext.read(source.with_suffix(".ipynb" if stored else ".py"))
        for text in without:
            (cell,) = (cell for cell in notebook.cells if cell.cell_type == "code" and text in cell.source)
            notebook.cells.remove(cell)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        text, added = before
        if added:
            (cell,) = (cell for cell in code if text in cell.source)
            cell.source = f"{added}\n{cell.source}"
        nbformat.write(notebook, folder / f"{name}.ipynb")
        self.num_cells = len(code)
        self.tab = browser.new_page(viewport={"width": 1400, "height": 1000})
        self.tab.set_default_timeout(1000 * SECONDS)
        self.tab.goto(f"{address}/lab/workspaces/{name}/tree/{name}.ipynb?reset")
        self.tab.wait_for_function(
            """() => {
                const session = window.jupyterapp?.shell.currentWidget?.context?.sessionContext;
                const kernel = session?.isReady && session.session?.kernel;
                return kernel && kernel.connectionStatus === "connected" && kernel.status === "idle";
            }"""
        )

    def run_all(self):
        self.tab.locator(".lm-MenuBar-item", has_text=re.compile("^Run$")).click()
        self.tab.locator(".lm-Menu-item", has_text=re.compile("^Run All Cells$")).click()

    def output(self, code):
        """The output of the cell with this code."""
        return self.tab.locator(".jp-CodeCell", has_text=code).locator(".jp-Cell-outputWrapper")

    def wait_for_end(self):
        """Wait until the last cell has run, and see that none ended by an error."""
        last = self.tab.locator(".jp-CodeCell .jp-InputPrompt").last.filter(has_text=f"[{self.num_cells}]:")
        failed = self.tab.locator(".jp-OutputArea-output", has_text="Traceback (most recent call last)")
        last.or_(failed).first.wait_for(state="attached")
        assert failed.all_text_contents() == []

    def change(self, locator, name):
        """Wait until this property of the element is another than now."""
        deadline = time.monotonic() + SECONDS
        now = before = locator.evaluate(f"element => element.{name}")
        while now == before:
            assert time.monotonic() < deadline, f"{name} did not change in {SECONDS} s"
            self.tab.wait_for_timeout(100)
            now = locator.evaluate(f"element => element.{name}")


def test_training_shows_its_curves_stops_at_the_button_and_the_notebook_goes_on(browser, lab):
    longer = "import dataclasses\nconfig = dataclasses.replace(config, total_timesteps=10**9)"
    notebook = Notebook(browser, lab, "train_local_cpu", before=("notebook.train(", longer), without=LESSONS)
    notebook.run_all()
    training = notebook.output("notebook.train(")
    notebook.change(training.locator("img"), "src")
    training.get_by_role("button", name="Stop and save").click()
    status = training.get_by_text("stopped and saved")
    status.wait_for()
    update, total = map(int, re.search(r"update (\d+)/(\d+)", status.text_content()).groups())
    assert 1 <= update < total
    notebook.wait_for_end()
    assert training.get_by_role("button").count() == 0
    assert "final stage" in notebook.output("evaluation.table(").text_content()
    notebook.tab.close()


def test_the_game_is_played_by_its_buttons_and_the_replay_plays(browser, lab):
    notebook = Notebook(browser, lab, "play_and_watch", without=[*LESSONS, "show_hardest_choice(", "usage_table("])
    notebook.run_all()
    notebook.wait_for_end()
    game = notebook.output("hm.play(")
    board = game.locator("svg").first
    before = board.inner_html()
    move = game.locator("button:enabled", has_text=re.compile("^(up|down|left|right)$")).first
    name = move.text_content()
    move.click()
    game.get_by_text(f"{name}: reward").wait_for()
    assert board.inner_html() != before
    game.get_by_role("button", name="take back").click()
    game.get_by_text("seed 0").wait_for()
    notebook.tab.keyboard.press(
        {"up": "ArrowUp", "down": "ArrowDown", "left": "ArrowLeft", "right": "ArrowRight"}[name]
    )
    game.get_by_text(f"{name}: reward").wait_for()

    replay = notebook.output("hm.replay(episode")
    assert replay.locator("img").count() == 0  # the still picture is for where the player does not run
    player = replay.frame_locator("iframe")
    count = player.locator("#count")
    assert count.text_content().startswith("action 0 of ")
    player.locator("#play").click()
    notebook.change(count, "textContent")
    notebook.tab.close()


def test_a_stored_notebook_that_is_not_trusted_shows_a_picture_of_the_game(browser, lab):
    notebook = Notebook(browser, lab, "play_and_watch", stored=True)
    replay = notebook.output("hm.replay(episode")
    replay.locator("img").wait_for()
    assert replay.locator("iframe").count() == 0
    assert replay.locator("img").evaluate("image => image.naturalWidth") > 700
    assert "Run this cell" in replay.text_content()
    assert notebook.output("hm.play(").locator("img").evaluate("image => image.naturalWidth") > 700
    assert notebook.tab.get_by_text("Error displaying widget").count() == 0
    notebook.tab.close()
