"""`gymnasium.make("HackMatrix-v0")` and `make_vec`: gymnasium calls this when it is imported (see pyproject.toml)."""

NAME = "HackMatrix-v0"


def register() -> None:
    """Make the environments known to gymnasium by name."""
    from gymnasium.envs.registration import register, registry  # it may be importing itself

    if NAME not in registry:
        home = "hackmatrix_core.environment"
        register(
            NAME,
            entry_point=f"{home}.gymnasium_env:HackMatrixGymnasium",
            vector_entry_point=f"{home}.vector_env:HackMatrixVectorEnv",
        )
