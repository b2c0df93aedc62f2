"""Inverse kinematics: the joint angles of an arm whose hand is to be at a place.

innerloop train examples/families/inverse_kinematics.py:InverseKinematics
"""

import jax
import jax.numpy as jnp

import innerloop


class InverseKinematics(innerloop.TaskFamily):
    """An arm of six joints in the plane; a problem is the lengths of its parts and the place."""

    def sample(self, *, key):
        length_key, angle_key = jax.random.split(key)
        lengths = jax.random.uniform(length_key, (6,), minval=0.5, maxval=1.5)
        return lengths, self.hand(jax.random.normal(angle_key, (6,)), lengths)

    def init(self, problem, *, key):
        return 0.1 * jax.random.normal(key, (6,))

    def loss(self, params, problem, *, key):
        lengths, place = problem
        effort = 1e-3 * jnp.sum(params**2)
        return jnp.sum((self.hand(params, lengths) - place) ** 2) + effort

    def hand(self, angles, lengths):
        directions = jnp.cumsum(angles)
        return jnp.array([lengths @ jnp.cos(directions), lengths @ jnp.sin(directions)])
