"""Makes the notebooks from `sources/`: `python -m hackmatrix_core.notebook.make`, with `--run NAME …` runs some.

Each notebook is a pair: `NAME.ipynb`, and `NAME.py`, the same in jupytext's percent format, to be read and compared.

A source is in jupytext's percent format. In it `$name` stands for a value that differs between the notebooks, and a
line `# $name` or `# %% $name` for several lines: a value, or a part that several notebooks share. Cells whose code is
still the same keep their outputs. With `HACKMATRIX_SMOKE=1` a run keeps only what is the same on every machine, so that
no small run can be taken for a result.
"""

import argparse
import os
import re
from pathlib import Path
from string import Template

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

SOURCES = Path(__file__).parent / "sources"
FOLDER = Path(__file__).parents[2] / "notebooks"
BADGE = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/"
    "hackmatrix-jax/hackmatrix-jax/blob/main/notebooks/{}.ipynb)"
)
KERNEL = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
VARIES = "nbval-ignore-output"
"""The tag of a cell whose outputs are not the same on every machine."""
WIDGET = "application/vnd.jupyter.widget-view+json"


def _words(text: str) -> str:
    """The text as lines of a markdown cell in a source."""
    return "\n".join(f"# {line}".rstrip() for line in text.strip().splitlines())


def _minutes(minutes: int) -> str:
    return f'minutes = {minutes}.0  # @param {{type: "number"}}'


_ON_COLAB = """
# Train a HackMatrix agent on {title}

You will see one board of the game, an agent that trains for **15 minutes** on a {device}, how it compares with random
play and with a player that just walks to the exit, and one of its games. The rest takes a few minutes more.

1. *Runtime → Change runtime type → {runtime}*. The notebook also runs on other devices, and says what it found.
2. *Runtime → Run all*. The first cell asks for access to your Drive: the run is kept there. If you do not want that,
   uncheck `save_to_drive` in it.

Run all again, and training continues from the last checkpoint for another 15 minutes. This also works after Colab
disconnects: open the notebook again and run all. Only outputs that are the same on every machine are stored here.
This notebook is tested on a CPU and has not been run on a {device} yet, so its speed and results are yours to find out.
"""
_ON_CPU = """
# Train a HackMatrix agent on your CPU

You will see one board of the game, an agent that trains for **three minutes**, how it compares with random play and
with a player that just walks to the exit, and one of its games: about five minutes. Choose *Run → Run All Cells* (on
Colab *Runtime → Run all*). JupyterLab then shows the last cell: scroll up to *Train*, where the curves grow.

Run all cells again, and training continues from the last checkpoint for another three minutes.
"""
_DRIVE = 'save_to_drive = True  # @param {type: "boolean"}\nruns = notebook.start(drive=save_to_drive)'
NOTEBOOKS = {
    "train_local_cpu": {
        "source": "train",
        "preset": "cpu",
        "minutes": _minutes(3),
        "intro": _words(_ON_CPU),
        "start": "runs = notebook.start()",
        "fewer": "128",
    },
    "train_colab_t4": {
        "source": "train",
        "preset": "t4",
        "minutes": _minutes(15),
        "intro": _words(_ON_COLAB.format(title="a free Colab T4", device="T4 GPU", runtime="T4 GPU")),
        "start": _DRIVE,
        "fewer": "2048",
    },
    "train_colab_tpu": {
        "source": "train",
        "preset": "tpu",
        "minutes": _minutes(15),
        "intro": _words(_ON_COLAB.format(title="a Colab TPU", device="TPU", runtime="v5e-1 TPU")),
        "start": _DRIVE,
        "fewer": "2048",
    },
    "play_and_watch": {"source": "play_and_watch"},
    "search": {"source": "search"},
    "benchmark": {"source": "benchmark"},
}
"""What each notebook puts in the place of the names in its source."""
METADATA = {
    "train_colab_t4": {"accelerator": "GPU", "colab": {"gpuType": "T4"}},
    "train_colab_tpu": {"accelerator": "TPU", "colab": {"gpuType": "V5E1"}},
}


def text_of(name: str) -> str:
    """The source of one notebook with everything in its place."""
    values = {"badge": BADGE.format(name)} | NOTEBOOKS[name]
    parts = {path.stem: path.read_text(encoding="utf-8").strip() for path in (SOURCES / "parts").glob("*.py")}
    text = (SOURCES / f"{values['source']}.py").read_text(encoding="utf-8")
    text = re.sub(r"^# (?:%% )?\$(\w+)$", lambda line: (parts | values).get(line[1], line[0]), text, flags=re.M)
    return Template(text).substitute(values)


def made(name: str) -> NotebookNode:
    """The notebook as its source has it, without outputs."""
    notebook = jupytext.reads(text_of(name), fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA.get(name, {}) | KERNEL)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
    return notebook


def script_of(name: str) -> str:
    """The other half of the pair: the notebook in jupytext's percent format."""
    notebook = made(name)
    # Without jupytext's own entry, which names its version.
    notebook.metadata["jupytext"] = {"notebook_metadata_filter": "accelerator,colab,kernelspec,-all"}
    return jupytext.writes(notebook, fmt="py:percent")


def write(name: str) -> None:
    """Make the notebook's files; outputs of cells with the same code stay."""
    (FOLDER / f"{name}.py").write_text(script_of(name), encoding="utf-8")
    path, notebook = FOLDER / f"{name}.ipynb", made(name)
    if path.exists():
        before = nbformat.read(path, as_version=4)
        known = {cell.source: cell for cell in before.cells if cell.cell_type == "code"}
        for cell in notebook.cells:
            if cell.cell_type == "code" and cell.source in known:
                cell.outputs = known[cell.source].outputs
                cell.execution_count = known[cell.source].execution_count
    nbformat.write(notebook, path)


def run(name: str) -> None:
    """Make the notebook's file with the outputs of a run from top to bottom."""
    notebook = made(name)
    where = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=None, record_timing=False, store_widget_state=False, resources=where).execute()
    del notebook.metadata["language_info"]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            varies = VARIES in cell.metadata.get("tags", [])
            is_small = os.environ.get("HACKMATRIX_SMOKE") == "1"
            cell.outputs = [] if varies and is_small else [output for output in cell.outputs if _is_kept(output)]
    nbformat.write(notebook, FOLDER / f"{name}.ipynb")


def _is_kept(output: NotebookNode) -> bool:
    """Take the widget, which lives as long as its kernel, out of an output; whether it still shows something."""
    data = output.get("data")
    if data is not None:
        data.pop(WIDGET, None)
    return data is None or data != {"text/plain": ""}


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", nargs="+", default=[], choices=NOTEBOOKS, metavar="NAME", help=", ".join(NOTEBOOKS))
    chosen = parser.parse_args().run
    for name in NOTEBOOKS:
        write(name)
    for name in chosen:
        run(name)


if __name__ == "__main__":
    main()
