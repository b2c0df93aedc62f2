"""Matching networks with full context embeddings (Vinyals et al. 2016)."""

import dataclasses
from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ... import keys
from ...registry import register
from ...runtime.settings import Count, check
from .._base import Shape
from ..backbones import Backbone
from ..embedding import MetricLearner
from .matching import vote


@dataclasses.dataclass(frozen=True, kw_only=True)
class FullContextSettings:
    """The settings of full context embeddings."""

    reads: Count = 5
    """How often a query attends to the support set."""
    hidden: Count | None = None
    """Units of the LSTMs; None for as many as an embedding has features, as published."""

    def __post_init__(self):
        check(self)


@register("matching-fce")
@final
class FullContextMatching(MetricLearner):
    """Matching networks whose embeddings know the support set that they are used with.

    Attributes:
        sharpness: As `MatchingNetwork.sharpness`.
        context: Embeds images again in the light of the whole support set.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: A `FullContextMatching.Settings`: reads and hidden; None for the defaults.
        key: Draws the backbone's parameters and the LSTMs' weights.

    Example:
        >>> import jax
        >>> from innerloop import fewshot
        >>> shape = fewshot.Shape(way=2, shot=1, side=4, channels=1, classes=3)
        >>> backbone = fewshot.Conv4(side=4, channels=1, filters=2, blocks=1)
        >>> settings = fewshot.FullContextMatching.Settings(reads=2, hidden=4)
        >>> learner = fewshot.FullContextMatching(shape, backbone, settings, key=jax.random.key(0))
        >>> learner.context.reads
        2

    References:
        Vinyals et al., "Matching networks for one shot learning" (2016, arXiv:1606.04080),
        Section 2.1.2 and Appendix A.
    """

    Settings: ClassVar[type[Any]] = FullContextSettings

    sharpness: Float[Array, ""]
    context: "FullContext"

    def __init__(
        self, shape: Shape, backbone: Backbone, settings: Any = None, *, key: PRNGKeyArray
    ):
        params_key, context_key = jax.random.split(key)
        super().__init__(shape, backbone, settings, key=params_key)
        self.sharpness = jnp.asarray(10.0)
        self.context = FullContext(
            backbone.width,
            hidden=self.settings.hidden,
            reads=self.settings.reads,
            key=context_key,
        )

    def compare(
        self,
        support: Float[Array, "n features"],
        labels: Int[Array, " n"],
        query: Float[Array, "m features"],
        way: int,
    ) -> Float[Array, "m way"]:
        support, query = self.context(support, query)
        return vote(self.sharpness, support, labels, query, way)


@final
class FullContext(eqx.Module):
    """Embeddings that know the support set they are used with (Vinyals et al. 2016, Section 2.1.2).

    Support embeddings pass through an LSTM in either direction, whose outputs are added to
    them; queries through an LSTM that attends to the support set `reads` times (Appendix A).

    As published the LSTMs are as wide as an embedding; with 800 features they are 18 million
    numbers. With `hidden` units they work on `narrow`'s linear map of their input, and what
    they add is brought back by `widen`, which begins small.
    """

    forward: eqx.nn.LSTMCell
    backward: eqx.nn.LSTMCell
    attending: eqx.nn.LSTMCell
    narrow: Float[Array, "features hidden"] | None
    widen: Float[Array, "hidden features"] | None
    reads: int = eqx.field(static=True)

    def __init__(self, width: int, *, reads: int, key: PRNGKeyArray, hidden: int | None = None):
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
        given = self._narrow(support)
        ahead = _outputs(self.forward, given)
        back = _outputs(self.backward, given[::-1])[::-1]
        support = support + self._widen(ahead + back)

        def one(features):
            given = self._narrow(features)
            h = jnp.zeros_like(given)
            read = self._narrow(jnp.mean(support, axis=0))
            c = jnp.zeros_like(given)
            known = features
            for _ in range(self.reads):
                h, c = self.attending(jnp.concatenate([given, read]), (h, c))
                known = features + self._widen(h)
                h = self._narrow(known)
                read = self._narrow(jax.nn.softmax(support @ known) @ support)
            return known

        return support, jax.vmap(one)(query)

    def _narrow(self, features: Float[Array, "*n features"]) -> Float[Array, "*n units"]:
        return features if self.narrow is None else features @ self.narrow

    def _widen(self, units: Float[Array, "*n units"]) -> Float[Array, "*n features"]:
        return units if self.widen is None else units @ self.widen


def _outputs(
    cell: eqx.nn.LSTMCell, inputs: Float[Array, "n features"]
) -> Float[Array, "n features"]:
    def step(state, row):
        state = cell(row, state)
        return state, state[0]

    zeros = jnp.zeros(cell.hidden_size)
    return jax.lax.scan(step, (zeros, zeros), inputs)[1]
