"""Several properties in one `uint32` word, as cells and entities are kept.

Packing keeps the state small (memory traffic is most of what a step costs) and lets a loop carry one array instead of
eight.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Field(NamedTuple):
    """A property's bits in a packed `uint32` word."""

    shift: int
    width: int

    @property
    def limit(self) -> int:
        """The largest value that the field holds."""
        return (1 << self.width) - 1

    @property
    def mask(self) -> int:
        """The field's bits, set."""
        return self.limit << self.shift

    def get(self, word: jax.Array) -> jax.Array:
        """The field of each word, int32 of the same shape."""
        return ((word >> self.shift) & self.limit).astype(jnp.int32)

    def of(self, word: int) -> int:
        """The field of a plain integer."""
        return (word >> self.shift) & self.limit

    def test(self, word: jax.Array) -> jax.Array:
        """Whether the field is not 0, bool of the same shape."""
        return (word & np.uint32(self.mask)) != 0

    def put(self, value: jax.Array) -> jax.Array:
        """A word that is 0 except for this field; `value` int32 or bool, in the field's range."""
        return value.astype(jnp.uint32) << self.shift

    def replace(self, word: jax.Array, value: jax.Array) -> jax.Array:
        """The words with the field set to `value`."""
        return (word & ~np.uint32(self.mask)) | self.put(value)


def word_of(*fields: tuple[Field, int]) -> int:
    """The word in which these fields have these values and all others are 0, as a plain integer."""
    return sum(int(value) << field.shift for field, value in fields)
