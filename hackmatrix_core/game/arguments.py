"""What callers hand over by mistake, named in one sentence instead of an error from deep within JAX."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.game.actions import NUM_ACTIONS
from hackmatrix_core.game.state import GameState


def check_state(state: Any, function: str, kind: type = GameState) -> None:
    """Refuse what is not the state of one game.

    Args:
        state: what a caller gave.
        function: its name, as in "hm.step".
        kind: the class that is expected; its first array tells whether it is a batch.

    Raises:
        TypeError: it is something else.
        ValueError: it is a batch.
    """
    if isinstance(state, dict):
        raise TypeError(f"{function}: state is a dict, expected {_a(kind)}: hm.scenario.from_dict(state)")
    if not isinstance(state, kind):
        hint = " The key and the state may be swapped." if _is_key(state) else ""
        hint = " Its field game is one." if hasattr(state, "game") else hint
        raise TypeError(f"{function}: state is {_a(type(state))}, expected {_a(kind)}.{hint}")
    if shape := np.shape(jax.tree.leaves(state)[-1]):
        raise ValueError(
            f"{function}: state has a batch axis of {shape[0]}, expected one game: use jax.vmap({function})"
        )


def check_key(key: Any, function: str) -> None:
    """Refuse what is no random key; a batch of keys is refused where the seed is made.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(key, GameState):
        raise TypeError(f"{function}: key is a GameState. The key and the state may be swapped")
    if not _is_key(key):
        made = f"jax.random.key({key})" if isinstance(key, int | np.integer) else "jax.random.key(0)"
        raise TypeError(f"{function}: key is {short(key)}, expected a random key: {made}")


def as_action(action: Any, function: str = "hm.step") -> jax.Array:
    """The action as int32, −1 where it is none of the 28.

    Raises:
        TypeError: it is not an integer.
        ValueError: it is a batch.
    """
    if isinstance(action, int) and not isinstance(action, bool):
        action = np.int32(action if 0 <= action < NUM_ACTIONS else -1)
    if not isinstance(action, jax.Array | np.ndarray | np.generic) or not jnp.issubdtype(action.dtype, jnp.integer):
        raise TypeError(f"{function}: action is {short(action)}, expected an integer from 0 to {NUM_ACTIONS - 1}")
    if action.ndim:
        raise ValueError(
            f"{function}: action has a batch axis of {action.shape[0]}, expected one: use jax.vmap({function})"
        )
    if not isinstance(action, jax.Array):
        return jnp.asarray(np.int32(int(action) if 0 <= int(action) < NUM_ACTIONS else -1))
    is_one = (action >= 0) & (action < NUM_ACTIONS)
    return jnp.where(is_one, action, jnp.asarray(-1).astype(action.dtype)).astype(jnp.int32)


def _is_key(key: Any) -> bool:
    return isinstance(key, jax.Array | np.ndarray) and (
        jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or (key.dtype == np.uint32 and key.ndim > 0)
    )


def _a(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"


def short(value: Any) -> str:
    """A value in a few words, for a message."""
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return f"an array of dtype {value.dtype} and shape {np.shape(value)}"
    return repr(value) if len(repr(value)) <= 40 else f"a {type(value).__name__}"
