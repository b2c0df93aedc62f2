"""Softmax regression on features whose scales differ by orders of magnitude.

innerloop train examples/families/softmax_regression.py:SoftmaxRegression
"""

import jax
import jax.numpy as jnp

import innerloop


class SoftmaxRegression(innerloop.TaskFamily):
    """Four classes, eight features, 100 points; every problem has scales of its own."""

    def sample(self, *, key):
        scale_key, point_key, weight_key, label_key = jax.random.split(key, 4)
        points = jax.random.normal(point_key, (100, 8))
        logits = points @ jax.random.normal(weight_key, (8, 4))
        scales = 10.0 ** jax.random.uniform(scale_key, (8,), minval=-1.0, maxval=1.0)
        return points * scales, jax.random.categorical(label_key, logits)

    def init(self, problem, *, key):
        return {"weights": jnp.zeros((8, 4)), "bias": jnp.zeros(4)}

    def loss(self, params, problem, *, key):
        points, labels = problem
        logs = jax.nn.log_softmax(points @ params["weights"] + params["bias"])
        decay = 1e-3 * jnp.sum(params["weights"] ** 2)
        return decay - jnp.mean(jnp.take_along_axis(logs, labels[:, None], axis=1))
