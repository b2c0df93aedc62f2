"""The coordinatewise LSTM optimizer of Andrychowicz et al. (2016)."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from ..errors import InnerloopError
from ..kernels import fused_lstm as _fused
from ..registry import register
from ._base import CoordinatewiseRule
from .preprocess import log_and_sign, log_and_sign_parts

CellState = tuple[Float[Array, "hidden coordinates"], Float[Array, "hidden coordinates"]]


def _activate(gates: Array) -> list[Array]:
    """(i, f, o, candidate) from their stacked pre-activations: σ, σ, σ, tanh.

    σ(x) = ½ + ½ tanh(½ x), so that all four are one tanh, which is evaluated once: XLA was seen
    to repeat a σ in every operation that reads it, and the step to take twice as long.
    """
    hidden = gates.shape[0] // 4
    scale = jnp.full(4 * hidden, 0.5, gates.dtype).at[3 * hidden :].set(1)[:, None]
    return jnp.split(scale * jnp.tanh(scale * gates) + (1 - scale), 4)


def _gate_forward(gates: Array, c: Array):
    i, f, o, candidate = _activate(gates)
    after = f * c + i * candidate
    squashed = jnp.tanh(after)
    return (o * squashed, after), (i, f, o, candidate, c, squashed)


@jax.custom_vjp
def _gate(gates: Array, c: Array) -> CellState:
    """The gates applied: (h, c) of an LSTM cell from its four stacked pre-activations."""
    return _gate_forward(gates, c)[0]


def _gate_backward(kept, cotangent):
    i, f, o, candidate, c, squashed = kept
    pull_h, pull_c = cotangent
    pull_c = pull_c + pull_h * o * (1 - squashed**2)
    pull_gates = jnp.concatenate(
        [
            pull_c * candidate * i * (1 - i),
            pull_c * c * f * (1 - f),
            pull_h * squashed * o * (1 - o),
            pull_c * i * (1 - candidate**2),
        ]
    )
    return pull_gates, pull_c * f


_gate.defvjp(_gate_forward, _gate_backward)


class LSTMLayer(eqx.Module):
    """One LSTM layer with features leading and coordinates trailing: weights shared by all."""

    weight: Float[Array, "4*hidden inputs+hidden"]
    bias: Float[Array, " 4*hidden"]

    def __init__(self, inputs: int, hidden: int, *, key: PRNGKeyArray):
        shape = (4 * hidden, inputs + hidden)
        self.weight = jax.random.truncated_normal(key, -2, 2, shape) / jnp.sqrt(inputs + hidden)
        # A forget gate that starts open lets gradients through the whole unroll.
        self.bias = jnp.zeros(4 * hidden).at[hidden : 2 * hidden].set(1.0)

    def __call__(
        self, inputs: Float[Array, "inputs coordinates"], state: CellState
    ) -> tuple[Float[Array, "hidden coordinates"], CellState]:
        h, c = state
        gates = self.weight @ jnp.concatenate([inputs, h]) + self.bias[:, None]
        h, c = _gate(gates, c)
        return h, (h, c)


def check_settings(
    hidden: int, depth: int, preprocessing: float | None, output_scale: float
) -> None:
    """Raises `InnerloopError` for settings that are not positive, or too large to be meant."""
    for name, setting, most in (("hidden", hidden, 8192), ("depth", depth, 64)):
        if not 1 <= setting <= most:
            raise InnerloopError(f"{name} is {setting}; it must be from 1 to {most}.")
    for name, scale in {"preprocessing": preprocessing, "output_scale": output_scale}.items():
        if scale is not None and not scale > 0:
            raise InnerloopError(f"{name} is {scale}; it must be positive.")


def new_layers(inputs: int, hidden: int, depth: int, *, key: PRNGKeyArray) -> tuple[LSTMLayer, ...]:
    """`depth` fresh layers, the first of them for `inputs` inputs."""
    widths = [inputs] + [hidden] * (depth - 1)
    return tuple(
        LSTMLayer(width, hidden, key=layer_key)
        for width, layer_key in zip(widths, jax.random.split(key, depth), strict=True)
    )


def new_network(
    hidden: int, depth: int, preprocessing: float | None, *, key: PRNGKeyArray
) -> tuple[tuple[LSTMLayer, ...], Float[Array, "1 hidden"], Float[Array, " 1"]]:
    """Fresh layers, and the weight and bias of the output."""
    *layer_keys, output_key = jax.random.split(key, depth + 1)
    inputs = [1 if preprocessing is None else 2] + [hidden] * (depth - 1)
    layers = tuple(
        LSTMLayer(width, hidden, key=layer_key)
        for width, layer_key in zip(inputs, layer_keys, strict=True)
    )
    output_weight = jax.random.normal(output_key, (1, hidden)) / jnp.sqrt(hidden)
    return layers, output_weight, jnp.zeros(1)


def inputs_of(
    gradient: Float[Array, " coordinates"], preprocessing: float | None
) -> Float[Array, "inputs coordinates"]:
    """What the first layer is fed: the gradient, raw or preprocessed."""
    return gradient[None] if preprocessing is None else log_and_sign(gradient, preprocessing)


@register("lstm")
@final
class LSTMRule(CoordinatewiseRule):
    """A small LSTM, shared over all coordinates with a state for each: θ_{t+1} = θ_t + g_t.

    (g_t, h_{t+1}) = m(∇_t, h_t, φ). The defaults are the paper's for neural networks. The state is
    a tuple with (h, c) for each layer, each [hidden, coordinates]. Updates keep each leaf's dtype;
    the network computes in float32, or in float64 where its weights are float64.

    Args:
        key: Draws the initial weights.
        hidden: Units of each layer, 1 or more.
        depth: Layers, 1 or more.
        preprocessing: p of Appendix A, positive: a gradient becomes log |∇| / p and its sign. None
            feeds the raw gradient.
        output_scale: What the network's output is multiplied by, positive.
        state_dtype: The dtype of the state: None for that of the weights, or "bfloat16", which
            halves the memory of a step and of an unroll and keeps two to three significant digits.

    Raises:
        InnerloopError: A setting is not positive, or `state_dtype` is another one.

    Example:
        >>> import innerloop
        >>> import jax
        >>> import jax.numpy as jnp
        >>> rule = innerloop.LSTMRule(key=jax.random.key(0), hidden=4, depth=1)
        >>> updates, state = rule.update(jnp.ones(3), rule.init(jnp.zeros(3)))
        >>> updates.shape
        (3,)

    References:
        Andrychowicz et al., "Learning to learn by gradient descent by gradient descent" (2016,
        arXiv:1606.04474), equation (3) and Appendix A.
    """

    layers: tuple[LSTMLayer, ...]
    output_weight: Float[Array, "1 hidden"]
    output_bias: Float[Array, " 1"]
    hidden: int = eqx.field(static=True)
    depth: int = eqx.field(static=True)
    preprocessing: float | None = eqx.field(static=True)
    output_scale: float = eqx.field(static=True)
    state_dtype: str | None = eqx.field(static=True, default=None)

    def __init__(
        self,
        *,
        key: PRNGKeyArray,
        hidden: int = 20,
        depth: int = 2,
        preprocessing: float | None = 10.0,
        output_scale: float = 0.1,
        state_dtype: str | None = None,
    ):
        check_settings(hidden, depth, preprocessing, output_scale)
        if state_dtype not in (None, "bfloat16"):
            raise InnerloopError(f"state_dtype is '{state_dtype}'; it must be bfloat16 or None.")
        self.layers, self.output_weight, self.output_bias = new_network(
            hidden, depth, preprocessing, key=key
        )
        self.hidden, self.depth = hidden, depth
        self.preprocessing, self.output_scale = preprocessing, output_scale
        self.state_dtype = state_dtype

    @property
    def dtype(self) -> DTypeLike:
        return self.output_weight.dtype

    def init_coordinates(self, coordinates: int) -> tuple[CellState, ...]:
        zeros = jnp.zeros((self.hidden, coordinates), self.state_dtype or self.dtype)
        return tuple((zeros, zeros) for _ in self.layers)

    def features(
        self, gradient: Float[Array, " *coordinates"]
    ) -> tuple[Float[Array, " *coordinates"], ...]:
        """What the first layer is fed, one by one: the gradient, raw or preprocessed."""
        p = self.preprocessing
        return (gradient,) if p is None else log_and_sign_parts(gradient, p)

    def update_coordinates(
        self, gradient: Float[Array, " coordinates"], state: tuple[CellState, ...]
    ) -> tuple[Float[Array, " coordinates"], tuple[CellState, ...]]:
        features = inputs_of(gradient, self.preprocessing)
        new_state = []
        for layer, (h, c) in zip(self.layers, state, strict=True):
            features, cell = layer(features, (h.astype(self.dtype), c.astype(self.dtype)))
            new_state.append(tuple(part.astype(h.dtype) for part in cell))
        step = (self.output_weight @ features)[0] + self.output_bias
        return self.output_scale * step, tuple(new_state)

    def update_many(
        self, gradient: Float[Array, " coordinates"], state: tuple[CellState, ...]
    ) -> tuple[Float[Array, " coordinates"], tuple[CellState, ...]]:
        if _fused.usable(self):
            return _fused.fused(self, gradient, state)
        return super().update_many(gradient, state)
