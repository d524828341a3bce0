"""The decisions of colab_setup.sh on platforms that are made up: a fake root folder and fake programs on the PATH."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from tests import ROOT

SCRIPT = ROOT / "colab_setup.sh"
SYSTEM_TOOLS = ["bash", "dirname", "uname", "awk", "grep", "cat", "cksum", "rm", "mkdir", "mktemp", "readlink", "env"]


@pytest.fixture
def machine(tmp_path):
    """A machine with the usual tools, no Python and no accelerator; `machine.add(name, script)` gives it a program."""
    return Machine(tmp_path)


class Machine:
    def __init__(self, folder: Path):
        self.root, self.bin, self.checkout = folder / "root", folder / "bin", folder / "checkout"
        for each in (self.root, self.bin, self.checkout):
            each.mkdir()
        for tool in SYSTEM_TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        for name in ("colab_setup.sh", "pyproject.toml", "hackmatrix_command.py"):
            shutil.copy(ROOT / name, self.checkout)

    def add(self, path: str | Path, script: str) -> None:
        program = self.bin / path  # an absolute path stays what it is
        program.unlink(missing_ok=True)
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)

    def file(self, path: str, text: str = "") -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def call(self, function: str, **variables: str) -> subprocess.CompletedProcess:
        return self._run(["-c", f"source ./colab_setup.sh; {function}"], variables)

    def command(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        return self._run(["colab_setup.sh", *arguments], variables)

    def from_elsewhere(self, arguments: list[str], cwd: Path, **variables: str) -> subprocess.CompletedProcess:
        """`bash` with the script as its input, in another folder."""
        return self._run(arguments, variables, cwd=cwd, input=SCRIPT.read_text())

    def _run(self, arguments: list[str], variables: dict[str, str], **options) -> subprocess.CompletedProcess:
        options = {"cwd": self.checkout, "env": self.environment(variables), **options}
        return subprocess.run(["bash", *arguments], capture_output=True, text=True, **options)

    def environment(self, variables: dict[str, str]) -> dict[str, str]:
        return {"PATH": str(self.bin), "HOME": str(self.root), **variables}

    def add_venv(self, does: str = "true") -> Path:
        """A finished .venv, whose Python only writes down what it is asked to do, and with which variables."""
        log, python = self.root / "log", self.checkout / ".venv/bin/python"
        python.parent.mkdir(parents=True)
        self.add(python, f'echo "$@" >>{log}; env >{self.root}/variables; {does}')
        return log


def gpu(driver: str, capability: str) -> str:
    return f"echo '{driver}, {capability}'"


def test_plain_machine_is_cpu(machine):
    assert machine.call(f"detect_platform {machine.root}").stdout == "cpu\n"


def test_mac(machine):
    machine.add("uname", "echo Darwin")
    assert machine.call(f"detect_platform {machine.root}").stdout == "mac\n"


@pytest.mark.parametrize(
    ("driver", "capability", "expected"),
    [
        ("580.65.06", "7.5", "cuda13"),  # T4
        ("590.10", "10.0", "cuda13"),
        ("580.65.06", "7.0", "cuda12"),  # V100: CUDA 13 has left it behind
        ("550.54.15", "7.5", "cuda12"),
        ("525.60.13", "8.0", "cuda12"),
        ("470.256.02", "7.5", "cpu"),
    ],
)
def test_gpu_by_driver_and_capability(machine, driver, capability, expected):
    machine.add("nvidia-smi", gpu(driver, capability))
    result = machine.call(f"detect_platform {machine.root}")
    assert result.stdout == f"{expected}\n"
    assert ("older than 525" in result.stderr) == (expected == "cpu")


def test_several_gpus_count_once(machine):
    machine.add("nvidia-smi", gpu("580.65.06", "8.0") + "\n" + gpu("580.65.06", "8.0"))
    assert machine.call(f"detect_platform {machine.root}").stdout == "cuda13\n"


def test_driver_tool_without_a_driver_is_cpu(machine):
    machine.add("nvidia-smi", "echo 'NVIDIA-SMI has failed because it could not communicate with the driver.'; exit 9")
    assert machine.call(f"detect_platform {machine.root}").stdout == "cpu\n"


@pytest.mark.parametrize(
    ("node", "vendor", "expected"),
    [
        ("dev/accel0", "0x1ae0", "tpu"),
        ("dev/vfio/0", "0x1ae0", "tpu"),
        ("dev/vfio/vfio", "0x1ae0", "cpu"),  # a Google machine without a TPU: its network card
        ("dev/accel0", "0x8086", "cpu"),  # another maker's accelerator
    ],
)
def test_tpu_needs_device_node_and_google_vendor(machine, node, vendor, expected):
    machine.file(node)
    machine.file("sys/bus/pci/devices/0000:00:05.0/vendor", f"{vendor}\n")
    assert machine.call(f"detect_platform {machine.root}").stdout == f"{expected}\n"


def test_colab_comes_before_its_gpu(machine):
    machine.file("content/sample_data/README.md")
    machine.add("nvidia-smi", gpu("550.54.15", "7.5"))
    detect = f"detect_platform {machine.root}"
    assert machine.call(detect).stdout == "cuda12\n"  # a folder of that name alone is no Colab
    assert machine.call(detect, COLAB_RELEASE_TAG="release-colab_20260801").stdout == "colab\n"
    machine.add("python3", '[[ "$2" == "import google.colab" ]]')
    assert machine.call(detect).stdout == "colab\n"


@pytest.mark.parametrize(
    ("command", "platform", "extras"),
    [
        ("train", "cpu", ""),
        ("train", "cuda13", "cuda13"),
        ("test", "cpu", "notebook,test"),
        ("test", "tpu", "notebook,test,tpu"),
        ("lab", "mac", "notebook"),
        ("setup", "cpu", "notebook"),
        ("setup", "colab", ""),
        ("test", "colab", "test"),
    ],
)
def test_extras(machine, command, platform, extras):
    assert machine.call(f"extras_for {command} {platform}").stdout == f"{extras}\n"


def test_finds_a_newer_python_behind_an_old_one(machine):
    machine.add(
        "python3", f"exec {sys.executable} -c 'import sys; sys.version_info = (3, 9); exec(sys.argv[1])' \"$2\""
    )
    machine.add("python3.12", f'exec {sys.executable} "$@"')
    assert machine.call("find_python").stdout == f"{machine.bin}/python3.12\n"
    (machine.bin / "python3.12").unlink()
    result = machine.command("train")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "Python 3.11 or later is needed, but only Python 3.9 was found" in result.stderr


@pytest.mark.parametrize("variables", [{}, {"PYTHON": "/nowhere/python3"}])
def test_says_in_one_sentence_that_python_is_missing(machine, variables):
    result = machine.command("train", **variables)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert f"{variables.get('PYTHON', 'python3')} does not run here" in result.stderr


def test_a_python_with_a_space_in_its_path_and_one_beside_the_caller(machine):
    folder = machine.root / "my tools"
    folder.mkdir()
    machine.add(folder / "python3", f'exec {sys.executable} "$@"')
    assert machine.call("find_python", PYTHON=str(folder / "python3")).stdout == f"{folder}/python3\n"
    source = f"source {machine.checkout}/colab_setup.sh; find_python"
    result = machine.from_elsewhere(["-c", source], folder.parent, PYTHON="my tools/python3")
    assert result.stdout == f"{folder}/python3\n"


def test_it_works_from_anywhere(machine):
    """Through symbolic links, and piped into bash; where there is no clone, it says so."""
    log = machine.add_venv()
    links = machine.root / "links"
    links.mkdir()
    (links / "hop").symlink_to("../../checkout/colab_setup.sh")
    (machine.root / "set up").symlink_to(links / "hop")
    for arguments, cwd in (["../set up", "train"], links), (["-s", "train"], machine.checkout):
        result = machine.from_elsewhere(arguments, cwd)
        assert result.returncode == 0, result.stderr
        assert log.read_text().endswith(" train --minutes 3\n")
        log.unlink()
    machine.file("other/pyproject.toml", 'name = "other"')
    result = machine.from_elsewhere([], machine.root / "other")
    assert result.returncode == 1
    assert f"{machine.root}/other is no clone of HackMatrix-JAX. Get one: git clone" in result.stderr
    assert machine.from_elsewhere(["-s", "help"], machine.root).stdout.startswith("usage:")


def test_what_is_set_elsewhere_decides_nothing(machine):
    log = machine.add_venv()
    for path in ("elsewhere/checkout/pyproject.toml", "startup"):
        machine.file(path, "shopt -s failglob; set -f; IFS=e; grep() { return 1; }\n")
    dropped = {
        "CDPATH": str(machine.root / "elsewhere"),
        "BASH_ENV": str(machine.root / "startup"),
        "BASH_FUNC_cksum%%": "() { echo 1; }",
        "GREP_OPTIONS": "--invert-match",
        "POSIXLY_CORRECT": "1",
        "PYTHONHOME": "/nowhere",
        "PYTHONPATH": "/nowhere",
        "PYTHONWARNINGS": "error",
        "PIP_TARGET": "/nowhere",
        "PIP_PREFIX": "/nowhere",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_DRY_RUN": "1",
        "PIP_NO_DEPS": "1",
    }
    kept = {"PIP_INDEX_URL": "https://here", "PIP_EXTRA_INDEX_URL": "https://there", "PIP_PROXY": "a", "PIP_CERT": "b"}
    kept |= {"PIP_CONSTRAINT": "c", "PIP_NO_CACHE_DIR": "1", "PIP_DEFAULT_TIMEOUT": "60", "HTTPS_PROXY": "d"}
    command = ["checkout/colab_setup.sh", "train"]
    result = machine.from_elsewhere(command, machine.checkout.parent, **dropped, **kept, PIP_USER="1")
    assert result.returncode == 0, result.stderr
    assert log.read_text().endswith(" train --minutes 3\n")
    stamp = (machine.checkout / ".venv/set-up-base").read_text()
    assert len(stamp.split()) == 2, "cksum was another"
    seen = dict(line.partition("=")[::2] for line in (machine.root / "variables").read_text().splitlines())
    assert dropped.keys() & seen.keys() == {"POSIXLY_CORRECT"} & seen.keys()
    assert {name: seen.get(name) for name in kept} == kept
    assert seen["PIP_USER"] == "0"


def test_a_half_made_venv_is_made_anew_and_a_foreign_one_stays(machine):
    working, venv = 'if [[ "$2" == *version_info* ]]; then exit {}; fi', machine.checkout / ".venv"
    makes = 'mkdir -p .venv/bin && printf "#!/bin/bash\n{}\n" >.venv/bin/python && /bin/chmod +x .venv/bin/python'
    interrupted = makes.format("exit 1") + "; : >.venv/half; exit 1"
    machine.add("python3", f'if [[ "$2" == venv ]]; then {interrupted}; fi')
    for _ in range(2):
        result = machine.command("train")
        assert result.returncode == 1
        assert "cannot make a virtual environment" in result.stderr
    machine.add("python3", f'if [[ "$2" == venv ]]; then {makes.format("exit 0")}; fi')
    assert machine.command("train").returncode == 0
    assert not (venv / "half").exists()

    shutil.rmtree(venv)
    for broken in ("exit 1", working.format(1)):
        venv.joinpath("bin").mkdir(parents=True, exist_ok=True)
        machine.add(venv / "bin/python", broken)
        (venv / "mine").touch()
        result = machine.command("train")
        assert result.returncode == 1
        assert result.stderr.count("\n") == 1
        assert f"{venv} has no Python of 3.11 or later with pip, and this script did not make it." in result.stderr
        assert (venv / "mine").exists()


def test_git_for_windows_leaves_the_ends_of_lines_alone(tmp_path):
    for name in (".gitattributes", "colab_setup.sh"):
        shutil.copy(ROOT / name, tmp_path)
    settings = ["-c", "core.autocrlf=true", "-c", "user.name=A", "-c", "user.email=a@b.c"]
    for command in (["init"], ["add", "."], ["commit", "-m", "all"], ["rm", "-r", "."], ["checkout", "HEAD", "."]):
        subprocess.run(["git", *settings, *command], cwd=tmp_path, check=True, capture_output=True)
    assert b"\r" not in (tmp_path / "colab_setup.sh").read_bytes()


def test_refuses_unknown_commands_and_platforms(machine):
    result = machine.command("trian")
    assert result.returncode == 1
    assert "'trian' is not a command: expected train, test, lab or help." in result.stderr
    result = machine.command("train", HACKMATRIX_PLATFORM="metal")
    assert result.returncode == 1
    assert "HACKMATRIX_PLATFORM is 'metal': expected cpu" in result.stderr
    assert machine.command("help").stdout.startswith("usage: bash colab_setup.sh")


def test_second_set_up_installs_nothing(machine):
    """A Python stands in that only writes down what it is asked to do: the real one would load half a gigabyte."""
    log = machine.add_venv()

    def pip_calls() -> list[str]:
        return [line for line in log.read_text().splitlines() if line.startswith("-m pip")] if log.exists() else []

    assert machine.command("train", "--seed", "3").returncode == 0
    assert len(pip_calls()) == 1
    assert pip_calls()[0].endswith("--editable .")
    assert log.read_text().splitlines()[-1].endswith(" train --minutes 3 --seed 3")
    machine.command("train")
    assert len(pip_calls()) == 1
    machine.command("lab")  # needs more than `train` did
    assert len(pip_calls()) == 2
    assert pip_calls()[1].endswith("--editable .[notebook]")
    with (machine.checkout / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    machine.command("train")
    assert len(pip_calls()) == 3


@pytest.mark.parametrize("works", [True, False])
def test_the_gpu_of_a_mac_is_tried_on_request_only(machine, works):
    log = machine.add_venv(f'[[ {int(works)} == 1 || "$*" != *install*jax-mps ]]')
    machine.command("train", HACKMATRIX_PLATFORM="mac")
    assert "jax-mps" not in log.read_text()
    result = machine.command("train", HACKMATRIX_PLATFORM="mps")
    assert result.returncode == 0, result.stderr
    assert "-m pip install --quiet --disable-pip-version-check jax-mps" in log.read_text()
    assert ("the CPU is used instead" in result.stdout) != works
    assert ("pip uninstall --quiet --yes jax-mps" in log.read_text()) != works
    assert log.read_text().splitlines()[-1].endswith(" train --minutes 3")


def test_failed_installation_is_reported_and_tried_again(machine):
    python = machine.checkout / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    machine.add(python, '[[ "$2" != pip ]]')
    for _ in range(2):
        result = machine.command("train")
        assert result.returncode == 1
        assert "Installing failed" in result.stderr


def test_colab_keeps_its_jax_and_adds_only_what_is_missing(machine):
    """The Python of these tests plays the runtime; its pip is caught, since it would really change it."""
    (machine.checkout / "hackmatrix_core").symlink_to(ROOT / "hackmatrix_core")
    project = machine.checkout / "pyproject.toml"
    log = machine.root / "log"
    machine.add(
        "python3",
        f'if [[ "$2 $3" == "pip install" ]]; then echo "$@" >>{log}\n'
        "  echo Collecting it; echo Requirement already there\n"
        f'  for word in "$@"; do [[ -f "$word" ]] && cat "$word" >>{log}; done\n'
        f'elif [[ "$2 $3" == "pip show" ]]; then exit 0\n'
        f'else exec {sys.executable} "$@"; fi\nexit 0',
    )
    variables = {"HACKMATRIX_PLATFORM": "colab", "JAX_PLATFORMS": "cpu", "PYTHONDONTWRITEBYTECODE": "1"}

    result = machine.command(**variables)
    assert result.returncode == 0, result.stderr
    assert not log.exists()
    assert f"JAX {jax.__version__} works on cpu" in result.stdout
    assert result.stdout.endswith("Ready: go on with the next cell.\n")

    text = project.read_text().replace("jax>=0.7.2", "jax>=99").replace("chex>=0.1.90", "not-on-colab>=1.5")
    project.write_text(text)
    result = machine.command(**variables)
    assert result.returncode == 0, result.stderr
    command, *pins = log.read_text().splitlines()
    assert command.split()[-1] == "not-on-colab>=1.5"
    assert "[pip] Collecting it\n" in result.stdout
    assert "already there" not in result.stdout
    assert f"jax=={jax.__version__}" in pins
    assert f"jaxlib=={importlib.metadata.version('jaxlib')}" in pins
    assert not any(word.startswith("jax") for word in command.split())


def test_what_pip_tells_on_colab_is_seen_at_once(machine):
    """pip goes on only when its first line has been read."""
    (machine.checkout / "hackmatrix_core").symlink_to(ROOT / "hackmatrix_core")
    seen = machine.root / "seen"
    machine.add(
        "python3",
        f'if [[ "$2 $3" == "pip install" ]]; then echo Collecting it; for i in {{1..200}}; do\n'
        f"[[ -e {seen} ]] && exit 0; /bin/sleep 0.1; done; exit 1\n"
        'elif [[ "$2" == pip ]]; then echo numpy==2; else echo missing; fi',
    )
    variables = machine.environment({"HACKMATRIX_PLATFORM": "colab"})
    command = ["bash", "colab_setup.sh"]
    with subprocess.Popen(command, cwd=machine.checkout, env=variables, stdout=subprocess.PIPE, text=True) as script:
        for line in script.stdout:
            if "[pip] Collecting it" in line:
                seen.touch()
    assert script.returncode == 0


@pytest.mark.parametrize("script", ["colab_setup.sh", ".ci/run"])
def test_shellcheck(script):
    shellcheck = Path(sys.executable).with_name("shellcheck")
    result = subprocess.run([shellcheck, ROOT / script], capture_output=True, text=True, env=os.environ)
    assert result.returncode == 0, result.stdout
