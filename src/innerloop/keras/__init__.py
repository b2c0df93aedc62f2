"""Learned rules as optimizers of Keras 3, on its backends for JAX and PyTorch."""

import importlib.util

if importlib.util.find_spec("keras") is None:
    raise ImportError("innerloop.keras needs Keras: pip install 'innerloop[keras]'.")

from ._optimizer import LearnedOptimizer as LearnedOptimizer, load as load
