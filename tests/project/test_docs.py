"""What the documents for people say holds: links lead somewhere, code runs, commands parse, files and names exist."""

import ast
import contextlib
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest
import yaml

import hackmatrix_core as hm
from hackmatrix_core import cli
from tests import ROOT

README, CONTRIBUTING, CHANGELOG = (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))
RULES, CLIENTS = ROOT / "hackmatrix_core/game/RULES.md", ROOT / "docs/clients.md"
OWN_PARTS = ROOT / "docs/own_parts.md"
DOCUMENTS = [README, CONTRIBUTING, CHANGELOG, *sorted((ROOT / "docs").glob("*.md"))]
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
# The change log also speaks of what was: its paths and names need not exist today.
each_present_document = pytest.mark.parametrize(
    "document", [document for document in DOCUMENTS if document != CHANGELOG], ids=lambda path: path.name
)

WRITTEN = {
    "difference.json",
    "metrics.jsonl",
    "lock.json",
    "curves.png",
    "config.json",
    "evaluation.json",
    "replay.html",
    "checkpoints/",
    "results.txt",
    "results.json",
    "sweep.json",
    "programs/",
}
"""Files that a run writes."""
PLACEHOLDERS = {"I": "1", "N": "2", "RUN": "runs/mine", "DIR": "runs/mine", "HOST:1234": "host:1234"}
OTHER_TOOLS = {"--spot", "--resume", "--worker=all", "--nbval", "--headless-cli", "--visual-cli"}
"""Options in the text that are other programs', or are explained where they stand."""


def code_blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.M | re.S)


def prose(document: Path) -> str:
    """The text without its blocks of code."""
    return re.sub(r"^```.*?^```", "", document.read_text(), flags=re.M | re.S)


def inline_codes(document: Path) -> list[str]:
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(document))


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives to the headings."""
    titles = re.findall(r"^#+ (.*)$", prose(document), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(document: Path, program: str) -> list[list[str]]:
    """The words after a program's name, in blocks and in the text; comments, quotes and placeholders are gone."""
    found = []
    lines = [line for block in code_blocks(document, "bash") for line in block.replace("\\\n", " ").splitlines()]
    for text in (*lines, *inline_codes(document)):
        for rest in re.findall(rf"(?:(?<![\w/-])|(?<=bin/)){re.escape(program)}((?: [^\"|&#]*)?)(?=[\"|&#]|$)", text):
            found.append([PLACEHOLDERS.get(word, word) for word in shlex.split(rest)])
    return found


def parse(words: list[str]) -> None:
    """Parse the words as arguments of `hackmatrix`; where the text only names a command, this has to exist."""
    errors = io.StringIO()
    code = 0
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            cli.make_parser().parse_args([*words, "--help"] if len(words) < 2 else words)
        except SystemExit as end:
            code = end.code
    assert code == 0, f"hackmatrix {shlex.join(words)}: {errors.getvalue()}"


def links(document: Path) -> list[str]:
    """Where the links and images of a document lead, those defined at its end among them."""
    return re.findall(r"(?:\]\(|^\[[^\]]+\]: )([^)\s]+)", prose(document), re.M)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_references_are_defined(document):
    """A link such as [![CI][ci-badge]][ci] has its address at the end."""
    defined = set(re.findall(r"^\[([^\]]+)\]: \S+$", prose(document), re.M))
    assert set(re.findall(r"\]\[([\w-]+)\]", prose(document))) == defined


def test_the_readme_is_short():
    text = README.read_text()
    assert len(text.split()) <= 900
    assert max(map(len, text.splitlines())) <= 140
    (code,) = code_blocks(README, "python")
    assert len(code.split("\n\n", 1)[1].splitlines()) <= 10


def test_the_guide_to_training_is_short():
    assert len((ROOT / "docs/learning.md").read_text().split()) <= 1500


@pytest.mark.parametrize("document", [*DOCUMENTS, RULES], ids=lambda path: path.name)
def test_links_and_images_lead_somewhere(document):
    for link in links(document):
        if link.startswith("https://github.com/hackmatrix-jax/hackmatrix-jax/actions/workflows/"):
            assert (ROOT / ".github/workflows" / re.split("/", link)[7]).exists(), link
        if "/blob/main/" in link:
            assert (ROOT / link.partition("/blob/main/")[2]).exists(), link
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), f"{document.name} links to {link}, which does not exist"
        if anchor:
            assert anchor in anchors(target), f"{document.name} links to {link}, and there is no such heading"


def test_every_document_is_linked_and_every_image_is_used():
    linked = {
        (document.parent / link.partition("#")[0]).resolve()
        for document in DOCUMENTS
        for link in links(document)
        if not link.startswith(("http", "#"))
    }
    files = {*DOCUMENTS, *(ROOT / "docs/images").iterdir(), *(ROOT / "notebooks/images").iterdir()} - {README}
    assert files - linked == set()


def test_images_are_small():
    """GitHub sends them with the page."""
    for image in [*(ROOT / "docs/images").iterdir(), *(ROOT / "notebooks/images").iterdir()]:
        assert image.stat().st_size < 2e6, image.name


def test_readme_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = code_blocks(README, "python")
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["observations"].shape == (64, 1545)
    assert names["masks"].shape == (64, 28)
    assert names["report"].length.shape == (8,)
    assert "<svg" in (tmp_path / "replay.html").read_text()


@pytest.mark.parametrize(
    ("document", "code"),
    [
        pytest.param(document, code, marks=[pytest.mark.slow] if "hm.Sweep(" in code else [], id=document.name)
        for document in DOCUMENTS[1:]
        if document not in (CLIENTS, OWN_PARTS)
        for code in code_blocks(document, "python")
    ],
)
def test_code_of_the_other_documents_runs(document, code, tmp_path):
    """Each in a process of its own, for it may set JAX up; the games are fewer, and training is short."""
    sizes = "total_timesteps=64, num_envs=16, num_steps=4, hidden_dim=16"
    changes = {"1024": "4", "arange(100)": "arange(3)", "num_games=200": "num_games=4", '"runs/': f'"{tmp_path}/'}
    for usual, small in (changes | {"total_timesteps=3_000_000": sizes}).items():
        code = code.replace(usual, small)
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "code",
    code_blocks(CLIENTS, "python"),
    ids=[part.partition("\n")[0] for part in CLIENTS.read_text().split("\n## ") if "```python" in part],
)
def test_the_code_of_each_client_runs(code):
    statements = ast.parse(code).body
    for statement in statements:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            names = [statement.module] if isinstance(statement, ast.ImportFrom) else [x.name for x in statement.names]
            for name in names:
                pytest.importorskip(name.split(".")[0], reason=f"{name} is not installed")
    assert len(statements) <= 5
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def run_in(folder: Path, code: str, *arguments: str) -> str:
    """What a program prints that a user runs in a folder of their own, where this package is installed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_the_code_of_own_networks_runs(tmp_path):
    module, training, seeing, *_ = code_blocks(OWN_PARTS, "python")
    (tmp_path / "my_network.py").write_text(module)
    run_in(tmp_path, training)
    run_in(tmp_path, seeing)
    # An installed command, unlike `python -c`, does not look for modules in the folder where it runs.
    command = "import sys; sys.path.remove(''); from hackmatrix_core.cli import main; sys.exit(main())"
    assert "final stage" in run_in(tmp_path, command, "watch", "runs/mine")


def test_the_code_of_an_own_loop_runs(tmp_path):
    code = code_blocks(OWN_PARTS, "python")[3]
    assert len([line for line in code.splitlines() if line.strip()]) <= 40
    smaller = code.replace("GAMES, STEPS, UPDATES = 256, 32, 100", "GAMES, STEPS, UPDATES = 4, 4, 3")
    assert smaller != code
    assert "final stage" in run_in(tmp_path, smaller)


def test_an_exported_policy_needs_no_package_of_ours(tmp_path):
    pytest.importorskip("flatbuffers")
    export, load = code_blocks(OWN_PARTS, "python")[4:]
    alone = "import sys; sys.modules['hackmatrix_core'] = sys.modules['flax'] = None\n"
    shown = "\nprint(probabilities.shape, values.tolist(), arrays['params/Dense_0/kernel'].shape)"
    run_in(tmp_path, export)
    policy = hm.load_policy("pretrained")
    _, values = policy.distribution(np.zeros((3, 1545), np.float32), np.ones((3, 28), bool))
    expected = (3, 28), policy.params["params"]["Dense_0"]["kernel"].shape
    probabilities, *there, kernel = re.split(r"[\[\]]", run_in(tmp_path, alone + load + shown))
    assert (ast.literal_eval(probabilities.strip()), ast.literal_eval(kernel.strip())) == expected
    np.testing.assert_allclose(list(map(float, there[0].split(","))), values, rtol=1e-5)


@each_document
def test_commands_parse(document):
    for words in commands(document, "hackmatrix"):
        parse(words)
    for words in commands(document, "bash colab_setup.sh"):
        command, *arguments = words or ["help"]
        assert command in ("train", "test", "lab", "help"), words
        if command == "train":
            parse([command, "--minutes", "3", *arguments])


def test_the_commands_are_found():
    """The parser is asked about what the documents say, and would refuse what is wrong."""
    assert ["train", "--distributed", "--num-envs", "8192", "--run-dir", "runs/pod"] in commands(
        ROOT / "docs/devices.md", "hackmatrix"
    )
    assert ["benchmark", "env", "--num-envs", "1024"] in commands(ROOT / "docs/speed.md", "hackmatrix")
    assert {"train", "test", "lab"} <= {words[0] for words in commands(README, "bash colab_setup.sh")}
    for wrong in (["fly"], ["train", "--fly"], ["benchmark", "env", "--num-envs"]):
        with pytest.raises(AssertionError, match="hackmatrix"):
            parse(wrong)


@each_document
def test_options_exist(document):
    with contextlib.redirect_stdout(io.StringIO()) as helps:
        for command in ("train", "sweep", "evaluate", "watch", "play", "original", "benchmark", "doctor"):
            with pytest.raises(SystemExit):
                cli.make_parser().parse_args([command, "--help"])
    known = set(re.findall(r"--[a-z-]+", helps.getvalue())) | OTHER_TOOLS
    named = {code.split()[0] for code in inline_codes(document) if code.startswith("--")}
    assert named - known == set()


def is_path(code: str) -> bool:
    return bool(re.fullmatch(r"\.?[\w.-]+(/[\w.-]+)*/?", code)) and (
        "/" in code
        or code.endswith((".py", ".md", ".sh", ".json", ".jsonl", ".yaml", ".cff", ".toml", ".html", ".png"))
    )


@each_present_document
def test_paths_exist(document):
    """A file is named by its path in the repository, RULES.md and README.md also by their names alone."""
    paths = {code for code in inline_codes(document) if is_path(code) and "NAME" not in code and "PART" not in code}
    paths -= WRITTEN | {"RULES.md"}
    missing = {path for path in paths if not path.startswith("runs/") and not (ROOT / path).exists()}
    assert missing == set()


def test_the_tree_is_that_of_the_package():
    (tree,) = re.findall(r"^```\n(hackmatrix_core/\n.*?)^```", CONTRIBUTING.read_text(), re.M | re.S)
    package = tree.partition("notebooks/ ")[0]
    named = set(re.findall(r"(?:^|  )(\w+(?:/|\.py))", package, re.M)) - {"hackmatrix_core/"}
    folder = ROOT / "hackmatrix_core"
    missing = {name for name in named if not (folder / name).exists() and not (folder / "game" / name).exists()}
    assert missing == set()
    rooms = {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    assert rooms - named == set()


@each_present_document
def test_public_names_exist(document):
    text = document.read_text()
    for name, attribute in set(re.findall(r"\bhm\.(\w+)(?:\.(\w+))?", text)):
        assert name in (*hm.__all__, "__version__"), f"{document.name} speaks of hm.{name}"
        if attribute and isinstance(getattr(hm, name), types.ModuleType):
            assert hasattr(getattr(hm, name), attribute), f"{document.name} speaks of hm.{name}.{attribute}"
    for dotted in set(re.findall(r"\bhackmatrix_core(?:\.[a-z_]\w*)+", text)):
        module, _, name = dotted.rpartition(".")
        try:
            assert hasattr(importlib.import_module(module), name) or importlib.import_module(dotted), dotted
        except ImportError as error:
            if (error.name or "").startswith("hackmatrix_core"):  # otherwise an optional library is missing
                raise


def test_the_package_is_installed_from_where_it_is():
    """Its name is on no index, so pip needs the repository's address, also for an extra."""
    texts = [
        *DOCUMENTS,
        *ROOT.glob("hackmatrix_core/**/*.py"),
        *ROOT.glob("notebooks/*.py"),
        *ROOT.glob("tests/tools/*.py"),
    ]
    lines = "\n".join(text.read_text() for text in texts).splitlines()
    named = [line for line in lines if re.search(r"pip install .*hackmatrix-jax", line)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    address = re.escape(f"git+{project['urls']['Repository']}")
    assert len(named) > 6
    for line in named:
        assert re.search(rf"pip install (\"hackmatrix-jax\[\w+\] @ {address}\"|{address}\b)", line), line
    extras = set(re.findall(r"hackmatrix-jax\[(\w+)\]", "\n".join(named)))
    assert extras
    assert extras <= project["optional-dependencies"].keys()


def test_versions_agree():
    headings = re.findall(r"^## \[(.*?)\](?: - (\d{4}-\d\d-\d\d))?$", CHANGELOG.read_text(), re.M)
    assert headings[0] == ("Unreleased", "")
    assert headings[1][0] == hm.__version__
    assert all(date for _, date in headings[1:])
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], str(citation["date-released"])) == headings[1]
    (entry,) = code_blocks(README, "bibtex")
    assert f"version = {{{citation['version']}}}" in entry
    assert f"title = {{{citation['title']}}}" in entry


def test_workflows_and_templates_are_sound():
    for path in [*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml"]:
        assert isinstance(yaml.safe_load(path.read_text()), dict), path
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    uses = re.findall(r"uses: (\S+)", workflow)
    assert uses
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in uses)


def test_pre_commit_uses_the_tools_of_the_project():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert {hook["id"] for hook in hooks} == {"ruff-check", "ruff-format", "mypy", "shellcheck", "jupytext-pairs"}
    for hook in hooks:
        assert hook["language"] == "system"
        for word in hook["entry"].split():
            if word.startswith("tests/"):
                assert (ROOT / word).exists(), hook["id"]


def test_marks_that_are_named_exist():
    marks = set(re.findall(r"pytest -m (\w+)", "\n".join(document.read_text() for document in DOCUMENTS)))
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert marks - {line.partition(":")[0] for line in options.get("markers", [])} == set()
