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
SYSTEM_TOOLS = ["bash", "dirname", "uname", "awk", "grep", "cat", "cksum", "rm", "mktemp"]


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
        for name in ("colab_setup.sh", "pyproject.toml"):
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

    def _run(self, arguments: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess:
        environment = {"PATH": str(self.bin), "HOME": str(self.root), **variables}
        return subprocess.run(["bash", *arguments], cwd=self.checkout, env=environment, capture_output=True, text=True)


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
    log = machine.root / "log"
    python = machine.checkout / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    machine.add(python, f'echo "$@" >>{log}')

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
    log = machine.root / "log"
    python = machine.checkout / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    machine.add(python, f'echo "$@" >>{log}; [[ {int(works)} == 1 || "$*" != *install*jax-mps ]]')
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


@pytest.mark.parametrize("script", ["colab_setup.sh", ".ci/run"])
def test_shellcheck(script):
    shellcheck = Path(sys.executable).with_name("shellcheck")
    result = subprocess.run([shellcheck, ROOT / script], capture_output=True, text=True, env=os.environ)
    assert result.returncode == 0, result.stdout
