"""The output layer: a linear map of a backbone's features to logits."""

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from .backbones import Backbone, Params, Statistics

HEAD = "head"
"""The layer's name among a learner's parameters."""


def init_head(width: int, classes: int) -> dict[str, Float[Array, "..."]]:
    """A linear layer of zeros: `weight` [classes, width] and `bias` [classes], float32.

    So every class is as likely as any other until something is learned of them: on random
    logits the first inner steps would be spent on taking them back.
    """
    return {"weight": jnp.zeros((classes, width)), "bias": jnp.zeros(classes)}


def apply_head(
    head: dict[str, Float[Array, "..."]], features: Float[Array, "n width"]
) -> Float[Array, "n classes"]:
    """The logits of features."""
    return features @ head["weight"].T + head["bias"]


def logits(
    backbone: Backbone,
    params: Params,
    images: UInt8[Array, "n side side channels"],
    statistics: Statistics | None = None,
) -> tuple[Float[Array, "n classes"], Statistics]:
    """(logits, statistics) of images, by the backbone and the layer `params["head"]`.

    Args:
        backbone: The network.
        params: Its parameters, and the output layer's under "head".
        images: Pixels from 0 to 255.
        statistics: Means and variances to normalise by; None for those of `images`.
    """
    features, used = backbone.features(params, images, statistics)
    return apply_head(params[HEAD], features), used
