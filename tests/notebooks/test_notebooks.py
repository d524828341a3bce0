"""The notebooks: pairs of source and notebook that agree, run from top to bottom, and a stop button that works.

What the cells print is compared by nbval (`pytest --nbval notebooks`), not here.
"""

import os
import re
import time
import tomllib
from pathlib import Path

import jupytext
import nbformat
import pytest
from jupyter_client.manager import start_new_kernel

from hackmatrix_core.training.config import TrainConfig
from tests import ROOT

NOTEBOOKS = ROOT / "notebooks"
SOURCES = sorted(NOTEBOOKS.glob("*.py"))
REPOSITORY = tomllib.loads((NOTEBOOKS.parent / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
IGNORED = "nbval-ignore-output"
each_notebook = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def code_cells(source: Path) -> list:
    return [cell for cell in read(source).cells if cell.cell_type == "code"]


def read(source: Path) -> nbformat.NotebookNode:
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def test_every_notebook_has_its_source():
    assert SOURCES
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == {path.stem for path in SOURCES}


@each_notebook
def test_notebook_agrees_with_its_source(source):
    def essence(notebook):
        def parts(cell):
            shown = (cell.metadata.get(name) for name in ("tags", "cellView", "jupyter"))
            return cell.cell_type, cell.source, *shown

        return list(map(parts, notebook.cells)), notebook.metadata["kernelspec"]

    remedy = f"make it again: jupytext --update --to ipynb notebooks/{source.name}"
    assert essence(jupytext.read(source)) == essence(read(source)), remedy


@each_notebook
def test_notebook_was_run_from_top_to_bottom(source):
    cells = code_cells(source)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    compared = [cell for cell in cells if IGNORED not in cell.metadata.get("tags", []) and cell.outputs]
    assert len(compared) >= 2
    outputs = [output for cell in cells for output in cell.outputs]
    assert "error" not in {output.output_type for output in outputs}
    texts = [str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", "")) for output in outputs]
    paths = re.findall(r"/(?:root|home|tmp|Users|var)/\S*", "\n".join(texts))
    assert paths == [], "stored outputs name paths of the machine that they were made on"


@each_notebook
def test_badge_opens_this_notebook(source):
    first = read(source).cells[0].source
    path = REPOSITORY.removeprefix("https://github.com/")
    assert f"(https://colab.research.google.com/github/{path}/blob/main/notebooks/{source.stem}.ipynb)" in first
    whole = source.read_text()
    assert set(re.findall(r"https://github.com/[\w-]+/[\w-]+", whole)) == {REPOSITORY}
    for link in re.findall(rf"{REPOSITORY}/blob/main/([\w/.-]+)", whole):
        assert (NOTEBOOKS.parent / link).is_file(), link


def test_all_notebooks_are_set_up_alike():
    """Each has to stand alone on Colab, so the cell is in all of them: up to what it imports, it is the same."""
    beginnings = {code_cells(source)[0].source.partition("from None")[0] for source in SOURCES}
    assert len(beginnings) == 1
    for source in SOURCES:
        metadata = code_cells(source)[0].metadata
        assert (metadata["cellView"], metadata["jupyter"]) == ("form", {"source_hidden": True})  # Colab, JupyterLab


@pytest.mark.parametrize(("name", "preset"), [("local_cpu", "cpu"), ("colab_t4", "t4"), ("colab_tpu", "tpu")])
def test_forms_start_from_the_preset(name, preset):
    source = (NOTEBOOKS / f"train_{name}.py").read_text()
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
    (training,) = (cell.source for cell in code_cells(NOTEBOOKS / "train_local_cpu.py") if "Trainer(" in cell.source)
    before = [cell.source for cell in code_cells(NOTEBOOKS / "train_local_cpu.py")]
    before = before[: before.index(training)]
    for code in before:
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
