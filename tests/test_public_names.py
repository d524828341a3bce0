"""The public names of the package: one list, imported on first use."""

import subprocess
import sys

import pytest

import hackmatrix_core as hm
from tests import ROOT

pytestmark = pytest.mark.quick


@pytest.mark.filterwarnings("ignore:Parsing dates:DeprecationWarning")  # ipykernel 6 with Python 3.13, on import
def test_each_name_is_there():
    for library in ("gymnasium", "ipywidgets"):  # some of the names need it
        pytest.importorskip(library, reason=f"{library} is not installed: bash colab_setup.sh test")
    everything = {}
    exec("from hackmatrix_core import *", everything)
    assert dir(hm) == sorted(hm.__all__) == sorted(everything.keys() - {"__builtins__"})
    assert all(everything[name] is getattr(hm, name) for name in hm.__all__)
    for name in ("baselines", "evaluation", "notebook", "rendering", "scenario"):
        assert getattr(hm, name).__name__.endswith(f".{name}")
    assert callable(hm.replay)
    assert callable(hm.evaluate)
    with pytest.raises(AttributeError, match="hackmatrix_core attribute nothing"):
        hm.nothing  # noqa: B018


def test_the_list_has_each_room():
    rooms = {path.parent.name for path in (ROOT / "hackmatrix_core").glob("*/__init__.py")}
    assert rooms <= set(hm.__all__)


def test_importing_the_package_is_light():
    code = "import sys, hackmatrix_core; assert not {'jax', 'flax', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_the_first_name_may_be_that_of_a_module():
    for name in ("rendering.svg", "baselines.greedy", "scenario.blank"):
        subprocess.run([sys.executable, "-c", f"import hackmatrix_core as hm; hm.{name}"], check=True, timeout=300)
