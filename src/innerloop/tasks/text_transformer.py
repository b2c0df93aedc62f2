"""A transformer that predicts the next character of English text."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ..errors import SettingsError
from ..registry import register
from ..runtime.settings import Count, check_value
from ._on_mnist import normalised
from ._on_text import COUNT, OnText, Params


@register("text-transformer")
@final
class TextTransformer(OnText):
    """Cross-entropy (nats a character) of a causal transformer on text that innerloop ships.

    Learned positions; `layers` layers, each with attention of `heads` heads and a hidden layer of
    GELU units four times as wide, both after a layer normalisation with a learned scale; a last
    normalisation and a readout of its own. The held-out loss is that of the text's last tenth.

    Parameters are a dictionary of float32 arrays; those of all layers are stacked [layers, ...].

    Args:
        width: Numbers that stand for a character; a multiple of `heads`.
        heads: Heads of attention.
        layers: Layers.
        length: Characters of a piece.
        batch: Pieces in a minibatch.

    Raises:
        SettingsError: A setting is out of its range.
    """

    width: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)
    layers: int = eqx.field(static=True)

    def __init__(
        self,
        *,
        width: Count = 32,
        heads: Count = 2,
        layers: Count = 1,
        length: Count = 24,
        batch: Count = 16,
    ):
        for name, value in {"heads": heads, "layers": layers, "batch": batch}.items():
            check_value(name, value, Count)
        check_value("length", length, Count)
        if width < 1 or width % heads:
            raise SettingsError("width", width, f"a multiple of heads, which is {heads}")
        self.width, self.heads, self.layers = width, heads, layers
        self._prepare(length, batch)

    def init(self, problem: None, *, key: PRNGKeyArray) -> Params:
        width, layers = self.width, self.layers
        fan_in = {
            "symbols": ((COUNT, width), 1),
            "positions": ((self.length, width), 1),
            "attention": ((layers, width, 3 * width), width),
            "out": ((layers, width, width), 4 * width),
            "first": ((layers, width, 4 * width), width),
            "second": ((layers, 4 * width, width), 16 * width),
            "readout": ((width, COUNT), width),
        }
        keys = jax.random.split(key, len(fan_in))
        params = {
            name: jax.random.normal(each, shape) / jnp.sqrt(inputs)
            for each, (name, (shape, inputs)) in zip(keys, fan_in.items(), strict=True)
        }
        bias = {
            "first_bias": jnp.zeros((layers, 4 * width)),
            "second_bias": jnp.zeros((layers, width)),
        }
        scales = {"scales": jnp.ones((layers, 2, width)), "last_scale": jnp.ones(width)}
        return {**params, **bias, **scales}

    def logits(
        self, params: Params, symbols: Int[Array, "batch length"]
    ) -> Float[Array, "batch length symbols"]:
        units = params["symbols"][symbols] + params["positions"]
        for layer in range(self.layers):
            scales = params["scales"][layer]
            units = units + self._attended(normalised(units) * scales[0], params, layer)
            hidden = normalised(units) * scales[1] @ params["first"][layer]
            hidden = jax.nn.gelu(hidden + params["first_bias"][layer])
            units = units + hidden @ params["second"][layer] + params["second_bias"][layer]
        return normalised(units) * params["last_scale"] @ params["readout"]

    def _attended(
        self, units: Float[Array, "batch length width"], params: Params, layer: int
    ) -> Float[Array, "batch length width"]:
        batch, length, width = units.shape
        heads = (batch, length, 3, self.heads, width // self.heads)
        mixed = (units @ params["attention"][layer]).reshape(heads)
        query, key, value = (mixed[:, :, place] for place in range(3))
        scores = jnp.einsum("bqhw,bkhw->bhqk", query, key) / jnp.sqrt(query.shape[-1])
        past = jnp.tril(jnp.ones((length, length), bool))
        # JAX's own attention computes in float32 whatever it is given.
        chances = jax.nn.softmax(jnp.where(past, scores, -1e9))
        seen = jnp.einsum("bhqk,bkhw->bqhw", chances, value)
        return seen.reshape(batch, length, width) @ params["out"][layer]
