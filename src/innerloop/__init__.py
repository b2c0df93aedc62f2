"""A learner is an initialisation and an update rule; innerloop learns both.

The public names are listed in `__init__.pyi` and imported when they are first used, so that
`innerloop --help` need not wait for JAX.
"""

import importlib.metadata

import lazy_loader

__version__ = importlib.metadata.version(__name__)
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
