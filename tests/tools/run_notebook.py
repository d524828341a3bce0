"""Runs notebooks and stores what they show: `python tests/tools/run_notebook.py play_and_watch search`.

`NAME.ipynb` is made from `NAME.py` first. Stored is what shows something without a kernel: no widgets. With
`HACKMATRIX_SMOKE=1` cells tagged `nbval-ignore-output` store nothing, so that no small run can be taken for a result.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
VARIES = "nbval-ignore-output"
"""The tag of a cell whose outputs are not the same on every machine."""


def id_of(cell: NotebookNode) -> str:
    """The id of a cell that has run: it names the code, so that a test sees when the code changes after the run."""
    return hashlib.sha256(cell.source.encode()).hexdigest()[:16]


def run(name: str) -> None:
    """Run one notebook from top to bottom and store it."""
    path = NOTEBOOKS / f"{name}.ipynb"
    command = [sys.executable, "-m", "jupytext", "--update", "--to", "ipynb", str(path.with_suffix(".py"))]
    subprocess.run(command, check=True)
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=None, record_timing=False, resources={"metadata": {"path": NOTEBOOKS}}).execute()
    strip(notebook, small=os.environ.get("HACKMATRIX_SMOKE") == "1")
    nbformat.write(notebook, path)


def strip(notebook: NotebookNode, *, small: bool) -> None:
    """Leave of a run what is worth storing, and name each cell after the code that has run."""
    for key in ("language_info", "widgets"):
        notebook.metadata.pop(key, None)
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.id = id_of(cell)
        for output in cell.outputs:
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
        forgotten = small and VARIES in cell.metadata.get("tags", [])
        cell.outputs = [] if forgotten else [x for x in cell.outputs if x.get("data") not in ({}, {"text/plain": ""})]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        run(name)
