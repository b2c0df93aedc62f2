"""A multilayer perceptron on MNIST with layer normalisation, or deep with tanh."""

import math
from pathlib import Path
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ..errors import SettingsError
from ..registry import register
from ..runtime.settings import Count, Positive, check_value
from ._on_mnist import OnMNIST, dense, digits, normalised
from .mnist import ACTIVATIONS, Layers, cross_entropy

Params = dict[str, Layers | list[Float[Array, "2 _"]]]


@register("mnist-mlp")
@final
class MNISTMLP(OnMNIST):
    """Cross-entropy (nats) of a multilayer perceptron of today on minibatches of MNIST.

    Weights are Gaussian with He's variance, or half of it for units other than ReLU; biases are 0.
    With `normalise`, each hidden layer's sums have mean 0 and variance 1 in every example, times a
    learned scale plus a learned shift. `MNIST` is the network of 2016 in contrast: its weights
    begin at 0.01 and its units are sigmoid.

    Parameters are {"layers": list of (weight [inputs, outputs], bias [outputs])}, and with
    `normalise` {"scales": list of [2, outputs]}: scale and shift of each hidden layer; float32.

    Args:
        hidden: Units of each hidden layer, 1 or more each.
        activation: Of the hidden units: "sigmoid", "relu" or "tanh".
        normalise: Whether hidden layers are normalised.
        gain: A factor of the initial weights.
        batch: Training images of a minibatch.
        side: Height and width of the images, in pixels: 28, 14 or 7.
        data_dir: A folder with the data, see `innerloop.datasets.load_mnist`.

    Raises:
        InnerloopError: A setting is out of its range, or the data is not to be had.
    """

    hidden: tuple[int, ...] = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    normalise: bool = eqx.field(static=True)
    gain: float = eqx.field(static=True)

    def __init__(
        self,
        *,
        hidden: tuple[Count, ...] = (64, 64),
        activation: str = "relu",
        normalise: bool = True,
        gain: Positive = 1.0,
        batch: Count = 64,
        side: Count = 28,
        data_dir: str | Path | None = None,
    ):
        check_value("hidden", hidden, tuple[Count, ...])
        check_value("gain", gain, Positive)
        check_value("normalise", normalise, bool)
        if activation not in ACTIVATIONS:
            raise SettingsError("activation", activation, f"one of {', '.join(ACTIVATIONS)}")
        self.hidden, self.activation = hidden, activation
        self.normalise, self.gain = normalise, gain
        self.data = digits(batch=batch, side=side, data_dir=data_dir)

    def init(self, problem: None, *, key: PRNGKeyArray) -> Params:
        gain = self.gain * (1.0 if self.activation == "relu" else math.sqrt(0.5))
        layers = dense(key, (self.data.side**2, *self.hidden, 10), gain=gain)
        if not self.normalise:
            return {"layers": layers}
        ones = [jnp.stack([jnp.ones(width), jnp.zeros(width)]) for width in self.hidden]
        return {"layers": layers, "scales": ones}

    def loss_of(
        self,
        params: Params,
        images: Float[Array, "n pixels"],
        labels: UInt8[Array, " n"],
        key: PRNGKeyArray,
    ) -> Float[Array, ""]:
        *hidden, (weight, bias) = params["layers"]
        scales = params.get("scales", [None] * len(hidden))
        units = images
        for (layer_weight, layer_bias), scale in zip(hidden, scales, strict=True):
            units = units @ layer_weight + layer_bias
            if scale is not None:
                units = normalised(units) * scale[0] + scale[1]
            units = ACTIVATIONS[self.activation](units)
        return cross_entropy(units @ weight + bias, labels)
