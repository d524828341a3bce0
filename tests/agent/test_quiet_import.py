"""What the libraries warn of on import is not told to who uses this package; what a user's own code does, is."""

import subprocess
import sys

CODE = """
import warnings
import hackmatrix_core as hm

distribution = hm.masked_categorical, hm.ActorCritic, hm.SearchPolicy, hm.compute_gae
try:
    warnings.warn("a user's own", DeprecationWarning)
except DeprecationWarning:
    print("told")
"""


def test_importing_the_network_warns_of_nothing(tmp_path):
    """Also the first time, when Python compiles the files."""
    command = [sys.executable, "-X", f"pycache_prefix={tmp_path}", "-W", "error", "-c", CODE]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (run.returncode, run.stdout) == (0, "told\n"), run.stderr
