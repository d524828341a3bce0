"""What the documents say agrees with the code and with each other, and the code keeps the style and its types."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from hackmatrix_core.game import actions, entity, state
from tests import ROOT

RULES = (ROOT / "hackmatrix_core/game/RULES.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCUMENTS = [ROOT / "README.md", ROOT / "hackmatrix_core/game/RULES.md"]


def table_rows(columns: int) -> list[list[str]]:
    """The rows of all tables of the rules that have this many columns."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in RULES.splitlines() if line.startswith("|")]
    return [row for row in rows if len(row) == columns]


@pytest.mark.quick
@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff(command):
    result = subprocess.run([sys.executable, "-m", "ruff", *command, ROOT], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_mypy():
    """With its own cache kept, in the clone's `.mypy_cache`."""
    result = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_program_table_is_that_of_the_code():
    rows = [row for row in table_rows(7) if row[0].isdigit()]
    documented = {int(action): (name, int(c), int(e), int(s)) for action, name, c, e, s, *_ in rows}
    coded = {actions.FIRST_PROGRAM + i: tuple(program) for i, program in enumerate(actions.PROGRAMS)}
    assert documented == coded


def test_enemy_table_is_that_of_the_code():
    documented = [(row[0], int(row[1])) for row in table_rows(4) if row[0] in entity.ENEMY_NAMES]
    assert documented == list(zip(entity.ENEMY_NAMES, entity.FULL_HP.tolist(), strict=True))


def test_constants_of_the_implementation_are_those_of_the_code():
    assert f"`MAX_ENTITIES` ({state.MAX_ENTITIES})" in RULES
    assert f"`DEFAULT_UNDO_DEPTH` ({state.DEFAULT_UNDO_DEPTH})" in RULES


def test_every_cited_rule_exists():
    sections = set(re.findall(r"^## (R\d+) ", RULES, re.M)) | set(re.findall(r"^[-\s]*\*\*(R\d+\.\d+) ", RULES, re.M))
    assert len(sections) == 39
    files = [file for folder in ("hackmatrix_core", "notebooks", "tests") for file in ROOT.glob(f"{folder}/**/*.py")]
    files += DOCUMENTS
    cited = {(file.name, rule) for file in files for rule in re.findall(r"\bR\d+(?:\.\d+)?\b", file.read_text())}
    assert {(name, rule) for name, rule in cited if rule not in sections} == set()


def test_conda_environment_installs_this_project():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert {line.partition("=")[0] for line in conda} == {"python", "pip"}
    version = next(line.partition("=")[2] for line in conda if line.startswith("python"))
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    (requirement,) = pip["pip"]
    extras = re.fullmatch(r"--editable \.\[([\w,]+)\]", requirement)[1].split(",")
    assert set(extras) == {"notebook", "test"}
    assert set(extras) <= set(PROJECT["optional-dependencies"])
