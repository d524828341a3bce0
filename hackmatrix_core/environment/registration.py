"""`gymnasium.make("HackMatrix-v0")` and `make_vec`, known once `hackmatrix_core` is imported.

Since 1.0 Gymnasium reads no entry points: packages register their environments when they are imported.
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
