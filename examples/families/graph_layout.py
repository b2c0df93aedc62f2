"""Layout of a graph: places in the plane for which distances are as in the graph.

innerloop train examples/families/graph_layout.py:GraphLayout
"""

import jax
import jax.numpy as jnp

import innerloop

NODES = 20


class GraphLayout(innerloop.TaskFamily):
    """Stress: weighted squared differences between distances and shortest paths."""

    def sample(self, *, key):
        places = jax.random.uniform(key, (NODES, 2))
        apart = jnp.linalg.norm(places[:, None] - places, axis=-1)
        near = jnp.argsort(jnp.argsort(apart, axis=1), axis=1) <= 4  # itself and four neighbours
        paths = jnp.where(near | near.T, 1.0, 10.0) * (1 - jnp.eye(NODES))
        for through in range(NODES):
            paths = jnp.minimum(paths, paths[:, through, None] + paths[through])
        return paths

    def init(self, problem, *, key):
        return jax.random.normal(key, (NODES, 2))

    def loss(self, params, problem, *, key):
        apart = jnp.sum((params[:, None] - params) ** 2, axis=-1)
        distances = jnp.sqrt(apart + 1e-4)
        weights = (1 - jnp.eye(NODES)) / jnp.maximum(problem, 1.0) ** 2
        return jnp.sum(weights * (distances - problem) ** 2) / NODES
