"""Networks that fit sinusoids: a problem is an amplitude and a phase, and a loss a minibatch.

innerloop train examples/families/sinusoid_network.py:SinusoidNetwork
"""

import jax
import jax.numpy as jnp

import innerloop


class SinusoidNetwork(innerloop.TaskFamily):
    """A network with two hidden layers of 24 units on 32 points of a sinusoid."""

    def sample(self, *, key):
        amplitude_key, phase_key = jax.random.split(key)
        amplitude = jax.random.uniform(amplitude_key, minval=0.1, maxval=5.0)
        return amplitude, jax.random.uniform(phase_key, minval=0.0, maxval=jnp.pi)

    def init(self, problem, *, key):
        keys, sizes = jax.random.split(key, 3), (1, 24, 24, 1)
        return [
            (jax.random.normal(key, (n, m)) / jnp.sqrt(n), jnp.zeros(m))
            for key, n, m in zip(keys, sizes, sizes[1:], strict=False)
        ]

    def loss(self, params, problem, *, key):
        amplitude, phase = problem
        x = jax.random.uniform(key, (32, 1), minval=-5.0, maxval=5.0)
        values = x
        for weight, bias in params[:-1]:
            values = jnp.tanh(values @ weight + bias)
        weight, bias = params[-1]
        return jnp.mean((values @ weight + bias - amplitude * jnp.sin(x - phase)) ** 2)
