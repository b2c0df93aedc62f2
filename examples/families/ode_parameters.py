"""The parameters of an ordinary differential equation, from noisy observations.

innerloop train examples/families/ode_parameters.py:PredatorPrey
"""

import jax
import jax.numpy as jnp

import innerloop


def populations(logs):
    """log(prey, predators) [16, 2] at 16 times, by the method of Runge and Kutta."""
    birth, eaten, death, growth = jnp.exp(logs)

    def slope(state):
        prey, predators = jnp.exp(state)
        return jnp.stack([birth - eaten * predators, growth * prey - death])

    def step(state, _):
        h = 0.1
        k1 = slope(state)
        k2 = slope(state + h / 2 * k1)
        k3 = slope(state + h / 2 * k2)
        k4 = slope(state + h * k3)
        state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return state, state

    _, states = jax.lax.scan(step, jnp.log(jnp.array([1.5, 1.0])), length=64)
    return states[3::4]


class PredatorPrey(innerloop.TaskFamily):
    """Mean squared error of log populations; four rates, as logarithms."""

    def sample(self, *, key):
        rate_key, noise_key = jax.random.split(key)
        logs = 0.4 * jax.random.normal(rate_key, (4,))
        return populations(logs) + 0.05 * jax.random.normal(noise_key, (16, 2))

    def init(self, problem, *, key):
        return jnp.zeros(4)

    def loss(self, params, problem, *, key):
        return jnp.mean((populations(params) - problem) ** 2)
