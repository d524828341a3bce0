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


def test_training_is_measured_against_its_floor(capsys):
    assert main(["benchmark", "train", "--num-envs", "16", "--repeats", "1"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"1 × \w+: [\d,]+ steps/s, \d\.\d\d of the [\d,]+ that the matrix products alone allow", out)
    lowering, compiling = map(float, re.search(r"cache: lowering ([\d.]+) s, compiling ([\d.]+) s", out).groups())
    assert lowering > 0
    assert compiling >= 0
    kept, temporary = map(int, re.search(r"device memory of 16: (\d+) MiB kept, (\d+) in an update", out).groups())
    assert kept > 1  # the parameters and Adam's moments alone
    assert temporary > 3  # 16 × 128 observations of 1,545 bytes
