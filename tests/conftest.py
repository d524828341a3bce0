"""Settings for all tests and the processes that they start.

They run on the CPU unless JAX_PLATFORMS says otherwise, share the programs that they compile, and nothing is promoted
silently to another dtype or rank.
"""

import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parents[1] / ".jax_cache"))
os.environ.setdefault("MPLBACKEND", "agg")

import jax

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
