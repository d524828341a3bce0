"""`gymnasium.make("HackMatrix-v0")` and `make_vec`, known once `hackmatrix_core` is imported.

Gymnasium before 1.4 calls `register` itself, through the entry point in pyproject.toml; later releases read none.
"""


def register() -> None:
    """Make the environments known to Gymnasium by name, where it is installed."""
    try:
        from gymnasium.envs import registration
    except ImportError:
        return
    home = "hackmatrix_core.environment"
    if "HackMatrix-v0" not in registration.registry:
        registration.register(
            "HackMatrix-v0",
            entry_point=f"{home}.gymnasium_env:HackMatrixGymnasium",
            vector_entry_point=f"{home}.vector_env:HackMatrixVectorEnv",
        )
