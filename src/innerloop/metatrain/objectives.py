"""Meta-objectives: what an unroll is judged by, a pure function of its losses.

Each is Σ_t w_t f(θ_t) of Andrychowicz et al. (2016), equation (3), as an average over
problems and steps. `losses` and `steps` are [truncation, problems]: f(θ_t) and t, counted from
1 to `horizon`.
"""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

ObjectiveName = Literal["uniform", "linear", "last", "log"]
Objective = Callable[
    [Float[Array, "truncation problems"], Int[Array, "truncation problems"], int | Int[Array, ""]],
    Array,
]


def uniform(losses: Array, steps: Array, horizon: int | Array) -> Float[Array, ""]:
    """w_t = 1: every step counts alike. The paper's own choice."""
    return jnp.mean(losses)


def linear(losses: Array, steps: Array, horizon: int | Array) -> Float[Array, ""]:
    """w_t = t / horizon: later steps count more."""
    return jnp.mean(losses * (steps / horizon))


def last(losses: Array, steps: Array, horizon: int | Array) -> Float[Array, ""]:
    """w_t = 1 at the end of the horizon and 0 before: only where the run ends counts."""
    return jnp.mean(jnp.where(steps == horizon, losses, 0.0))


def log(losses: Array, steps: Array, horizon: int | Array) -> Float[Array, ""]:
    """The mean of log f(θ_t): relative progress, the same for a loss in any unit.

    Not a weighted sum of losses, and so not in the paper; for losses that stay positive.
    """
    return jnp.mean(jnp.log(losses))


OBJECTIVES: dict[str, Objective] = {
    "uniform": uniform,
    "linear": linear,
    "last": last,
    "log": log,
}
