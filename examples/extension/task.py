"""A task family of one's own: lines through noisy points.

innerloop train examples/extension/task.py:Lines --task.points 12
"""

import equinox as eqx
import jax
import jax.numpy as jnp

import innerloop


@innerloop.register("lines")
class Lines(innerloop.TaskFamily):
    """Least squares with an intercept and a slope.

    Args:
        points: Points of a problem.
    """

    points: int = eqx.field(static=True, default=8)

    def sample(self, *, key):
        line_key, x_key, noise_key = jax.random.split(key, 3)
        line = jax.random.normal(line_key, (2,))
        x = jax.random.normal(x_key, (self.points,))
        return x, line[0] + line[1] * x + 0.1 * jax.random.normal(noise_key, x.shape)

    def init(self, problem, *, key):
        return {"intercept": jnp.zeros(()), "slope": jnp.zeros(())}

    def loss(self, params, problem, *, key):
        x, y = problem
        return jnp.mean((params["intercept"] + params["slope"] * x - y) ** 2)
