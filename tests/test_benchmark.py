"""The benchmark runs, and what it says fits together. How fast anything is, no test asks."""

import re

from hackmatrix_core.cli import main


def test_one_row_for_each_size(capsys):
    assert main(["benchmark", "env", "--num-envs", "24", "--repeats", "1"]) == 0
    head, line = capsys.readouterr().out.strip().splitlines()[-2:]
    columns = re.split(r"\s{2,}", head.strip())
    row = dict(zip(columns, re.split(r"\s{2,}", line.strip()), strict=True))
    number = {name: float(re.sub("[^0-9.]", "", value)) for name, value in row.items()}
    assert number["envs"] == 24
    assert number["steps/s"] > 0
    assert number["without obs"] > 0
    assert number["lowering"] > 0
    assert number["compiling"] > 0
    assert number["peak memory"] > 100  # MiB; Python with JAX alone takes as much
    assert 1_000 < number["state"] < 3_000
