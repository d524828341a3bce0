"""The notebooks in JupyterLab, as a person uses them: a real server and kernel, driven in a headless browser."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MINUTES = 60_000  # milliseconds, as playwright takes them


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab over a copy of the notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy(path, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "HACKMATRIX_SMOKE": "1",
        "PYTHONPATH": str(ROOT),
        "JUPYTER_CONFIG_DIR": str(folder / "c"),
    }
    arguments = ["--allow-root", "--no-browser", f"--port={port}", "--ip=127.0.0.1", "--IdentityProvider.token=t"]
    with (folder / "log").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", *arguments, str(folder)]
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(60):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/api?token=t", timeout=2)
                break
            time.sleep(1)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)


def opened(browser, lab, name):
    """The notebook with all its cells set to run."""
    tab = browser.new_page(viewport={"width": 1400, "height": 1000})
    tab.set_default_timeout(4 * MINUTES)
    tab.goto(f"{lab}/lab/workspaces/{name}/tree/{name}.ipynb?token=t&reset")
    tab.wait_for_selector(".jp-Notebook >> visible=true")
    tab.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", state="attached")
    for button in tab.locator("dialog button.jp-mod-accept").all():
        button.click()
    tab.click("text=Run >> nth=0")
    tab.click("text=Run All Cells")
    return tab


def test_a_button_of_the_game_changes_the_board(browser, lab):
    tab = opened(browser, lab, "play_and_watch")
    # JupyterLab hides cells that are scrolled away: their elements are there, and get events, but are not visible.
    board = tab.locator(".jp-OutputArea .jupyter-widgets svg").first
    board.wait_for(state="attached")
    before = board.inner_html()
    tab.locator("button.jupyter-button:not([disabled])", has_text="right").first.dispatch_event("click")
    tab.wait_for_function(
        "before => document.querySelector('.jp-OutputArea .jupyter-widgets svg').innerHTML !== before", arg=before
    )
    tab.wait_for_selector("iframe[title=replay]", state="attached")
    replay = tab.frame_locator("iframe[title=replay]")
    replay.locator("#next").dispatch_event("click")
    assert replay.locator("#count").text_content().startswith("action 1 of ")
    tab.close()
