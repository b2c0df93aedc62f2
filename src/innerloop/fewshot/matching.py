"""Matching networks, with and without full context embeddings (Vinyals et al. 2016)."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

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
        self, network: Conv4, *, key: PRNGKeyArray, full_context: bool = False, reads: int = 5
    ):
        params_key, context_key = jax.random.split(key)
        self.network, self.params = network, network.init(key=params_key)
        self.statistics = no_statistics(network)
        self.sharpness = jnp.asarray(10.0)
        self.context = (
            FullContext(network.width, reads=reads, key=context_key) if full_context else None
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
    """

    forward: eqx.nn.LSTMCell
    backward: eqx.nn.LSTMCell
    attending: eqx.nn.LSTMCell
    reads: int = eqx.field(static=True)

    def __init__(self, width: int, *, reads: int, key: PRNGKeyArray):
        if reads < 1:
            raise InnerloopError(f"reads is {reads}; it must be at least 1.")
        keys = jax.random.split(key, 3)
        self.forward = eqx.nn.LSTMCell(width, width, key=keys[0])
        self.backward = eqx.nn.LSTMCell(width, width, key=keys[1])
        # What was read is an input like the query: W [h, r] of the paper is W_h h + W_r r.
        self.attending = eqx.nn.LSTMCell(2 * width, width, key=keys[2])
        self.reads = reads

    def __call__(
        self, support: Float[Array, "n features"], query: Float[Array, "m features"]
    ) -> tuple[Float[Array, "n features"], Float[Array, "m features"]]:
        ahead = _outputs(self.forward, support)
        back = _outputs(self.backward, support[::-1])[::-1]
        support = support + ahead + back
        width = support.shape[1]

        def one(features):
            h = jnp.zeros(width)
            read = jnp.mean(support, axis=0)
            c = jnp.zeros(width)
            for _ in range(self.reads):
                h, c = self.attending(jnp.concatenate([features, read]), (h, c))
                h += features
                read = jax.nn.softmax(support @ h) @ support
            return h

        return support, jax.vmap(one)(query)


def _outputs(
    cell: eqx.nn.LSTMCell, inputs: Float[Array, "n features"]
) -> Float[Array, "n features"]:
    def step(state, row):
        state = cell(row, state)
        return state, state[0]

    zeros = jnp.zeros(cell.hidden_size)
    return jax.lax.scan(step, (zeros, zeros), inputs)[1]
