"""A rule that steers a few momenta, array by array: small enough to learn by evolution."""

import math
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray, PyTree

from ..errors import InnerloopError
from ..registry import register
from ._base import Rule
from ._flat import check_grads, check_params, is_spread

MOMENTA = (0.5, 0.9, 0.97, 0.99)
"""The decays of the averages of the gradient that a step is mixed from."""
SQUARES = (0.9, 0.99)
"""The decays of the averages of its square: the second scales the step."""
INPUTS = 17
OUTPUTS = 2 + len(MOMENTA)
_FIRST_RATE = 0.01
_FIRST_OUTPUTS = (0.0, 2.0, 0.0, 1.0, 0.0, 0.0)
"""A fresh rule's: log(rate / first rate), the power, and the weights of the momenta."""
_CLIMBING_STEPS = 25
"""Steps at the start of a network's training in which an array may climb."""
_NETWORK_SHARE = 0.995
"""The least share of a network's coordinates that are in matrices and kernels."""
_TINY = 1e-20


class TensorwiseState(eqx.Module):
    """Averages of each array's gradient and of its square, and the steps taken.

    The arrays are in the order of the parameters' leaves.
    """

    momenta: tuple[Float[Array, "momenta ..."], ...]
    squares: tuple[Float[Array, "squares ..."], ...]
    step: Float[Array, ""]


@register("per-tensor")
@final
class PerTensorRule(Rule):
    """A small network that sets, at each step and for each array of parameters, how to step.

    It sees the time, the array's shape, and statistics of its gradients that have no unit: how far
    the averages over 2, 10, 33 and 100 steps agree with the root mean square, here and over all
    arrays; whether gradients grow; how unevenly they are spread. It gives a rate, the weights of
    four momenta, and a power p:

        step = −rate · Σ_k w_k m_k / (v^p/2 · mean(v)^(1−p)/2).

    With p = 1 that is Adam's step, and with p = 0 that of SGD with momentum, normalised array by
    array. A coordinate costs a dozen operations instead of a network, and the weights are few
    enough to be trained by evolution strategies over long runs. The rule begins close to Adam with
    rate 0.01 (p = 0.88, and the average over 10 steps alone). Updates keep each leaf's dtype; the
    rule computes in the dtype of its own weights.

    A sum of the w_k below 0 leads uphill. An array of which this is so steps as a fresh rule does,
    except in the first 25 steps of a network, whose other arrays descend meanwhile: vectors alone
    would climb without end.

    Args:
        key: Draws the initial weights.
        hidden: Units of the network, 1 or more.

    Raises:
        InnerloopError: `hidden` is not positive.

    Example:
        >>> import innerloop
        >>> import jax
        >>> import jax.numpy as jnp
        >>> rule = innerloop.PerTensorRule(key=jax.random.key(0), hidden=4)
        >>> updates, state = rule.update({"w": jnp.ones(3)}, rule.init({"w": jnp.zeros(3)}))
        >>> updates["w"].shape
        (3,)

    References:
        Wichrowska et al., "Learned optimizers that scale and generalize" (2017, arXiv:1703.04813),
        for a network for each array; Metz et al., "Understanding and correcting pathologies in the
        training of learned optimizers" (2019, arXiv:1810.10180), for mixed momenta.
    """

    hidden_weight: Float[Array, "hidden inputs"]
    hidden_bias: Float[Array, " hidden"]
    output_weight: Float[Array, "outputs hidden"]
    output_bias: Float[Array, " outputs"]
    hidden: int = eqx.field(static=True)

    def __init__(self, *, key: PRNGKeyArray, hidden: int = 8):
        if hidden < 1:
            raise InnerloopError(f"hidden is {hidden}; it must be at least 1.")
        self.hidden = hidden
        self.hidden_weight = jax.random.normal(key, (hidden, INPUTS)) / jnp.sqrt(INPUTS)
        self.hidden_bias = jnp.zeros(hidden)
        self.output_weight = jnp.zeros((OUTPUTS, hidden))
        self.output_bias = jnp.asarray(_FIRST_OUTPUTS)

    def init(self, params: PyTree) -> TensorwiseState:
        check_params(params)
        leaves, dtype = jax.tree.leaves(params), self.hidden_weight.dtype

        def zeros(count: int) -> tuple[Array, ...]:
            return tuple(_zeros(count, leaf, dtype) for leaf in leaves)

        return TensorwiseState(zeros(len(MOMENTA)), zeros(len(SQUARES)), jnp.zeros((), dtype))

    def update(
        self,
        grads: PyTree,
        state: TensorwiseState,
        params: PyTree | None = None,
        *,
        value: Float[Array, ""] | None = None,
        **extra: Any,
    ) -> tuple[PyTree, TensorwiseState]:
        step = state.step + 1
        leaves, structure = jax.tree.flatten(grads)
        kept = [jnp.size(each) // len(MOMENTA) for each in state.momenta]
        if kept != [jnp.size(leaf) for leaf in leaves]:
            check_grads(grads, sum(kept))
        momenta = tuple(
            _averaged(old, leaf, MOMENTA) for old, leaf in zip(state.momenta, leaves, strict=True)
        )
        squares = tuple(
            _averaged(old, leaf.astype(old.dtype) ** 2, SQUARES)
            for old, leaf in zip(state.squares, leaves, strict=True)
        )
        new_state = TensorwiseState(momenta, squares, step)
        if not leaves:
            return grads, new_state
        # Averages begin at 0, as Adam's do, and are corrected alike.
        m_scale = 1 / (1 - jnp.asarray(MOMENTA, step.dtype) ** step)
        v_scale = 1 / (1 - jnp.asarray(SQUARES, step.dtype) ** step)
        seen = jnp.stack(
            [_statistics(m, v, m_scale, v_scale) for m, v in zip(momenta, squares, strict=True)]
        )
        shapes = jnp.stack([_shape(leaf, step.dtype) for leaf in leaves])
        everywhere = jnp.broadcast_to(jnp.mean(seen[:, :4], axis=0), (len(leaves), 4))
        time = jnp.broadcast_to(_time(step), (len(leaves), 4))
        inputs = jnp.concatenate([time, shapes, seen, everywhere], axis=1)
        features = jnp.tanh(inputs @ self.hidden_weight.T + self.hidden_bias[None])
        outputs = features @ self.output_weight.T + self.output_bias[None]
        outputs = _descending(outputs, leaves, step)
        updates = [
            _step(m, v, m_scale, v_scale, output).astype(leaf.dtype)
            for m, v, output, leaf in zip(momenta, squares, outputs, leaves, strict=True)
        ]
        return jax.tree.unflatten(structure, updates), new_state


def _zeros(count: int, leaf: Array, dtype: DTypeLike) -> Array:
    """[count, …], laid out over devices as the leaf is."""
    return jnp.stack([jnp.zeros_like(leaf, dtype)] * count)


def _descending(
    outputs: Float[Array, "arrays outputs"], leaves: list[Array], step: Array
) -> Float[Array, "arrays outputs"]:
    """`outputs`, with a fresh rule's in the rows of arrays that would climb.

    Negative weights of the momenta lead uphill. A rule that is trained on networks may let an
    array climb for a few steps, while the others descend; vectors alone would never stop.
    """
    climbs = jnp.sum(outputs[:, 2:], axis=1) < 0
    if _is_network(leaves):
        climbs = climbs & (step > _CLIMBING_STEPS)
    return jnp.where(climbs[:, None], jnp.asarray(_FIRST_OUTPUTS, outputs.dtype), outputs)


def _is_network(leaves: list[Array]) -> bool:
    """Whether there are biases, and nearly all coordinates are in arrays with several inputs."""
    matrices = [leaf.size for leaf in leaves if leaf.ndim > 1 and leaf.size > leaf.shape[-1]]
    size = sum(leaf.size for leaf in leaves)
    return _NETWORK_SHARE * size <= sum(matrices) < size


def _averaged(old: Array, new: Array, decays: tuple[float, ...]) -> Array:
    decay = jnp.asarray(decays, old.dtype).reshape(-1, *[1] * new.ndim)
    return decay * old + (1 - decay) * new.astype(old.dtype)[None]


def _rms(array: Array) -> Array:
    """Of each row, [rows, …] to [rows]."""
    return jnp.sqrt(_mean(array**2) + _TINY)


def _mean(array: Array) -> Array:
    """Of each row, [rows, …] to [rows]; 0 where a row is empty."""
    size = math.prod(array.shape[1:])
    # A sum over one axis is faster, but JAX 0.8 does not reshape what is spread over two.
    if is_spread(array):
        return jnp.sum(array, axis=tuple(range(1, array.ndim))) / max(1, size)
    return jnp.sum(array.reshape(array.shape[0], size), axis=1) / max(1, size)


def _statistics(m: Array, v: Array, m_scale: Array, v_scale: Array) -> Float[Array, " 6"]:
    mean_square = _mean(v) * v_scale + _TINY
    agreement = jnp.log(_rms(m) * m_scale / jnp.sqrt(mean_square[1]) + 1e-3)
    growth = 0.5 * jnp.log(mean_square[0] / mean_square[1])
    size = _mean(jnp.sqrt(v[1:] * v_scale[1]))[0]
    evenness = jnp.log(size / jnp.sqrt(mean_square[1]) + 1e-3)
    return jnp.concatenate([agreement, growth[None], evenness[None]])


def _shape(leaf: Array, dtype: DTypeLike) -> Float[Array, " 3"]:
    """Whether it is more than a vector, and the logarithms of its inputs and outputs."""
    outputs = leaf.shape[-1] if leaf.ndim else 1
    inputs = leaf.size / max(1, outputs)
    row = np.asarray([leaf.ndim > 1, np.log(max(1, inputs)) / 4, np.log(max(1, outputs)) / 4])
    return jnp.asarray(row, dtype)


def _time(step: Array) -> Float[Array, " 4"]:
    saturating = [step / (step + scale) for scale in (10.0, 100.0, 1000.0)]
    return jnp.stack([jnp.log1p(step / 10) / 2, *saturating])


def _step(m: Array, v: Array, m_scale: Array, v_scale: Array, output: Array) -> Array:
    rate, power, weights = _FIRST_RATE * jnp.exp(output[0]), output[1], output[2:]
    square = v[1] * v_scale[1] + _TINY
    half = 0.5 * jax.nn.sigmoid(power)
    mean = _mean(square[None])[0] + _TINY
    scale = jnp.exp(-half * jnp.log(square) - (0.5 - half) * jnp.log(mean))
    mixed = jnp.tensordot(weights * m_scale, m, axes=1)
    return -rate * scale * mixed
