"""Tests, in folders like those of the package; `project` holds those of the repository as a whole."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The root of the repository."""
DATA = ROOT / "tests" / "data"
