"""The fields of a cell, one packed word (R1.2, R1.3), and what a cell can hold."""

from hackmatrix_core.game.packing import Field

CONTENT = Field(0, 3)
EMPTY, DATA_BLOCK, PROGRAM_BLOCK, DATA_SIPHON, EXIT = range(5)
BLOCK_VALUE = Field(3, 5)  # points 1–9, or the index of the program, 0–22
BLOCK_SPAWN = Field(8, 4)
HIDDEN = Field(12, 1)
BLOCK = CONTENT.mask | BLOCK_VALUE.mask | BLOCK_SPAWN.mask | HIDDEN.mask
"""All bits that belong to the content: cleared together when it becomes empty."""
SIPHONED = Field(13, 1)
SIPHON_CENTER = Field(14, 1)
IS_ENERGY = Field(15, 1)
RESOURCE = Field(16, 8)  # amount of credits or energy, 0 for none
