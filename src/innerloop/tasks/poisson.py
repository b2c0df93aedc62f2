"""A network that solves Poisson's equation in one dimension (Raissi et al. 2019)."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..registry import register
from ..runtime.settings import Count, Positive, check
from ._base import TaskFamily
from ._on_mnist import dense, through
from .mnist import Layers


@register("poisson")
@final
class Poisson(TaskFamily):
    """Mean squared residual of u'' = f on (0, 1), u(0) = u(1) = 0, of a physics-informed network.

    A problem is a right-hand side: f(x) = −Σ_k a_k sin(kπx) with `waves` Gaussian amplitudes
    whose solution is u(x) = Σ_k a_k / (kπ)² sin(kπx). The network has two hidden layers of tanh
    units. The loss is the residual's mean square at `points` fresh random points, plus `boundary`
    times the mean square of u at both ends.

    Parameters are a list with (weight [inputs, outputs], bias [outputs]) for the three layers,
    float32.

    Args:
        waves: Waves of the right-hand side.
        hidden: Units of each hidden layer.
        points: Points of a minibatch.
        boundary: The weight of the ends.

    Raises:
        SettingsError: A setting is out of its range.

    References:
        Raissi, Perdikaris & Karniadakis, "Physics-informed neural networks" (2019).
    """

    waves: Count = eqx.field(static=True, default=4)
    hidden: Count = eqx.field(static=True, default=32)
    points: Count = eqx.field(static=True, default=64)
    boundary: Positive = eqx.field(static=True, default=100.0)

    def __check_init__(self):
        check(self)

    def sample(self, *, key: PRNGKeyArray) -> Float[Array, " waves"]:
        """The amplitudes a_1 …"""
        return jax.random.normal(key, (self.waves,))

    def init(self, problem: Float[Array, " waves"], *, key: PRNGKeyArray) -> Layers:
        return dense(key, (1, self.hidden, self.hidden, 1), gain=0.5**0.5)

    def loss(
        self, params: Layers, problem: Float[Array, " waves"], *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        def solution(x):
            return through(params, x.reshape(1, 1), jnp.tanh)[0, 0]

        def curvature(x):
            def slope(x):
                return jax.jvp(solution, (x,), (jnp.ones_like(x),))[1]

            return jax.jvp(slope, (x,), (jnp.ones_like(x),))[1]

        points = jax.random.uniform(key, (self.points,))
        waves = jnp.pi * jnp.arange(1, self.waves + 1)
        right = -jnp.sin(points[:, None] * waves) @ problem
        residual = jnp.mean((jax.vmap(curvature)(points) - right) ** 2)
        ends = jax.vmap(solution)(jnp.asarray([0.0, 1.0]))
        return residual + self.boundary * jnp.mean(ends**2)
