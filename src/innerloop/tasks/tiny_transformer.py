"""A transformer of one layer that predicts the next symbol of a random Markov chain."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ..registry import register
from ..runtime.settings import Count, check
from ._base import TaskFamily
from .mnist import cross_entropy

Params = dict[str, Float[Array, "..."]]
_SHARPNESS = 2.0  # Of the chain: the standard deviation of the logarithms of its chances.


@register("tiny-transformer")
@final
class TinyTransformer(TaskFamily):
    """Cross-entropy (nats) of a causal transformer on sequences of a Markov chain of order two.

    A problem is a chain: a symbol depends on the one before and on the one before that, by random
    chances. A network without attention knows the last symbol alone and does worse. The
    transformer has learned positions, one layer with one head of attention and one hidden layer of
    ReLU units, both after a normalisation with a learned scale, and a readout of its own. Each
    minibatch has fresh sequences.

    Parameters are a dictionary of float32 arrays.

    Args:
        symbols: Symbols of the chain.
        length: Symbols of a sequence.
        width: Numbers that stand for a symbol inside the network.
        batch: Sequences in a minibatch.

    Raises:
        SettingsError: A setting is out of its range.
    """

    symbols: Count = eqx.field(static=True, default=8)
    length: Count = eqx.field(static=True, default=8)
    width: Count = eqx.field(static=True, default=16)
    batch: Count = eqx.field(static=True, default=16)

    def __check_init__(self):
        check(self)

    def sample(self, *, key: PRNGKeyArray) -> Float[Array, "before last next"]:
        """The logarithms of the chances of each symbol after each two."""
        logits = _SHARPNESS * jax.random.normal(key, (self.symbols,) * 3)
        return jax.nn.log_softmax(logits)

    def init(self, problem: Float[Array, "before last next"], *, key: PRNGKeyArray) -> Params:
        width = self.width
        shapes = {
            "symbols": (self.symbols, width),
            "positions": (self.length, width),
            "query": (width, width),
            "key": (width, width),
            "value": (width, width),
            "out": (width, width),
            "first": (width, 2 * width),
            "second": (2 * width, width),
            "readout": (width, self.symbols),
        }
        keys = jax.random.split(key, len(shapes))
        params = {
            name: jax.random.normal(each, shape) / jnp.sqrt(shape[0])
            for each, (name, shape) in zip(keys, shapes.items(), strict=True)
        }
        bias = {"first_bias": jnp.zeros(2 * width), "second_bias": jnp.zeros(width)}
        return {**params, **bias, "scales": jnp.ones((3, width))}

    def loss(
        self, params: Params, problem: Float[Array, "before last next"], *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        sequences = jax.vmap(lambda key: self._sequence(problem, key))(
            jax.random.split(key, self.batch)
        )
        units = params["symbols"][sequences[:, :-1]] + params["positions"]
        units = units + _attended(_normal(units, params["scales"][0]), params)
        seen = _normal(units, params["scales"][1])
        hidden = jax.nn.relu(seen @ params["first"] + params["first_bias"])
        units = units + hidden @ params["second"] + params["second_bias"]
        logits = _normal(units, params["scales"][2]) @ params["readout"]
        following = sequences[:, 1:].ravel().astype(jnp.uint8)
        return cross_entropy(logits.reshape(-1, self.symbols), following)

    def _sequence(
        self, chances: Float[Array, "before last next"], key: PRNGKeyArray
    ) -> Int[Array, " symbols"]:
        """One symbol more than the network sees."""
        noise = jax.random.gumbel(key, (self.length + 1, self.symbols))

        def follow(pair, noise):
            new = jnp.argmax(chances[pair[0], pair[1]] + noise)
            return (pair[1], new), new

        first = (jnp.argmax(noise[0]), jnp.argmin(noise[0]))
        return jax.lax.scan(follow, first, noise)[1]


def _attended(units: Float[Array, "batch length width"], params: Params) -> Array:
    """What one head of causal attention adds."""
    query, key, value = (units @ params[name] for name in ("query", "key", "value"))
    scores = query @ key.swapaxes(1, 2) / jnp.sqrt(units.shape[-1])
    past = jnp.tril(jnp.ones(scores.shape[1:], bool))
    return jax.nn.softmax(jnp.where(past, scores, -1e9)) @ value @ params["out"]


def _normal(units: Float[Array, "batch length width"], scale: Float[Array, " width"]) -> Array:
    """Units over their root mean square, times a learned scale."""
    return units * jax.lax.rsqrt(jnp.mean(units**2, axis=-1, keepdims=True) + 1e-6) * scale
