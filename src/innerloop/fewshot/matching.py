"""Matching networks, with and without full context embeddings (Vinyals et al. 2016)."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from .. import keys
from ..errors import InnerloopError
from .metric import MetricLearner, cosine, no_statistics
from .network import Conv4, Params, Statistics


@final
class MatchingNetwork(MetricLearner):
    """A query's class is voted for by the support images, by how like they are to it.

    P(y | x) = Σ_i a(x, x_i) y_i, with a the softmax of cosine similarities: equation (1) of
    Vinyals et al., "Matching networks for one shot learning" (2016, arXiv:1606.04080). With a
    `context`, full context embeddings, images are embedded in the light of the whole support
    set first. `sharpness` multiplies the similarities, which are at most 1, and is learned (the
    paper has none); it begins at 10.
    """

    network: Conv4
    params: Params
    statistics: Statistics
    sharpness: Float[Array, ""]
    context: "FullContext | None"

    def __init__(
        self,
        network: Conv4,
        *,
        key: PRNGKeyArray,
        full_context: bool = False,
        reads: int = 5,
        hidden: int | None = None,
    ):
        params_key, context_key = jax.random.split(key)
        self.network, self.params = network, network.init(key=params_key)
        self.statistics = no_statistics(network)
        self.sharpness = jnp.asarray(10.0)
        self.context = (
            FullContext(network.width, hidden=hidden, reads=reads, key=context_key)
            if full_context
            else None
        )

    def compare(
        self,
        support: Float[Array, "n features"],
        labels: Int[Array, " n"],
        query: Float[Array, "m features"],
        way: int,
    ) -> Float[Array, "m way"]:
        if self.context is not None:
            support, query = self.context(support, query)
        attention = jax.nn.softmax(self.sharpness * cosine(query, support))
        return jnp.log(attention @ jax.nn.one_hot(labels, way) + 1e-6)


@final
class FullContext(eqx.Module):
    """Embeddings that know the support set they are used with (Vinyals et al. 2016, Section 2.1.2).

    Support embeddings pass through an LSTM in either direction, whose outputs are added to
    them; queries through an LSTM that attends to the support set `reads` times (Appendix A).

    As published the LSTMs are as wide as an embedding; with 800 features they are 18 million
    numbers. With `hidden` units they work on `narrow`'s linear map of what they are given, and what
    they add is brought back by `widen`, which begins small. Raises `InnerloopError` where
    `reads` or `hidden` is not positive.
    """

    forward: eqx.nn.LSTMCell
    backward: eqx.nn.LSTMCell
    attending: eqx.nn.LSTMCell
    narrow: Float[Array, "features hidden"] | None
    widen: Float[Array, "hidden features"] | None
    reads: int = eqx.field(static=True)

    def __init__(self, width: int, *, reads: int, key: PRNGKeyArray, hidden: int | None = None):
        for name, size in {"reads": reads, "hidden": hidden}.items():
            if size is not None and size < 1:
                raise InnerloopError(f"{name} is {size}; it must be at least 1.")
        units = width if hidden is None else hidden
        parts = jax.random.split(key, 3)
        self.forward = eqx.nn.LSTMCell(units, units, key=parts[0])
        self.backward = eqx.nn.LSTMCell(units, units, key=parts[1])
        # What was read is an input like the query: W [h, r] of the paper is W_h h + W_r r.
        self.attending = eqx.nn.LSTMCell(2 * units, units, key=parts[2])
        self.narrow = self.widen = None
        if hidden is not None:
            to_key, from_key = jax.random.split(keys.narrowing(key))
            self.narrow = width**-0.5 * jax.random.normal(to_key, (width, hidden))
            # Training begins at embeddings that hardly know their context, as they do at its LSTMs.
            self.widen = 0.1 * hidden**-0.5 * jax.random.normal(from_key, (hidden, width))
        self.reads = reads

    def __call__(
        self, support: Float[Array, "n features"], query: Float[Array, "m features"]
    ) -> tuple[Float[Array, "n features"], Float[Array, "m features"]]:
        given = self._narrowed(support)
        ahead = _outputs(self.forward, given)
        back = _outputs(self.backward, given[::-1])[::-1]
        support = support + self._widened(ahead + back)

        def one(features):
            given = self._narrowed(features)
            h = jnp.zeros_like(given)
            read = self._narrowed(jnp.mean(support, axis=0))
            c = jnp.zeros_like(given)
            known = features
            for _ in range(self.reads):
                h, c = self.attending(jnp.concatenate([given, read]), (h, c))
                known = features + self._widened(h)
                h = self._narrowed(known)
                read = self._narrowed(jax.nn.softmax(support @ known) @ support)
            return known

        return support, jax.vmap(one)(query)

    def _narrowed(self, features: Float[Array, "*n features"]) -> Float[Array, "*n units"]:
        return features if self.narrow is None else features @ self.narrow

    def _widened(self, units: Float[Array, "*n units"]) -> Float[Array, "*n features"]:
        return units if self.widen is None else units @ self.widen


def _outputs(
    cell: eqx.nn.LSTMCell, inputs: Float[Array, "n features"]
) -> Float[Array, "n features"]:
    def step(state, row):
        state = cell(row, state)
        return state, state[0]

    zeros = jnp.zeros(cell.hidden_size)
    return jax.lax.scan(step, (zeros, zeros), inputs)[1]
