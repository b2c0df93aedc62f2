"""A variational autoencoder of MNIST digits (Kingma & Welling 2014)."""

from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ..registry import register
from ..runtime.settings import Count, check_value
from ._on_mnist import OnMNIST, dense, digits, through
from .mnist import Layers

Params = dict[str, Layers]


@register("mnist-vae")
@final
class MNISTVAE(OnMNIST):
    """The negative evidence lower bound, in nats an image, of a variational autoencoder.

    Encoder and decoder have one hidden layer of ReLU units. The code is Gaussian, drawn once for
    each image; its prior is standard Gaussian. Grey values count as the chances of white. The loss
    begins near the number of pixels times log 2.

    Parameters are {"encoder": layers, "decoder": layers}, each a list with (weight
    [inputs, outputs], bias [outputs]) for its two layers, float32.

    Args:
        hidden: Units of the hidden layers.
        code: Numbers in an image's code.
        batch: Training images of a minibatch.
        side: Height and width of the images, in pixels: 28, 14 or 7.
        data_dir: A folder with the data, see `innerloop.datasets.load_mnist`.

    Raises:
        InnerloopError: A setting is out of its range, or the data is not to be had.

    References:
        Kingma & Welling, "Auto-encoding variational Bayes" (2014, arXiv:1312.6114).
    """

    hidden: int = eqx.field(static=True)
    code: int = eqx.field(static=True)

    def __init__(
        self,
        *,
        hidden: Count = 64,
        code: Count = 8,
        batch: Count = 64,
        side: Count = 14,
        data_dir: str | Path | None = None,
    ):
        check_value("hidden", hidden, Count)
        check_value("code", code, Count)
        self.hidden, self.code = hidden, code
        self.data = digits(batch=batch, side=side, data_dir=data_dir)

    def init(self, problem: None, *, key: PRNGKeyArray) -> Params:
        pixels = self.data.side**2
        encoder_key, decoder_key = jax.random.split(key)
        encoder = dense(encoder_key, (pixels, self.hidden, 2 * self.code))
        # Codes of a variance near 1 whatever the image, and even chances of black and white.
        return {
            "encoder": _quiet(encoder),
            "decoder": _quiet(dense(decoder_key, (self.code, self.hidden, pixels))),
        }

    def loss_of(
        self,
        params: Params,
        images: Float[Array, "n pixels"],
        labels: UInt8[Array, " n"],
        key: PRNGKeyArray,
    ) -> Float[Array, ""]:
        outputs = through(params["encoder"], images, jax.nn.relu)
        mean, log_variance = jnp.split(outputs, 2, axis=-1)
        noise = jax.random.normal(key, mean.shape)
        code = mean + jnp.exp(0.5 * log_variance) * noise
        logits = through(params["decoder"], code, jax.nn.relu)
        wrong = jnp.sum(optax.sigmoid_binary_cross_entropy(logits, images), axis=-1)
        divergence = 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - 1 - log_variance, axis=-1)
        return jnp.mean(wrong + divergence)


def _quiet(layers: Layers) -> Layers:
    """The layers with the last one's weights at a tenth."""
    *hidden, (weight, bias) = layers
    return [*hidden, (0.1 * weight, bias)]
