"""RNNprop: a coordinatewise LSTM that sees gradients as Adam does (Lv, Jiang & Li 2017)."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from ..registry import register
from ._base import CoordinatewiseRule
from .lstm import CellState, LSTMLayer, check_settings

DECAY = 0.95
"""Of both averages, as published."""
_TINY = 1e-10


class RNNpropState(eqx.Module):
    """Averages of the gradient and of its square, the steps taken, and each layer's (h, c)."""

    momentum: Float[Array, "1 coordinates"]
    square: Float[Array, "1 coordinates"]
    step: Float[Array, "1 coordinates"]
    cells: tuple[CellState, ...]


@register("rnnprop")
@final
class RNNpropRule(CoordinatewiseRule):
    """A small LSTM shared over all coordinates, fed with g/√v̂ and m̂/√v̂.

    m̂ and v̂ are Adam's averages of the gradient and of its square. Neither the inputs nor the
    step, output_scale · tanh(·), change with the loss's unit. The defaults are the paper's: two
    layers of 20 units behind a dense layer with ELU. Updates keep each leaf's dtype; the rule
    computes in float32.

    Args:
        key: Draws the initial weights.
        hidden: Units of the dense layer and of each LSTM layer, 1 or more.
        depth: LSTM layers, 1 or more.
        output_scale: The largest step of a coordinate, positive.

    Raises:
        InnerloopError: A setting is not positive.

    Example:
        >>> import innerloop
        >>> import jax
        >>> import jax.numpy as jnp
        >>> rule = innerloop.RNNpropRule(key=jax.random.key(0), hidden=4, depth=1)
        >>> updates, state = rule.update(jnp.ones(3), rule.init(jnp.zeros(3)))
        >>> updates.shape
        (3,)

    References:
        Lv, Jiang & Li, "Learning gradient descent: better generalization and longer horizons"
        (2017, arXiv:1703.03633), Section 4.1.
    """

    input_weight: Float[Array, "hidden 2"]
    input_bias: Float[Array, " hidden"]
    layers: tuple[LSTMLayer, ...]
    output_weight: Float[Array, "1 hidden"]
    output_bias: Float[Array, " 1"]
    hidden: int = eqx.field(static=True)
    depth: int = eqx.field(static=True)
    output_scale: float = eqx.field(static=True)

    def __init__(
        self, *, key: PRNGKeyArray, hidden: int = 20, depth: int = 2, output_scale: float = 0.1
    ):
        check_settings(hidden, depth, None, output_scale)
        input_key, output_key, *layer_keys = jax.random.split(key, depth + 2)
        self.input_weight = jax.random.normal(input_key, (hidden, 2)) / jnp.sqrt(2)
        self.input_bias = jnp.zeros(hidden)
        self.layers = tuple(LSTMLayer(hidden, hidden, key=layer_key) for layer_key in layer_keys)
        self.output_weight = jax.random.normal(output_key, (1, hidden)) / jnp.sqrt(hidden)
        self.output_bias = jnp.zeros(1)
        self.hidden, self.depth, self.output_scale = hidden, depth, output_scale

    @property
    def dtype(self) -> DTypeLike:
        return self.output_weight.dtype

    def init_coordinates(self, coordinates: int) -> RNNpropState:
        zeros = jnp.zeros((self.hidden, coordinates), self.dtype)
        none = jnp.zeros((1, coordinates), self.dtype)
        return RNNpropState(none, none, none, tuple((zeros, zeros) for _ in self.layers))

    def update_coordinates(
        self, gradient: Float[Array, " coordinates"], state: RNNpropState
    ) -> tuple[Float[Array, " coordinates"], RNNpropState]:
        step, gradient = state.step + 1, gradient[None]
        momentum = DECAY * state.momentum + (1 - DECAY) * gradient
        square = DECAY * state.square + (1 - DECAY) * gradient**2
        corrected = 1 - DECAY**step
        # Under the root, so that its derivative at 0 is finite: second order flows through.
        root = jnp.sqrt(square / corrected + _TINY**2)
        inputs = jnp.concatenate([gradient / root, momentum / corrected / root])
        features = jax.nn.elu(self.input_weight @ inputs + self.input_bias[:, None])
        cells = []
        for layer, cell in zip(self.layers, state.cells, strict=True):
            features, cell = layer(features, cell)
            cells.append(cell)
        output = (self.output_weight @ features)[0] + self.output_bias
        new_state = RNNpropState(momentum, square, step, tuple(cells))
        return self.output_scale * jnp.tanh(output), new_state
