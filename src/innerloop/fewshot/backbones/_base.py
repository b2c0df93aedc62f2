"""What a backbone is: a network that turns images into features."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ...runtime.promotion import usual_promotion

Params = dict[str, dict[str, Float[Array, "..."]]]
"""Parameters: layer → name → array."""
Moments = tuple[Float[Array, " units"], Float[Array, " units"]]
Statistics = dict[str, Moments]
"""Place of a normalisation → the mean and the variance of its units before it."""


class Backbone(eqx.Module):
    """A network without an output layer: images in, features out.

    A backbone is a subclass with the two properties and the two methods below, and static fields
    with defaults if it has settings. The settings are the keyword arguments of the constructor
    besides `side` and `channels`; each is a field of the same name, so that a file can hold them.
    Parameters are no part of the backbone: meta-learners hold them and adapt them.

    Attributes:
        side: Height and width of the images, in pixels.
        channels: Channels of the images: 1 for grey, 3 for colour.

    Example:
        >>> import equinox as eqx
        >>> import innerloop
        >>> import jax.numpy as jnp
        >>> @innerloop.register("mean-colour")
        ... class MeanColour(innerloop.fewshot.Backbone):
        ...     '''The mean of each channel, times a learned scale.'''
        ...
        ...     @property
        ...     def width(self):
        ...         return self.channels
        ...
        ...     @property
        ...     def layers(self):
        ...         return ("scale",)
        ...
        ...     def init(self, *, key):
        ...         return {"scale": {"scale": jnp.ones(self.channels)}}
        ...
        ...     def features(self, params, images, statistics=None):
        ...         return images.mean((1, 2)) / 255 * params["scale"]["scale"], {}
        >>> MeanColour(side=16, channels=3).width
        3
    """

    registry_kind: ClassVar[str] = "backbone"

    side: int = eqx.field(static=True)
    channels: int = eqx.field(static=True)

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """Features of one image."""

    @property
    @abc.abstractmethod
    def layers(self) -> tuple[str, ...]:
        """The keys of `init`'s parameters, in the order in which images pass the layers.

        Gates, rates per layer and `init_from` go by these names. "head" is taken: a learner
        puts its output layer there.
        """

    @abc.abstractmethod
    def init(self, *, key: PRNGKeyArray) -> Params:
        """Random parameters, layer → name → float32 array.

        Args:
            key: Draws them.
        """

    @abc.abstractmethod
    def features(
        self,
        params: Params,
        images: UInt8[Array, "n side side channels"],
        statistics: Statistics | None = None,
    ) -> tuple[Float[Array, "n width"], Statistics]:
        """The features of images, and the statistics that units were normalised by.

        Args:
            params: Parameters as from `init`; other keys, such as "head", are ignored.
            images: Pixels from 0 to 255.
            statistics: Means and variances to normalise by, so that every image is judged
                alone; None for those of `images`.

        Returns:
            The features, float32, and the statistics in use: `statistics`, or those of `images`.
            A backbone without normalisation returns {}.
        """

    @usual_promotion()
    def init_statistics(self) -> Statistics:
        """Statistics that stand in until some are gathered: mean 0 and variance 1."""
        images = jax.ShapeDtypeStruct((1, self.side, self.side, self.channels), jnp.uint8)
        shapes: Any = jax.eval_shape(
            lambda images: self.features(self.init(key=jax.random.key(0)), images)[1], images
        )
        return {
            name: (jnp.zeros(mean.shape, mean.dtype), jnp.ones(variance.shape, variance.dtype))
            for name, (mean, variance) in shapes.items()
        }
