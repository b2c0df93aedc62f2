"""A learned rule under guard: watched, with a fallback for where it should not be trusted.

What is exported is imported when it is first used: PyTorch's safeguard shares the judgement, and
does not need JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"transformation": ["safeguard"]}
)
