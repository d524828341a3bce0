"""A process that was forked after JAX has started cannot compute: it would hang, and is told so instead."""

import os
import sys

_has_a_dead_jax = False


def _note_fork() -> None:
    global _has_a_dead_jax
    bridge = sys.modules.get("jax._src.xla_bridge")  # nothing public tells whether JAX has started
    _has_a_dead_jax = _has_a_dead_jax or getattr(bridge, "backends_are_initialized", lambda: False)()


def watch() -> None:
    """Notice each fork from now on, on systems that have them."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_note_fork)


def check_process() -> None:
    """Refuse to compute where that would hang.

    Raises:
        RuntimeError: this process was forked from one in which JAX had started.
    """
    if _has_a_dead_jax:
        raise RuntimeError(
            "this process was forked from one in which JAX had started, and would hang. Start processes with "
            "start_method='spawn' or 'forkserver', or use HackMatrixVectorEnv, which needs none"
        )
