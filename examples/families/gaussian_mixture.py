"""A mixture of Gaussians by maximum likelihood.

innerloop train examples/families/gaussian_mixture.py:GaussianMixture
"""

import jax
import jax.numpy as jnp

import innerloop


class GaussianMixture(innerloop.TaskFamily):
    """Negative log-likelihood (nats a point) of three components on 120 points in the plane."""

    def sample(self, *, key):
        centre_key, scale_key, choice_key, point_key = jax.random.split(key, 4)
        centres = 2 * jax.random.normal(centre_key, (3, 2))
        scales = jnp.exp(0.4 * jax.random.normal(scale_key, (3, 2)) - 0.5)
        chosen = jax.random.randint(choice_key, (120,), 0, 3)
        return centres[chosen] + scales[chosen] * jax.random.normal(point_key, (120, 2))

    def init(self, problem, *, key):
        return {
            "centres": jax.random.normal(key, (3, 2)),
            "log_scales": jnp.zeros((3, 2)),
            "logits": jnp.zeros(3),
        }

    def loss(self, params, problem, *, key):
        apart = (problem[:, None] - params["centres"]) / jnp.exp(params["log_scales"])
        logs = -0.5 * jnp.sum(apart**2, axis=-1) - jnp.sum(params["log_scales"], axis=-1)
        mixed = jax.nn.logsumexp(logs + jax.nn.log_softmax(params["logits"]), axis=1)
        return jnp.log(2 * jnp.pi) - jnp.mean(mixed)
