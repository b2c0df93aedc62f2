"""Orbits from noisy positions: the elements of a Kepler ellipse by least squares.

innerloop train examples/families/kepler_orbit.py:KeplerOrbit
"""

import jax
import jax.numpy as jnp

import innerloop


def positions(elements, times):
    """Places in the plane [times, 2] of a body on an ellipse around the origin."""
    axis, eccentricity = jnp.exp(elements["log_axis"]), jax.nn.sigmoid(elements["shape"])
    mean = elements["anomaly"] + times * axis**-1.5
    angle = mean
    for _ in range(8):  # Newton's method for Kepler's equation
        wrong = angle - eccentricity * jnp.sin(angle) - mean
        angle = angle - wrong / (1 - eccentricity * jnp.cos(angle))
    x = axis * (jnp.cos(angle) - eccentricity)
    y = axis * jnp.sqrt(1 - eccentricity**2) * jnp.sin(angle)
    cosine, sine = jnp.cos(elements["turn"]), jnp.sin(elements["turn"])
    return jnp.stack([cosine * x - sine * y, sine * x + cosine * y], axis=1)


class KeplerOrbit(innerloop.TaskFamily):
    """Mean squared distance of 20 noisy positions from an orbit with four elements."""

    def sample(self, *, key):
        keys = jax.random.split(key, 6)
        elements = {
            "log_axis": 0.2 * jax.random.normal(keys[0]),
            "shape": -0.5 + 0.5 * jax.random.normal(keys[1]),
            "anomaly": 0.5 * jax.random.normal(keys[2]),
            "turn": 0.5 * jax.random.normal(keys[3]),
        }
        times = jnp.sort(jax.random.uniform(keys[4], (20,), maxval=6.0))
        return times, positions(elements, times) + 0.02 * jax.random.normal(keys[5], (20, 2))

    def init(self, problem, *, key):
        return {name: jnp.zeros(()) for name in ("log_axis", "shape", "anomaly", "turn")}

    def loss(self, params, problem, *, key):
        times, seen = problem
        return jnp.mean(jnp.sum((positions(params, times) - seen) ** 2, axis=1))
