"""Learned rules as optimizers of PyTorch; JAX is not imported."""

try:
    import torch as _torch
except ImportError as error:
    raise ImportError("innerloop.torch needs PyTorch: pip install 'innerloop[torch]'.") from error

from ._optimizer import LearnedOptimizer as LearnedOptimizer, load as load
from ._safeguard import Safeguard as Safeguard, safeguard as safeguard

del _torch
