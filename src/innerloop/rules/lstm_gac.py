"""The LSTM optimizer with global averaging cells (Andrychowicz et al. 2016, Appendix B)."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from ..errors import InnerloopError
from ..registry import register
from ._base import FlatRule
from .lstm import CellState, LSTMLayer, check_settings, inputs_of, new_network


@register("lstm-gac")
@final
class LSTMGACRule(FlatRule):
    """The coordinatewise LSTM, some of whose cells talk across coordinates: LSTM+GAC.

    In every layer the outgoing activations of the first `averaged` cells are replaced at each step
    by their mean over all coordinates of the problem. Every coordinate then sees the whole problem,
    which is enough to clip gradients by their norm. Coordinates may be permuted, and the steps with
    them. State and dtypes are as in `LSTMRule`.

    Args:
        key: Draws the initial weights.
        hidden: Units of each layer, 1 or more.
        depth: Layers, 1 or more.
        averaged: Global averaging cells of each layer, from 0 to `hidden`. With 0 the rule is
            `LSTMRule`.
        preprocessing: p of Appendix A, positive: a gradient becomes log |∇| / p and its sign. None
            feeds the raw gradient.
        output_scale: What the network's output is multiplied by, positive.

    Raises:
        InnerloopError: A setting is out of its range.

    Example:
        >>> import innerloop
        >>> import jax
        >>> import jax.numpy as jnp
        >>> rule = innerloop.LSTMGACRule(key=jax.random.key(0), hidden=4, depth=1, averaged=2)
        >>> updates, state = rule.update(jnp.ones(3), rule.init(jnp.zeros(3)))
        >>> updates.shape
        (3,)

    References:
        Andrychowicz et al., "Learning to learn by gradient descent by gradient descent" (2016,
        arXiv:1606.04474), Appendix B.
    """

    layers: tuple[LSTMLayer, ...]
    output_weight: Float[Array, "1 hidden"]
    output_bias: Float[Array, " 1"]
    hidden: int = eqx.field(static=True)
    depth: int = eqx.field(static=True)
    averaged: int = eqx.field(static=True)
    preprocessing: float | None = eqx.field(static=True)
    output_scale: float = eqx.field(static=True)

    def __init__(
        self,
        *,
        key: PRNGKeyArray,
        hidden: int = 20,
        depth: int = 2,
        averaged: int = 5,
        preprocessing: float | None = 10.0,
        output_scale: float = 0.1,
    ):
        check_settings(hidden, depth, preprocessing, output_scale)
        if not 0 <= averaged <= hidden:
            raise InnerloopError(f"averaged is {averaged}; it must be from 0 to hidden, {hidden}.")
        self.layers, self.output_weight, self.output_bias = new_network(
            hidden, depth, preprocessing, key=key
        )
        self.hidden, self.depth, self.averaged = hidden, depth, averaged
        self.preprocessing, self.output_scale = preprocessing, output_scale

    @property
    def dtype(self) -> DTypeLike:
        return self.output_weight.dtype

    def init_coordinates(self, coordinates: int) -> tuple[CellState, ...]:
        zeros = jnp.zeros((self.hidden, coordinates), self.dtype)
        return tuple((zeros, zeros) for _ in self.layers)

    def update_problems(
        self,
        gradient: Float[Array, " coordinates"],
        state: tuple[CellState, ...],
        problems: int,
    ) -> tuple[Float[Array, " coordinates"], tuple[CellState, ...]]:
        features = inputs_of(gradient, self.preprocessing)
        new_state = []
        for layer, cell in zip(self.layers, state, strict=True):
            features, (_, c) = layer(features, cell)
            features = average_across(features, self.averaged, problems)
            # What a cell sends on is averaged, to the next layer and to its own next step.
            new_state.append((features, c))
        output = (self.output_weight @ features)[0] + self.output_bias
        return self.output_scale * output, tuple(new_state)


def average_across(
    h: Float[Array, "hidden coordinates"], averaged: int, problems: int
) -> Float[Array, "hidden coordinates"]:
    """`h` with its first `averaged` rows replaced by their means over each problem."""
    if averaged == 0:
        return h
    apart = h[:averaged].reshape(averaged, problems, -1)
    means = jnp.sum(apart, axis=-1, keepdims=True) / max(1, apart.shape[-1])
    shared = jnp.broadcast_to(means, apart.shape).reshape(averaged, -1)
    return jnp.concatenate([shared, h[averaged:]])
