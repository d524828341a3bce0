"""`gymnasium.make("HackMatrix-v0")` and `make_vec`, known once `hackmatrix_core` is imported.

Releases of gymnasium before 1.4 also call this when they are imported themselves (the entry point in pyproject.toml).
"""

import importlib.util

NAME = "HackMatrix-v0"


def register() -> None:
    """Make the environments known to gymnasium by name, if it is installed."""
    if importlib.util.find_spec("gymnasium") is None:
        return
    from gymnasium.envs.registration import register, registry  # it may be importing itself

    if NAME not in registry:
        home = "hackmatrix_core.environment"
        register(
            NAME,
            entry_point=f"{home}.gymnasium_env:HackMatrixGymnasium",
            vector_entry_point=f"{home}.vector_env:HackMatrixVectorEnv",
        )
