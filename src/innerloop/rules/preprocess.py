"""Gradient preprocessing (Andrychowicz et al. 2016, Appendix A)."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def log_and_sign(gradient: Float[Array, "..."], p: float) -> Float[Array, "2 ..."]:
    """Split a gradient into a magnitude on a log scale and a sign.

    (log|g| / p, sgn g) where |g| ≥ e^{-p}, and (−1, e^p·g) below, so that both features
    stay within about ±1 over many orders of magnitude and both are continuous at
    |g| = e^{-p}. Equation in Appendix A of Andrychowicz et al. (2016).
    """
    return jnp.stack(log_and_sign_parts(gradient, p))


def log_and_sign_parts(
    gradient: Float[Array, "..."], p: float
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """The magnitude and the sign of `log_and_sign`, apart."""
    magnitude = jnp.abs(gradient)
    threshold = jnp.exp(jnp.asarray(-p, gradient.dtype))
    large = magnitude >= threshold
    # The logarithm's argument is clipped, not masked afterwards, so that its derivative
    # at zero is finite too: second-order meta-gradients flow through here.
    log_part = jnp.log(jnp.maximum(magnitude, threshold)) / p
    sign_part = jnp.where(large, jnp.sign(gradient), gradient / threshold)
    return log_part, sign_part
