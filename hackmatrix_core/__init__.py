"""HackMatrix in JAX: the game, its environment and masked PPO.

`__init__.pyi` lists the public names. Each is imported on first use: JAX takes a second, and the learning side as long
again.
"""

import lazy_loader

from hackmatrix_core.environment import registration as _registration

__version__ = "0.3.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
_registration.register()
