"""An estimator of one's own: a central difference along one random direction of φ.

innerloop train quadratic --estimator examples/extension/estimator.py:CentralDifference
"""

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp

import innerloop


@innerloop.register("central-difference")
class CentralDifference(innerloop.MetaGradient):
    """The slope of the mean loss of whole runs along a Gaussian direction, times the direction."""

    meta_batch_size: int = eqx.field(static=True, default=16)
    horizon: int = eqx.field(static=True, default=20)
    size: float = eqx.field(static=True, default=0.01)

    def init(self, rule, task, *, key):
        return jax.random.split(key, self.meta_batch_size)

    def estimate(self, rule, task, state):
        arrays, static = eqx.partition(rule, eqx.is_inexact_array)
        vector, back = jax.flatten_util.ravel_pytree(arrays)
        keys = jax.vmap(jax.random.split)(state)
        direction = jax.random.normal(keys[0, 0], vector.shape)

        def mean_loss(size):
            changed = eqx.combine(back(vector + size * direction), static)
            loop = innerloop.InnerLoop.init(changed, task, state)
            return jnp.mean(innerloop.unroll(changed, task, loop, self.horizon)[1])

        up, down = mean_loss(self.size), mean_loss(-self.size)
        gradient = back((up - down) / (2 * self.size) * direction)
        return gradient, keys[:, 1], {"meta_loss": (up + down) / 2, "diverged": 0.0 * up}
