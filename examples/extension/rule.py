"""A rule of one's own: the sign of a momentum, with a learned rate and a learned decay.

innerloop train quadratic --rule examples/extension/rule.py:SignedMomentum
"""

import jax
import jax.numpy as jnp

import innerloop


@innerloop.register("signed-momentum")
class SignedMomentum(innerloop.Rule):
    """A step is −rate · tanh(momentum / its root mean square).

    Args:
        first_rate: The rate that training begins with, above 0.
    """

    log_rate: jax.Array
    decay: jax.Array

    def __init__(self, *, first_rate: float = 0.1):
        self.log_rate, self.decay = jnp.log(first_rate), jnp.asarray(2.0)

    def init(self, params):
        return jax.tree.map(jnp.zeros_like, params)

    def update(self, grads, state, params=None, *, value=None, **extra):
        keep = jax.nn.sigmoid(self.decay)
        state = jax.tree.map(lambda m, g: keep * m + (1 - keep) * g, state, grads)

        def step(m):
            return -jnp.exp(self.log_rate) * jnp.tanh(m / (jnp.sqrt(jnp.mean(m**2)) + 1e-12))

        return jax.tree.map(step, state), state
