"""The public names of the package: one list, imported on first use."""

import subprocess
import sys

import pytest

import hackmatrix_core as hm
from tests import ROOT

pytestmark = pytest.mark.quick


def test_each_name_is_there():
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
