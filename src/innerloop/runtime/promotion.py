"""How JAX promotes ranks and dtypes while the library computes, whatever a user has set."""

import contextlib
from collections.abc import Generator

import jax


@contextlib.contextmanager
def usual_promotion() -> Generator[None]:
    """While entered, ranks and dtypes are promoted as JAX does by default.

    `jax_numpy_rank_promotion="raise"` and `jax_numpy_dtype_promotion="strict"` are a user's checks
    of their own code. Optax's Adam, for one, does not pass the second. It can stand above a
    function too.
    """
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield
