"""The notebooks: pairs that agree, outputs of the code that is there, and a stop button that works.

What the cells print is compared by nbval (`pytest --nbval notebooks`), not here.
"""

import ast
import html
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from copy import deepcopy
from pathlib import Path

import jax
import jupytext
import nbformat
import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel

import hackmatrix_core as hm
from hackmatrix_core.training.config import TrainConfig
from tests import ROOT
from tests.tools import run_notebook
from tests.tools.run_notebook import NOTEBOOKS, VARIES

REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
TRAINING = {"train_local_cpu": "cpu", "train_colab_t4": "t4", "train_colab_tpu": "tpu"}
"""The three training notebooks and their presets."""
NAMES = [*TRAINING, "play_and_watch", "search", "make_it_yours", "benchmark"]
THE_GAME = ("## The game in one board", "## What it may do")
each_notebook = pytest.mark.parametrize("name", NAMES)


def stored(name) -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def source(name) -> nbformat.NotebookNode:
    return jupytext.read(NOTEBOOKS / f"{name}.py")


def code_cells(name) -> list:
    return [cell for cell in stored(name).cells if cell.cell_type == "code"]


def content(cell) -> tuple:
    return cell.cell_type, cell.source, cell.metadata


def title(cell) -> str:
    """The heading of a text, or the title of a form."""
    return next((line for line in cell.source.splitlines() if line.startswith(("#", "# @title"))), "")


def test_every_notebook_is_a_pair():
    for suffix in ("py", "ipynb"):
        assert {path.stem for path in NOTEBOOKS.glob(f"*.{suffix}")} == set(NAMES)


@each_notebook
def test_both_halves_of_a_pair_agree(name):
    script, notebook = source(name), stored(name)
    advice = "make it again: jupytext --update --to ipynb notebooks/*.py"
    assert [content(cell) for cell in notebook.cells] == [content(cell) for cell in script.cells], advice
    halves = [{key: value for key, value in half.metadata.items() if key != "jupytext"} for half in (script, notebook)]
    assert halves[0] == halves[1], advice
    nbformat.validate(notebook)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


@each_notebook
def test_outputs_are_those_of_the_code_from_top_to_bottom(name):
    cells = code_cells(name)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    changed = [cell.source for cell in cells if cell.id != run_notebook.id_of(cell)]
    assert changed == [], f"changed since it was run: python tests/tools/run_notebook.py {name}"
    compared = [cell for cell in cells if VARIES not in cell.metadata.get("tags", []) and cell.outputs]
    assert len(compared) >= 2
    outputs = [output for cell in cells for output in cell.outputs]
    assert "error" not in {output.output_type for output in outputs}
    texts = [str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", "")) for output in outputs]
    paths = re.findall(r"/(?:root|home|tmp|Users|var)/\S*", "\n".join(texts))
    assert paths == [], "stored outputs name paths of the machine that they were made on"


def test_the_training_notebooks_differ_in_introduction_set_up_and_preset_alone():
    def shared(name):
        own = ("# Train a HackMatrix agent", "# @title Set up")
        text = str([content(cell) for cell in source(name).cells if not title(cell).startswith(own)])
        return re.subn(rf'config_for\("{TRAINING[name]}"|num_envs=\d+|minutes = \d+', "…", text)

    first, *others = map(shared, TRAINING)
    assert first[1] == 4
    assert others == [first, first]


def test_what_the_notebooks_share_is_equal():
    """Setting up works without the package, so it is no function of it; the lessons on the game are mostly text."""
    set_ups = {code_cells(name)[0].source.partition(" from None\n")[0] for name in NAMES}
    assert len(set_ups) == 1
    assert "    import hackmatrix_core as hm\n" in set_ups.pop()

    def lessons(name):
        cells = source(name).cells
        first, last = ([title(cell) for cell in cells].index(heading) for heading in THE_GAME)
        return [content(cell) for cell in cells[first : last + 2]]

    assert all(lessons(name) == lessons("play_and_watch") for name in TRAINING)


@pytest.mark.parametrize("in_clone", [True, False])
@pytest.mark.parametrize("host", [{}, {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}])
def test_a_kernel_without_the_package_says_what_to_run(tmp_path, in_clone, host):
    """A Python that sees none of the installed packages stands in for another host's kernel."""
    command = [sys.executable, "-I", "-S", "-c", code_cells("search")[0].source]
    folder = NOTEBOOKS if in_clone else tmp_path
    result = subprocess.run(command, cwd=folder, env=os.environ | host, capture_output=True, text=True)
    assert result.returncode == 1
    advice = "close it and run: bash colab_setup.sh lab" if in_clone else f"%pip install git+{REPOSITORY}\nThen run all"
    assert result.stderr.startswith("This kernel does not have the package: ")
    assert advice in result.stderr
    assert "Traceback" not in result.stderr


@each_notebook
def test_papermill_can_set_the_settings(name):
    """It puts its values after the cell with the tag `parameters`, where nothing may have been computed from them."""
    (cell,) = (cell for cell in code_cells(name) if "parameters" in cell.metadata.get("tags", []))
    assert cell.source.startswith("# @title ")
    assert all(
        isinstance(line, ast.Assign) and ast.literal_eval(line.value) is not None
        for line in ast.parse(cell.source).body
    )
    assert len(re.findall(r"  # @param", cell.source)) == len(ast.parse(cell.source).body)


def test_the_table_of_rewards_is_that_of_the_rules():
    (cell,) = (cell for cell in source("play_and_watch").cells if title(cell) == "## What is rewarded")
    rules = (ROOT / "hackmatrix_core/game/RULES.md").read_text()
    (prizes,) = re.findall(r"^The stage prizes are .*$", rules, re.M)
    told = []
    for names, reward in re.findall(r"^\| (`.*`) \| (.*) \|$", cell.source, re.M):
        for name in re.findall(r"`(\w+)`", names):
            (rule,) = re.findall(rf"^\| {name} \| (.*) \|$", rules, re.M)
            stated, numbers = (set(re.findall(r"\d+(?:\.\d+)?", text)) for text in (rule + prizes, reward))
            assert numbers <= stated, name
            told.append(name)
    assert sorted(told) == sorted(hm.REWARD_PARTS)


def shown_in(name, kind) -> str:
    """All that the outputs of a notebook show of one kind."""
    return "".join(output.get("data", {}).get(kind, "") for cell in code_cells(name) for output in cell.outputs)


def replay_in(name) -> dict:
    """What the stored replay of a notebook shows."""
    page, *_ = re.findall(r'srcdoc="([^"]*)"', shown_in(name, "text/html"))
    return json.loads(html.unescape(page).partition('id="episode">')[2].partition("</script>")[0])


def test_stored_games_follow_from_the_shipped_agent_and_the_code():
    """If not, the notebooks are to be run again: tests/tools/run_notebook.py play_and_watch search."""
    stored, episode = replay_in("play_and_watch"), hm.record(hm.load_policy("pretrained"), jax.random.key(0), 20)
    assert stored["value_unit"] == episode.value_unit
    first = stored["steps"][: len(episode)]
    assert [step["action"] for step in first] == episode.actions.tolist()
    np.testing.assert_allclose([step["value"] for step in first], episode.values, rtol=0.01, atol=0.01)
    np.testing.assert_allclose([step["reward"] for step in first], episode.outcomes.reward, atol=1e-3)
    same_start = replay_in("search")
    assert same_start["value_unit"] == episode.value_unit
    assert same_start["steps"][0]["value"] == pytest.approx(float(episode.values[0]), rel=0.01)
    assert dict(same_start["steps"][0]["probabilities"]) == pytest.approx(dict(first[0]["probabilities"]), abs=0.01)


def test_stored_speeds_are_of_one_machine():
    """That of training in `benchmark`, and in `train_local_cpu`."""
    measured = re.search(r"\bcpu +([\d,]+) ", shown_in("benchmark", "text/plain"))[1]
    trained = re.search(r"([\d,]+) steps/s · done", shown_in("train_local_cpu", "text/plain"))[1]
    measured, trained = (int(speed.replace(",", "")) for speed in (measured, trained))
    assert measured == pytest.approx(trained, rel=0.35), "run them again on one idle machine"


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
        assert not cell.outputs or VARIES not in cell.metadata.get("tags", [])


def test_a_run_stores_no_widgets_and_at_small_size_only_what_is_the_same_everywhere():
    data = {"text/plain": "", "application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    shown = nbformat.v4.new_output("display_data", data)
    picture = nbformat.v4.new_output("display_data", data | {"text/html": "<p>"})
    printed = nbformat.v4.new_output("stream", text="7")
    varies = nbformat.v4.new_code_cell("x", outputs=[shown, printed, picture], metadata={"tags": [VARIES]})
    same = nbformat.v4.new_code_cell("y", outputs=[printed])
    notebook = nbformat.v4.new_notebook(cells=[varies, same], metadata={"language_info": {"name": "python"}})
    notebook.metadata.widgets = {}
    small = deepcopy(notebook)
    run_notebook.strip(notebook, small=False)
    assert notebook.cells[0].outputs == [printed, {**picture, "data": {"text/plain": "", "text/html": "<p>"}}]
    assert notebook.metadata == {}
    run_notebook.strip(small, small=True)
    assert [cell.outputs for cell in small.cells] == [[], [printed]]


def test_the_stored_settings_are_those_of_the_preset():
    (cell,) = (cell for cell in code_cells("train_local_cpu") if "notebook.doctor(" in cell.source)
    pages = "".join(output.get("data", {}).get("text/html", "") for output in cell.outputs)
    config = ", ".join(
        f"{name}={value}" for name, value in TrainConfig.preset("cpu").to_dict().items() if value is not None
    )
    assert config in html.unescape(pages), "run it again: python tests/tools/run_notebook.py train_local_cpu"


@each_notebook
def test_links_lead_to_this_notebook_and_to_files_that_exist(name):
    path = REPOSITORY.removeprefix("https://github.com/")
    address = f"(https://colab.research.google.com/github/{path}/blob/main/notebooks/{name}.ipynb)"
    assert address in stored(name).cells[0].source
    whole = (NOTEBOOKS / f"{name}.py").read_text()
    assert set(re.findall(r"https://github.com/[\w-]+/[\w-]+", whole)) == {REPOSITORY}
    for link in re.findall(rf"{REPOSITORY}/blob/main/([\w/.-]+)", whole):
        assert (ROOT / link).is_file(), link


@each_notebook
def test_learners_see_no_code_of_tests(name):
    assert "SMOKE" not in (NOTEBOOKS / f"{name}.py").read_text()


@pytest.mark.parametrize(("name", "preset"), TRAINING.items())
def test_forms_start_from_the_preset(name, preset):
    text = (NOTEBOOKS / f"{name}.py").read_text()
    assert f'notebook.config_for("{preset}", ' in text
    config = TrainConfig.preset(preset).to_dict()
    form = dict(re.findall(r"^(\w+) = (.*?)  # @param", text, re.M))
    shared = form.keys() & config.keys()
    assert shared == {"learning_rate", "gamma", "uniform_coef", "ent_coef", "seed"}
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


def set_up(kernel, cells) -> str:
    """Run all that training needs, without the lessons, which take time; give the cell that trains, for long."""
    (training,) = (source for source in cells if "notebook.train(" in source)
    at = cells.index(training)
    for code in (cells[0], *cells[at - 2 : at]):
        Run(kernel, code).until()
    Run(kernel, "import dataclasses\nconfig = dataclasses.replace(config, total_timesteps=10**8)").until()
    return training


@pytest.mark.slow
def test_the_cells_below_use_the_run_where_it_is_and_say_if_it_has_learned_nothing(kernel):
    cells = [cell.source for cell in code_cells("train_local_cpu")]
    training = set_up(kernel, cells)
    below = [code for code in cells[cells.index(training) + 1 :] if "usage_table" not in code]

    run = Run(kernel, training)
    run.until("compiling")
    run.click(run.buttons[-1])
    run.until()
    told = []
    for code in below:
        told.append(Run(kernel, code))
        told[-1].until()
    words = "stopped before its first update, so this agent has learned nothing: run Train again."
    assert [words in run.text for run in told] == [True, True, False, False]
    assert "No run has learned anything yet" in told[-1].text

    place = Run(kernel, "print(run_dir)")
    place.until()
    run = Run(kernel, training)
    run.until(r"update \d+/.*left")
    shutil.rmtree(place.text.strip())  # as when a mounted drive goes
    run.click(run.buttons[-1])
    run.until()
    (saved_in,) = re.findall(r"the run is saved in (\S+), on this machine's disk\. .*take it home", run.text)
    assert (Path(saved_in) / "checkpoints").is_dir()
    for code in below:
        run = Run(kernel, code)
        run.until()
        assert words not in run.text
    assert "No run has learned" not in run.text
    assert Path(f"{saved_in}.zip").is_file()
    assert (Path(saved_in) / "replay.html").is_file()
    shutil.rmtree(Path(saved_in).parent)


def test_stop_button_and_interrupt_save_and_the_next_run_goes_on(kernel):
    before = [cell.source for cell in code_cells("train_local_cpu")]
    training = set_up(kernel, before)

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
