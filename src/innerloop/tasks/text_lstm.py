"""An LSTM that predicts the next character of English text."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ..registry import register
from ..runtime.settings import Count, check_value
from ._on_text import COUNT, OnText, Params


@register("text-lstm")
@final
class TextLSTM(OnText):
    """Cross-entropy (nats a character) of an LSTM of one layer on text that innerloop ships.

    The state begins at 0 with each piece. Biases of the forget gates begin at 1. The held-out loss
    is that of the text's last tenth.

    Parameters are a dictionary of float32 arrays: "inputs" [symbols, 4·width], "recurrent"
    [width, 4·width], "bias" [4·width], "readout" [width, symbols] and "readout_bias" [symbols].

    Args:
        width: Units of the LSTM.
        length: Characters of a piece.
        batch: Pieces in a minibatch.

    Raises:
        SettingsError: A setting is out of its range.
    """

    width: int = eqx.field(static=True)

    def __init__(self, *, width: Count = 32, length: Count = 24, batch: Count = 16):
        for name, value in {"width": width, "length": length, "batch": batch}.items():
            check_value(name, value, Count)
        self.width = width
        self._prepare(length, batch)

    def init(self, problem: None, *, key: PRNGKeyArray) -> Params:
        width = self.width
        shapes = {
            "inputs": (COUNT, 4 * width),
            "recurrent": (width, 4 * width),
            "readout": (width, COUNT),
        }
        keys = jax.random.split(key, len(shapes))
        params = {
            name: jax.random.normal(each, shape) / jnp.sqrt(width)
            for each, (name, shape) in zip(keys, shapes.items(), strict=True)
        }
        bias = jnp.zeros(4 * width).at[width : 2 * width].set(1.0)
        return {**params, "bias": bias, "readout_bias": jnp.zeros(COUNT)}

    def logits(
        self, params: Params, symbols: Int[Array, "batch length"]
    ) -> Float[Array, "batch length symbols"]:
        sums = params["inputs"][symbols.T] + params["bias"]
        zero = jnp.zeros((len(symbols), self.width), sums.dtype)

        def step(carry, sums):
            hidden, cell = carry
            parts = jnp.split(sums + hidden @ params["recurrent"], 4, axis=-1)
            into, forget, out = (jax.nn.sigmoid(parts[place]) for place in (0, 1, 3))
            cell = forget * cell + into * jnp.tanh(parts[2])
            hidden = out * jnp.tanh(cell)
            return (hidden, cell), hidden

        _, units = jax.lax.scan(step, (zero, zero), sums)
        return units.swapaxes(0, 1) @ params["readout"] + params["readout_bias"]
