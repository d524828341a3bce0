"""The notebooks: they are what their sources make, run from top to bottom, and have a stop button that works.

What the cells print is compared by nbval (`pytest --nbval notebooks`), not here.
"""

import html
import os
import re
import time
import tomllib

import jupytext
import nbformat
import pytest
from jupyter_client.manager import start_new_kernel

from hackmatrix_core.notebook import make
from hackmatrix_core.training.config import TrainConfig
from tests import ROOT

NOTEBOOKS = ROOT / "notebooks"
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
each_notebook = pytest.mark.parametrize("name", make.NOTEBOOKS)


def stored(name) -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def code_cells(name) -> list:
    return [cell for cell in stored(name).cells if cell.cell_type == "code"]


def test_every_notebook_is_made_from_a_source():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(make.NOTEBOOKS)
    used = {"train", *make.NOTEBOOKS} - {name for name in make.NOTEBOOKS if name.startswith("train_")}
    assert {path.stem for path in make.SOURCES.glob("*.py")} == used


@each_notebook
def test_notebook_is_what_its_source_makes(name):
    notebook = stored(name)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    assert notebook == make.made(name), "make them again: python -m hackmatrix_core.notebook.make"


@each_notebook
def test_both_halves_of_a_pair_agree(name):
    text = (NOTEBOOKS / f"{name}.py").read_text()
    assert text == make.script_of(name), "make them again: python -m hackmatrix_core.notebook.make"
    cells = jupytext.reads(text, fmt="py:percent").cells
    assert [(cell.cell_type, cell.source) for cell in cells] == [(x.cell_type, x.source) for x in stored(name).cells]


@each_notebook
def test_notebook_was_run_from_top_to_bottom(name):
    cells = code_cells(name)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    compared = [cell for cell in cells if make.VARIES not in cell.metadata.get("tags", []) and cell.outputs]
    assert len(compared) >= 2
    outputs = [output for cell in cells for output in cell.outputs]
    assert "error" not in {output.output_type for output in outputs}
    texts = [str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", "")) for output in outputs]
    paths = re.findall(r"/(?:root|home|tmp|Users|var)/\S*", "\n".join(texts))
    assert paths == [], "stored outputs name paths of the machine that they were made on"


@each_notebook
def test_stored_outputs_show_something_without_a_kernel(name):
    """No widget, which lives in a kernel, is stored; and what a sanitizer takes away has a picture in its place."""
    for output in (output for cell in code_cells(name) for output in cell.outputs if "data" in output):
        assert not [kind for kind in output.data if "widget" in kind]
        assert output.data.get("text/plain") != ""
        page = output.data.get("text/html", "")
        if "<iframe" in page:
            inside, _, beside = page.partition("</iframe>")
            assert re.search(r'<img src="data:image/png;base64,[\w+/=]{1000,}" alt="Action ', beside)
            assert inside.rpartition(">")[2].startswith("Action ")
            assert "<p>Run this cell" in beside


@pytest.mark.parametrize("name", ["train_colab_t4", "train_colab_tpu"])
def test_what_no_such_device_has_shown_is_not_stored(name):
    for cell in code_cells(name):
        assert not cell.outputs or make.VARIES not in cell.metadata.get("tags", [])


def test_the_stored_settings_are_those_of_the_preset():
    (cell,) = (cell for cell in code_cells("train_local_cpu") if "notebook.doctor(" in cell.source)
    pages = "".join(output.get("data", {}).get("text/html", "") for output in cell.outputs)
    config = ", ".join(f"{name}={value}" for name, value in TrainConfig.preset("cpu").to_dict().items())
    assert config in html.unescape(pages), (
        "run the notebook again: python -m hackmatrix_core.notebook.make --run train_local_cpu"
    )


@each_notebook
def test_badge_opens_this_notebook(name):
    path = REPOSITORY.removeprefix("https://github.com/")
    address = f"(https://colab.research.google.com/github/{path}/blob/main/notebooks/{name}.ipynb)"
    assert address in stored(name).cells[0].source
    whole = make.text_of(name)
    assert set(re.findall(r"https://github.com/[\w-]+/[\w-]+", whole)) == {REPOSITORY}
    for link in re.findall(rf"{REPOSITORY}/blob/main/([\w/.-]+)", whole):
        assert (ROOT / link).is_file(), link


@each_notebook
def test_learners_see_no_code_of_tests(name):
    assert "SMOKE" not in make.text_of(name)


@pytest.mark.parametrize(("name", "preset"), [("local_cpu", "cpu"), ("colab_t4", "t4"), ("colab_tpu", "tpu")])
def test_forms_start_from_the_preset(name, preset):
    source = make.text_of(f"train_{name}")
    assert f'notebook.config_for("{preset}", ' in source
    config = TrainConfig.preset(preset).to_dict()
    form = dict(re.findall(r"^(\w+) = (.*?)  # @param", source, re.M))
    shared = form.keys() & config.keys()
    assert shared >= {"uniform_coef", "ent_coef", "seed"}
    assert {key: float(form[key]) for key in shared} == {key: config[key] for key in shared}


@pytest.fixture
def kernel(monkeypatch):
    monkeypatch.setenv("HACKMATRIX_SMOKE", "1")
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent), prepend=os.pathsep)
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(NOTEBOOKS))
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


class Run:
    """One cell in a kernel, followed by its messages."""

    def __init__(self, client, code: str):
        self.client, self.id, self.text = client, client.execute(code), ""
        self.buttons: list[str] = []

    def until(self, pattern: str | None = None, seconds: float = 240.0) -> None:
        """Follow until the cell's output has the pattern, or its end."""
        deadline = time.monotonic() + seconds
        while pattern is None or not re.search(pattern, self.text):
            message = self.client.get_iopub_msg(timeout=max(0.0, deadline - time.monotonic()))
            content = message["content"]
            if message["parent_header"].get("msg_id") != self.id:
                continue
            if message["msg_type"] == "error":
                raise AssertionError("\n".join(content["traceback"]))
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                assert pattern is None, f"the cell ended without {pattern!r}: {self.text}"
                return
            data = content.get("data", {})
            self.text += content.get("text", "") + str(data.get("text/plain", ""))
            widget = data.get("application/vnd.jupyter.widget-view+json")
            self.buttons += [widget["model_id"]] if widget else []

    def click(self, button: str) -> None:
        """What the browser sends when the button is pressed."""
        data = {"method": "custom", "content": {"event": "click"}}
        self.client.shell_channel.send(self.client.session.msg("comm_msg", {"comm_id": button, "data": data}))

    def interrupt(self) -> None:
        """What the interrupt button (■) of the notebook sends."""
        self.client.control_channel.send(self.client.session.msg("interrupt_request", {}))


def test_stop_button_and_interrupt_save_and_the_next_run_goes_on(kernel):
    before = [cell.source for cell in code_cells("train_local_cpu")]
    (training,) = (source for source in before if "notebook.train(" in source)
    first, settings = before[0], before[before.index(training) - 1]  # the lessons between them take time
    for code in (first, settings):
        Run(kernel, code).until()
    Run(kernel, "import dataclasses\nconfig = dataclasses.replace(config, total_timesteps=10**8)").until()

    updates = [0]
    for stop in (lambda run: run.click(run.buttons[-1]), Run.interrupt):
        run = Run(kernel, training)
        run.until(rf"update (?!{updates[-1]}/)\d+/.*left")
        stop(run)
        run.until(seconds=60)
        told = Run(kernel, "print(result.stopped_by, len(result.history), result.history[-1]['update'])")
        told.until()
        reason, count, update = told.text.split()
        assert reason == "request"
        assert count == update
        updates.append(int(update))
    assert updates[0] < updates[1] < updates[2] < 10**5
