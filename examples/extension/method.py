"""A few-shot method of one's own: prototypes that are compared by their angle.

innerloop fewshot train examples/extension/method.py:CosinePrototypes --method.sharpness 20
"""

import dataclasses

import jax
import jax.numpy as jnp

import innerloop


@dataclasses.dataclass(frozen=True, kw_only=True)
class CosineSettings:
    """The settings of `CosinePrototypes`."""

    sharpness: float = 10.0
    """What cosines are multiplied by."""


@innerloop.register("cosine-prototypes")
class CosinePrototypes(innerloop.fewshot.MetricLearner):
    """The class whose mean embedding is at the smallest angle wins."""

    Settings = CosineSettings

    def compare(self, support, labels, query, way):
        prototypes = jax.nn.one_hot(labels, way).T @ support
        return self.settings.sharpness * unit(query) @ unit(prototypes).T


def unit(rows):
    """Rows of length 1."""
    return rows / (jnp.linalg.norm(rows, axis=1, keepdims=True) + 1e-6)
