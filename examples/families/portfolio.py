"""A portfolio of 20 assets: risk against return, with a smooth price of trading.

innerloop train examples/families/portfolio.py:Portfolio
"""

import jax
import jax.numpy as jnp

import innerloop


class Portfolio(innerloop.TaskFamily):
    """Weights are a softmax; a problem is covariance, expected returns and present weights."""

    def sample(self, *, key):
        factor_key, scale_key, return_key, held_key = jax.random.split(key, 4)
        factors = jax.random.normal(factor_key, (20, 4)) / 2
        scales = jnp.exp(0.5 * jax.random.normal(scale_key, (20,)))
        covariance = scales[:, None] * (factors @ factors.T + 0.5 * jnp.eye(20)) * scales
        returns = 0.3 * scales * jax.random.normal(return_key, (20,))
        return covariance, returns, jax.random.dirichlet(held_key, jnp.ones(20))

    def init(self, problem, *, key):
        return jnp.zeros(20)

    def loss(self, params, problem, *, key):
        covariance, returns, held = problem
        weights = jax.nn.softmax(params)
        trading = jnp.sum(jnp.sqrt((weights - held) ** 2 + 1e-4))
        return 5.0 + weights @ covariance @ weights - returns @ weights + 0.1 * trading
