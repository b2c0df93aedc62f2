"""Several views of an image, whose features are added: what they share is the image's class."""

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from .backbones import Backbone, Params, Statistics

_PART = 28  # Of an image's side: how far it is moved.


def embed_views(
    backbone: Backbone,
    params: Params,
    images: UInt8[Array, "n height width channels"],
    statistics: Statistics | None,
    *,
    mirrored: bool = False,
    shifted: bool = False,
) -> Float[Array, "n features"]:
    """The sum of the features of some views of each image; of the image alone by default.

    Args:
        backbone: Turns images into features.
        params: Its parameters.
        images: Pixels from 0 to 255.
        statistics: What units are normalised by; None for those of all views together.
        mirrored: Take the mirror image too.
        shifted: Take each view four times more, moved left, right, up and down by a 28th of its
            side. What comes in at an edge is the image mirrored there.
    """
    views = [images]
    if mirrored:
        views.append(images[:, :, ::-1])
    if shifted:
        views += [moved for view in views for moved in _moved(view)]
    features, _ = backbone.features(params, jnp.concatenate(views), statistics)
    return jnp.sum(features.reshape(len(views), len(images), -1), axis=0)


def _moved(images: UInt8[Array, "n height width channels"]) -> list[Array]:
    height, width = images.shape[1:3]
    by = max(1, min(height, width) // _PART)
    wide = jnp.pad(images, ((0, 0), (by, by), (by, by), (0, 0)), "symmetric")
    places = ((0, by), (2 * by, by), (by, 0), (by, 2 * by))
    return [wide[:, top : top + height, left : left + width] for top, left in places]
