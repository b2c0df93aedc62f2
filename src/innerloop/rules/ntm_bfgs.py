"""NTM-BFGS: an LSTM with a memory between coordinates (Andrychowicz et al. 2016, Appendix B)."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from ..errors import InnerloopError
from ..registry import register
from ._base import FlatRule
from .lstm import CellState, LSTMLayer, check_settings, new_layers
from .lstm_gac import average_across

_INPUTS = 5
_BFGS = (1.0, 1.0, 1.0, 1.0, 0.0)
_GAINS = len(_BFGS)
_LARGEST = 4096  # Coordinates; the memory grows with their square.
_TINY = 1e-30
_ROUNDING = 1e-5
_ASTRAY = 30.0
_FLATTEST = 1e-4


class NTMBFGSState(eqx.Module):
    """Each layer's (h, c), the last gradient and step, the largest gradient's norm so far,
    and what was written to the memory."""

    cells: tuple[CellState, ...]
    gradient: Float[Array, "1 coordinates"]
    step: Float[Array, "1 coordinates"]
    largest: Float[Array, "1 coordinates"]
    lowest: Float[Array, "1 coordinates"]
    memory: Float[Array, "n coordinates"]


@register("ntm-bfgs")
@final
class NTMBFGSRule(FlatRule):
    """An LSTM+GAC controller that reads and writes a matrix shared by all coordinates.

    The memory M has a cell for every pair of coordinates, as BFGS's estimate of the inverse Hessian
    has. It is read by products and written by outer products. With the gradient g, its change y
    since the last step s, and the reads p = M g and z = M y, each step is

        M ← M + a₁ ss′ + a₂ (y·z) ss′ − a₃ (sz′ + zs′) + a₄ zz′,  all over y·s,
        step = −a₀ M g + output_scale · output,

    where the output is the controller's for each coordinate. The gains a come from the averages of
    its averaging cells: they are one problem's and not one coordinate's. With a = (1, 1, 1, 1, 0)
    and no output the rule is BFGS without a line search; there it begins. Where y·s is not positive
    nothing is written. The paper leaves open how heads are addressed; to write the vectors of BFGS
    is our choice.

    M starts as exp(log_first) · I, which is learned. The gradient is fed raw.

    Args:
        key: Draws the initial weights.
        hidden: Units of each layer, 1 or more.
        depth: Layers, 1 or more.
        averaged: Global averaging cells of each layer, from 1 to `hidden`.
        output_scale: What the controller's output is multiplied by, positive.

    Raises:
        InnerloopError: A setting is out of its range; in `init`, the problem has more than 4,096
            coordinates, since M takes n² numbers for n of them.

    Example:
        >>> import innerloop
        >>> import jax
        >>> import jax.numpy as jnp
        >>> rule = innerloop.NTMBFGSRule(key=jax.random.key(0), hidden=2, depth=1, averaged=1)
        >>> rule.init(jnp.zeros(3)).memory.shape
        (3, 3)

    References:
        Andrychowicz et al., "Learning to learn by gradient descent by gradient descent" (2016,
        arXiv:1606.04474), Appendix B.
    """

    layers: tuple[LSTMLayer, ...]
    output_weight: Float[Array, "1 hidden"]
    output_bias: Float[Array, " 1"]
    gain_weight: Float[Array, "gains averaged"]
    gain_bias: Float[Array, " gains"]
    log_first: Float[Array, ""]
    hidden: int = eqx.field(static=True)
    depth: int = eqx.field(static=True)
    averaged: int = eqx.field(static=True)
    output_scale: float = eqx.field(static=True)

    def __init__(
        self,
        *,
        key: PRNGKeyArray,
        hidden: int = 20,
        depth: int = 2,
        averaged: int = 5,
        output_scale: float = 0.1,
    ):
        check_settings(hidden, depth, None, output_scale)
        if not 1 <= averaged <= hidden:
            raise InnerloopError(f"averaged is {averaged}; it must be from 1 to hidden, {hidden}.")
        self.layers = new_layers(_INPUTS, hidden, depth, key=key)
        # At first the controller says nothing, and the rule is BFGS.
        self.output_weight, self.output_bias = jnp.zeros((1, hidden)), jnp.zeros(1)
        self.gain_weight = jnp.zeros((_GAINS, averaged))
        self.gain_bias = jnp.zeros(_GAINS)
        self.log_first = jnp.log(jnp.asarray(0.01))
        self.hidden, self.depth, self.averaged = hidden, depth, averaged
        self.output_scale = output_scale

    @property
    def dtype(self) -> DTypeLike:
        return self.output_weight.dtype

    def init_coordinates(self, coordinates: int) -> NTMBFGSState:
        if coordinates > _LARGEST:
            raise InnerloopError(
                f"NTM-BFGS keeps a number for every pair of coordinates, and is for {_LARGEST} "
                f"of them at most; this problem has {coordinates}."
            )
        zeros = jnp.zeros((self.hidden, coordinates), self.dtype)
        none = jnp.zeros((1, coordinates), self.dtype)
        memory = jnp.zeros((coordinates, coordinates), self.dtype)
        return NTMBFGSState(
            tuple((zeros, zeros) for _ in self.layers), none, none, none, none, memory
        )

    def update_problems(
        self, gradient: Float[Array, " coordinates"], state: NTMBFGSState, problems: int
    ) -> tuple[Float[Array, " coordinates"], NTMBFGSState]:
        if gradient.size == 0:
            return gradient, state

        def apart(row: Array) -> Float[Array, "problems n"]:
            return row.reshape(problems, -1)

        first = jnp.exp(self.log_first)
        g, s = apart(gradient), apart(state.step)
        # Before the first step there is none, and nothing is written.
        y = g - apart(state.gradient)
        memory = state.memory.reshape(-1, problems, g.shape[1]).transpose(1, 0, 2)

        before = apart(state.largest)[:, 0]
        largest = jnp.maximum(before, _norm(g))
        # What has been learned of the curvature is forgotten once it has led astray.
        lowest = jnp.where(before > 0, apart(state.lowest)[:, 0], _norm(g))
        astray = _norm(g) > _ASTRAY * lowest
        lowest = jnp.where(astray, _norm(g), jnp.minimum(lowest, _norm(g)))
        memory = jnp.where(astray[:, None, None], 0.0, memory)
        trust = _norm(g) / largest

        def read(memory: Array, query: Array) -> Float[Array, "problems n"]:
            return first * query + jnp.einsum("bij,bj->bi", memory, query)

        z = read(memory, y)
        inputs = jnp.stack([g, y, s / first, read(memory, g) / first, z / first])
        features = inputs.reshape(_INPUTS, -1)
        cells = []
        for layer, cell in zip(self.layers, state.cells, strict=True):
            features, (_, c) = layer(features, cell)
            features = average_across(features, self.averaged, problems)
            cells.append((features, c))
        summary = features[: self.averaged].reshape(self.averaged, problems, -1)[:, :, 0]
        learned = self.gain_weight @ summary + self.gain_bias[:, None]
        gains = jnp.asarray(_BFGS, learned.dtype)[:, None] + learned
        a_read, a_s, a_curved, a_cross, a_z = gains[:, :, None, None]

        curvature = jnp.sum(y * s, axis=1)
        # At the minimum rounding decides y, and a division by y·s would write noise.
        usable = (_norm(y) > _ROUNDING * largest) & (curvature > _FLATTEST * _norm(y) * _norm(s))
        inverse = jnp.where(usable, 1 / jnp.where(usable, curvature, 1.0), 0.0)[:, None, None]
        bend = jnp.sum(y * z, axis=1)[:, None, None] * inverse
        ss, sz, zz = _outer(s, s), _outer(s, z), _outer(z, z)
        written = (a_s + a_curved * bend) * ss - a_cross * (sz + sz.mT) + a_z * zz
        memory = memory + inverse * written

        output = (self.output_weight @ features)[0] + self.output_bias
        spoken = (trust[:, None] * apart(output)).reshape(-1)
        step = self.output_scale * spoken - (a_read[:, :, 0] * read(memory, g)).reshape(-1)
        packed = memory.transpose(1, 0, 2).reshape(memory.shape[1], -1)

        def spread(number: Float[Array, " problems"]) -> Float[Array, "1 coordinates"]:
            return jnp.broadcast_to(number[:, None], g.shape).reshape(1, -1)

        return step, NTMBFGSState(
            tuple(cells), gradient[None], step[None], spread(largest), spread(lowest), packed
        )


def _norm(a: Float[Array, "problems n"]) -> Float[Array, " problems"]:
    return jnp.sqrt(jnp.sum(a**2, axis=1) + _TINY)


def _outer(a: Float[Array, "problems n"], b: Float[Array, "problems n"]) -> Array:
    return a[:, :, None] * b[:, None, :]
