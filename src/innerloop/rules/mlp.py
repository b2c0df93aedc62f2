"""A small MLP that steers Adam's own directions, one coordinate at a time."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from ..errors import InnerloopError
from ._base import CoordinatewiseRule

MOMENTUMS = (0.0, 0.5, 0.9, 0.99)
"""Decays of the averaged gradients whose mixture is the step; 0 is the gradient itself."""
SQUARES = (0.9, 0.99, 0.999)
"""Decays of the averaged squares; the directions are divided by the root of the middle one."""
TIMES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Steps at which the time features change sign."""
_TINY = 1e-10


class MLPState(eqx.Module):
    """Averages of the gradient and of its square, and the steps taken; float32."""

    momentum: Float[Array, "momentums coordinates"]
    square: Float[Array, "squares coordinates"]
    step: Float[Array, "1 coordinates"]


@final
class MLPRule(CoordinatewiseRule):
    """θ_{t+1} = θ_t − α·exp(s)·Σ_k (b_k + c_k) m̂_k / √v̂, where an MLP gives s and c.

    m̂_k are averages of the gradient and v̂ of its square, both corrected for their start as
    in Adam, and the MLP sees them as RNNprop does: as ratios m̂_k / √v̂, which do not change
    with the loss's unit (Lv, Jiang & Li 2017, arXiv:1703.03633). It sees the logarithms of
    the averaged squares and of the step too. A per-coordinate MLP over averages with fixed
    decays in place of an LSTM is Metz et al.'s (2019, arXiv:1810.10180; 2022,
    arXiv:2203.11860): a fraction of the LSTM's arithmetic and 8 floats of state where two
    layers of 20 keep 80. b and the scale's logarithm are learned too. Untrained, the rule
    is Adam at the rate `output_scale`.

    Updates keep each leaf's dtype; the rule computes in float32. A coordinate whose gradient
    has always been zero is not moved. Raises `InnerloopError` for settings that are not
    positive.
    """

    weights: tuple[Float[Array, "_ _"], ...]
    biases: tuple[Float[Array, " _"], ...]
    mixture: Float[Array, " momentums"]
    hidden: int = eqx.field(static=True)
    depth: int = eqx.field(static=True)
    output_scale: float = eqx.field(static=True)

    def __init__(
        self, *, key: PRNGKeyArray, hidden: int = 16, depth: int = 2, output_scale: float = 0.01
    ):
        for name, setting in {"hidden": hidden, "depth": depth}.items():
            if setting < 1:
                raise InnerloopError(f"{name} is {setting}; it must be at least 1.")
        if not output_scale > 0:
            raise InnerloopError(f"output_scale is {output_scale}; it must be positive.")
        widths = [len(MOMENTUMS) + len(SQUARES) + len(TIMES), *[hidden] * depth]
        keys = jax.random.split(key, depth)
        self.weights = (
            *(
                jax.random.normal(layer_key, (outputs, inputs)) / jnp.sqrt(inputs)
                for layer_key, inputs, outputs in zip(keys, widths, widths[1:], strict=False)
            ),
            jnp.zeros((len(MOMENTUMS) + 1, hidden)),
        )
        self.biases = tuple(jnp.zeros(weight.shape[0]) for weight in self.weights)
        self.mixture = jnp.zeros(len(MOMENTUMS)).at[MOMENTUMS.index(0.9)].set(1.0)
        self.hidden, self.depth, self.output_scale = hidden, depth, output_scale

    @property
    def dtype(self) -> DTypeLike:
        return self.mixture.dtype

    def init_coordinates(self, coordinates: int) -> MLPState:
        def zeros(features: int) -> Array:
            return jnp.zeros((features, coordinates), self.dtype)

        return MLPState(zeros(len(MOMENTUMS)), zeros(len(SQUARES)), zeros(1))

    def update_coordinates(
        self, gradient: Float[Array, " coordinates"], state: MLPState
    ) -> tuple[Float[Array, " coordinates"], MLPState]:
        step = state.step + 1
        momentum, mean = _average(gradient, state.momentum, MOMENTUMS, step)
        square, mean_square = _average(gradient**2, state.square, SQUARES, step)
        root = jnp.sqrt(mean_square + _TINY**2)
        middle = root[len(SQUARES) // 2]
        directions = mean / jax.lax.stop_gradient(middle)
        logs = jnp.log(root)
        features = jax.lax.stop_gradient(jnp.concatenate(
            [
                jnp.clip(directions, -3, 3),
                logs[1:2] / 10,
                logs[::2] - logs[1:2],
                jnp.tanh(jnp.log(step / jnp.asarray(TIMES, self.dtype)[:, None])),
            ]
        ))
        *layers, (weight, bias) = zip(self.weights, self.biases, strict=True)
        for layer_weight, layer_bias in layers:
            features = jax.nn.relu(layer_weight @ features + layer_bias[:, None])
        size, *mixture = weight @ features + bias[:, None]
        mixed = jnp.sum((jnp.stack(mixture) + self.mixture[:, None]) * directions, axis=0)
        return -self.output_scale * jnp.exp(size) * mixed, MLPState(momentum, square, step)


def _average(
    new: Float[Array, " coordinates"],
    former: Float[Array, "averages coordinates"],
    decays: tuple[float, ...],
    step: Float[Array, "1 coordinates"],
) -> tuple[Float[Array, "averages coordinates"], Float[Array, "averages coordinates"]]:
    """The running averages with `new` in them, and the same corrected for their start at 0."""
    decay = jnp.asarray(decays, new.dtype)[:, None]
    average = decay * former + (1 - decay) * new
    return average, average / (1 - decay**step)
