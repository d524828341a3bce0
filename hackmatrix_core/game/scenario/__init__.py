"""States as dictionaries, in and out (R12).

Both directions are lossless. The one thing that does not come back is history beyond the undo depth: a state keeps the
newest snapshots only (R8.3).

The numbers of a scenario and their ranges:

| where | numbers |
|---|---|
| player | row, col 0–5; hp 0–3; attack at least 1; credits, energy, data_siphons, score at least 0 |
| block | points 1–9 (data), spawn 0–9 |
| cell | credits or energy 1–255 |
| enemy | row, col 0–5; hp 1–2 (daemon 1–3); disabled 0–1,023 |
| transmission | row, col 0–5; turns 0–1,023 |
| game | stage 1–8; turn, pending_spawns, schedule.interval at least 0; atk_plus_uses 0–2; 36 entities at most |
"""

# ruff: noqa: F401  # the public names
from hackmatrix_core.game.scenario.blank import blank
from hackmatrix_core.game.scenario.reading import from_dict
from hackmatrix_core.game.scenario.writing import to_dict
