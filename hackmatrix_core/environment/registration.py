"""`gymnasium.make("HackMatrix-v0")` and `make_vec`, known once `hackmatrix_core` and gymnasium are imported.

Releases of gymnasium before 1.4 also call `register` when they are imported themselves (the entry point in
pyproject.toml).
"""

import importlib.util
import sys
from types import ModuleType
from typing import Any

NAME = "HackMatrix-v0"
_REGISTRY = "gymnasium.envs.registration"


def register() -> None:
    """Make the environments known to gymnasium by name: now if it is imported, else when it is.

    Gymnasium takes a quarter of a second to import, and most processes do without it.
    """
    if _REGISTRY in sys.modules:
        _register_in(sys.modules[_REGISTRY])
    elif not any(isinstance(finder, _RegistryFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _RegistryFinder())  # type: ignore[arg-type]


def _register_in(registration: ModuleType) -> None:
    home = "hackmatrix_core.environment"
    if NAME not in registration.registry:
        registration.register(
            NAME,
            entry_point=f"{home}.gymnasium_env:HackMatrixGymnasium",
            vector_entry_point=f"{home}.vector_env:HackMatrixVectorEnv",
        )


class _RegistryFinder:
    """Finds gymnasium's registry as Python would, and has it know the environments from the start."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> Any:
        if name != _REGISTRY:
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]  # `importlib.abc` would be slow to import
        spec = importlib.util.find_spec(name)
        if spec is not None:
            spec.loader = _RegistryLoader(spec.loader)  # type: ignore[assignment]
        return spec


class _RegistryLoader:
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: Any) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _register_in(module)
