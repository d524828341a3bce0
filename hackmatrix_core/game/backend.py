"""What the rules ask of the platform that they are compiled for."""

import jax


def on_cpu() -> bool:
    """Whether JAX computes on a CPU, whose compiler some of the rules are written around.

    Asked when tracing, not when lowering (`lax.platform_dependent`): that would trace the rules twice.
    """
    return jax.default_backend() == "cpu"
