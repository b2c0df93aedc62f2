"""A tiny network that chooses the direction of a step from momenta, and a step relative to θ."""

import math
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..errors import InnerloopError
from ..kernels.line_chunks import map_over_lines, sum_over_lines
from ..registry import register
from ..runtime.settings import Count, Positive, check_value
from ._base import Rule
from ._flat import check_params, gathered, laid_out_like

MOMENTA = (0.9, 0.99, 0.999)
"""The decays of the averages of the gradient, and of those of its square over rows and columns."""
SQUARE = 0.95
"""The decay of the average of the gradient's square."""
WHOLE, OUTER, EDGES = 12, 6, 12
"""Features of a parameter: of any array, of a matrix's factored averages, of its row and column."""
_FIRST_STEP = 0.01  # Relative to the parameters' RMS.
_FLOOR = 0.1  # The least RMS that counts, as a part of the first RMS of all parameters.
_NO_UNIT = 0.1  # That first RMS, where all parameters begin at 0.
_RARE = 1e-4  # The least mean square that counts, as a part of the array's own.
_CLIP = 10.0  # The largest feature, in RMS of its array.
_TINY = 1e-30
LARGEST = 1e15  # A gradient, so that its square is finite.
_ADAM = 9  # The place of m·v^(−1/2), with the first decay, among the features.
_POLYNOMIAL = (3.4445, -4.7750, 2.0315)  # Muon's, of Jordan et al. (2024).


class GeneralState(eqx.Module):
    """Averages of each array's gradient, in the order of the parameters' leaves; float32.

    `rows` and `columns` are those of the matrix that an array is seen as, and are None for
    vectors and scalars. A state has 16 bytes for each parameter, and 12 bytes for each row and
    column of a matrix: at most 28 bytes a parameter.
    """

    momenta: tuple[Float[Array, "momenta ..."], ...]
    square: tuple[Float[Array, "..."], ...]
    rows: tuple[Float[Array, "momenta _"] | None, ...]
    columns: tuple[Float[Array, "momenta _"] | None, ...]
    unit: Float[Array, ""]
    """The first RMS of all parameters together."""


class _Averages(NamedTuple):
    """The averages of one array, seen as the matrix [rows, columns] (one row, for a vector)."""

    momenta: Float[Array, "momenta rows columns"]
    square: Float[Array, "rows columns"]
    rows: Float[Array, "momenta _"] | None
    columns: Float[Array, "momenta _"] | None


@register("general")
@final
class GeneralRule(Rule):
    """θ ← θ − learning_rate · c · RMS(θ) · d / RMS(d), where a network chooses d.

    A network of two hidden layers, the same for all parameters, sees some thirty numbers of each
    parameter and gives its d. The numbers are built as in Moudgil et al., "Celo2" (2026,
    arXiv:2602.19142), and Metz et al. (2022, arXiv:2203.11860): the gradient g, averages m of it
    with three decays, an average v of its square, the parameter, m·v^(−1/2), and for matrices g
    and m over Adafactor's factored averages of g² (Shazeer & Stern 2018, arXiv:1804.04235), and
    these averages of the parameter's row and column. Each is divided by its own RMS over the
    array, and clipped at ±10. No number has a unit: multiplying the loss or all parameters by a
    constant changes nothing.

    d is normalised to an RMS of 1, array by array. The size of a step is relative to the RMS of
    the array, or to a tenth of the first RMS of all parameters where that is larger, as it is for
    biases that begin at 0. The factor c is learned, one for matrices and one for the rest. An
    array of three axes or more is seen as a matrix: the first axis against the others or the last
    against the others, whichever is the nearer to a square. Arrays with a single row or column are
    vectors, which have no features of rows and columns.

    The rule begins close to Adam with a step of 1 % of each array's RMS. It uses neither the loss
    nor the number of steps. It computes in float32; updates have each leaf's dtype.

    Args:
        key: Draws the first weights.
        hidden: Units of each of the two hidden layers.
        orthogonalise: Mix d of a matrix with its nearest orthogonal matrix, by five Newton–Schulz
            steps as in Muon (Jordan et al. 2024). The network chooses how much of it.
        learning_rate: A factor of all steps, without a unit; 1 is what the rule was trained with.

    Raises:
        SettingsError: A setting has another type, or is out of its range.

    Example:
        >>> import jax, jax.numpy as jnp, optax
        >>> from innerloop.rules.general import GeneralRule
        >>> optimizer = GeneralRule(key=jax.random.key(0)).as_optax()
        >>> params = {"w": jnp.ones((3, 2)), "b": jnp.zeros(2)}
        >>> updates, state = optimizer.update(params, optimizer.init(params), params)
        >>> bool(jnp.all(updates["w"] < 0))
        True
    """

    first_weight: Float[Array, "hidden features"]
    first_bias: Float[Array, "2 hidden"]
    """For matrices, and for the rest."""
    second_weight: Float[Array, "hidden hidden"]
    second_bias: Float[Array, " hidden"]
    output_weight: Float[Array, "outputs hidden"]
    output_bias: Float[Array, " outputs"]
    skip_weight: Float[Array, " whole"]
    """From the features of any array straight to d."""
    log_step: Float[Array, " 2"]
    """log c for matrices, and for the rest."""
    hidden: int = eqx.field(static=True)
    orthogonalise: bool = eqx.field(static=True)
    learning_rate: float = eqx.field(static=True)

    def __init__(
        self,
        *,
        key: PRNGKeyArray,
        hidden: Count = 8,
        orthogonalise: bool = False,
        learning_rate: Positive = 1.0,
    ):
        check_value("hidden", hidden, Count)
        check_value("orthogonalise", orthogonalise, bool)
        check_value("learning_rate", learning_rate, Positive)
        first_key, second_key = jax.random.split(key)
        self.first_weight = _truncated(first_key, (hidden, WHOLE + OUTER + EDGES))
        self.first_bias = jnp.zeros((2, hidden))
        self.second_weight = _truncated(second_key, (hidden, hidden))
        self.second_bias = jnp.zeros(hidden)
        self.output_weight = jnp.zeros((1 + orthogonalise, hidden))
        self.output_bias = jnp.zeros(1 + orthogonalise)
        self.skip_weight = jnp.zeros(WHOLE).at[_ADAM].set(1.0)
        self.log_step = jnp.full(2, math.log(_FIRST_STEP))
        self.hidden, self.orthogonalise = hidden, orthogonalise
        self.learning_rate = learning_rate

    def init(self, params: PyTree) -> GeneralState:
        check_params(params)
        leaves = jax.tree.leaves(params)
        shapes = [jnp.shape(leaf) for leaf in leaves]
        sides = [_sides(shape) if _is_matrix(shape) else None for shape in shapes]
        count = len(MOMENTA)
        return GeneralState(
            momenta=tuple(jnp.zeros((count, *shape), jnp.float32) for shape in shapes),
            square=tuple(jnp.zeros(shape, jnp.float32) for shape in shapes),
            rows=tuple(each and jnp.zeros((count, each[0]), jnp.float32) for each in sides),
            columns=tuple(each and jnp.zeros((count, each[1]), jnp.float32) for each in sides),
            unit=_unit(leaves),
        )

    def update(
        self,
        grads: PyTree,
        state: GeneralState,
        params: PyTree | None = None,
        *,
        value: Float[Array, ""] | None = None,
        **extra: Any,
    ) -> tuple[PyTree, GeneralState]:
        if params is None:
            raise InnerloopError(
                "params is None; this rule needs the parameters: update(grads, state, params)."
            )
        # One that is made in JAX's 64-bit mode has weights of 64 bits.
        rule: GeneralRule = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), self)
        leaves, structure = jax.tree.flatten(grads)
        olds = (state.momenta, state.square, state.rows, state.columns)
        updates, averages = [], []
        for leaf, param, *old in zip(leaves, jax.tree.leaves(params), *olds, strict=True):
            update, new = rule._leaf(gathered(leaf), gathered(param), old, state.unit)
            updates.append(laid_out_like(update, leaf))
            averages.append(new)
        momenta, square, rows, columns = zip(*averages, strict=True) if averages else ((),) * 4
        new_state = GeneralState(momenta, square, rows, columns, state.unit)
        return jax.tree.unflatten(structure, updates), new_state

    def _leaf(
        self, grad: Array, param: Array, old: list[Any], unit: Float[Array, ""]
    ) -> tuple[Array, tuple[Any, ...]]:
        """(update, averages) of one array, both in its own shape."""
        if grad.size == 0:
            return grad, tuple(old)
        matrix = _is_matrix(grad.shape)
        sides = _sides(grad.shape) if matrix else (1, grad.size)
        g = jnp.clip(grad.astype(jnp.float32).reshape(sides), -LARGEST, LARGEST)
        p = param.astype(jnp.float32).reshape(sides)
        count = len(MOMENTA)
        averages = _averaged(
            _Averages(old[0].reshape(count, *sides), old[1].reshape(sides), old[2], old[3]), g
        )
        d = self._direction(g, p, averages, matrix)
        kind = 0 if matrix else 1
        size = jnp.maximum(_rms(p), _FLOOR * unit)
        step = -self.learning_rate * jnp.exp(self.log_step[kind]) * size * d
        new = (averages.momenta.reshape(old[0].shape), averages.square.reshape(old[1].shape))
        return step.reshape(grad.shape).astype(grad.dtype), (*new, *averages[2:])

    def _direction(
        self, g: Array, p: Array, averages: _Averages, matrix: bool
    ) -> Float[Array, "rows columns"]:
        """d, with an RMS of 1."""
        mean = jnp.mean(averages.square) + _TINY
        lines, columns = self._seen(g, p, averages, matrix)
        squares = sum_over_lines(
            lambda part: jnp.sum(_features(part, columns, mean) ** 2, axis=(1, 2)), lines
        )
        scale = jax.lax.rsqrt(squares / g.size + _TINY)[:, None, None]  # Of each, 1 / its RMS.
        outputs = map_over_lines(
            lambda part: self._outputs(_features(part, columns, mean) * scale, part, columns), lines
        )
        d = _normalised(outputs[0])
        if matrix and self.orthogonalise:
            part = jax.nn.sigmoid(jnp.mean(outputs[1]))
            d = _normalised((1 - part) * d + part * _normalised(_orthogonal(d)))
        return d

    def _seen(
        self, g: Array, p: Array, averages: _Averages, matrix: bool
    ) -> tuple["_Lines", "_Columns"]:
        bias = self.first_bias[0 if matrix else 1][:, None, None]
        if not matrix:
            return _Lines(g, p, averages.momenta, averages.square, None, bias), _Columns(None, 0.0)
        rows, columns = _edge_features(averages)
        of_rows, of_columns = jnp.split(self.first_weight[:, WHOLE + OUTER :], 2, axis=1)
        row_factors, column_factors = _factors(averages)
        sums = (of_rows @ rows)[:, :, None] + bias
        lines = _Lines(g, p, averages.momenta, averages.square, row_factors[:, :, None], sums)
        return lines, _Columns(column_factors[:, None, :], (of_columns @ columns)[:, None, :])

    def _outputs(
        self, features: Array, lines: "_Lines", columns: "_Columns"
    ) -> Float[Array, "outputs lines columns"]:
        """The network's outputs for scaled features; the first has the skip path in it."""
        features = jnp.clip(features, -_CLIP, _CLIP)
        weight = self.first_weight[:, : len(features)]
        units = jax.nn.relu(_mixed(weight, features) + lines.sums + columns.sums)
        units = jax.nn.relu(_mixed(self.second_weight, units) + self.second_bias[:, None, None])
        outputs = _mixed(self.output_weight, units) + self.output_bias[:, None, None]
        skip = jnp.tensordot(self.skip_weight, features[:WHOLE], axes=1)
        return jnp.concatenate([outputs[:1] + skip[None], outputs[1:]])


class _Lines(NamedTuple):
    """Rows of an array that is seen as a matrix, and what is known of each row."""

    g: Float[Array, "rows columns"]
    p: Float[Array, "rows columns"]
    momenta: Float[Array, "momenta rows columns"]
    square: Float[Array, "rows columns"]
    factors: Float[Array, "momenta rows 1"] | None
    """1 / √ of the rows' mean squares over the matrix's."""
    sums: Float[Array, "hidden rows 1"]
    """What the first layer makes of a row, and its bias."""


class _Columns(NamedTuple):
    """The same of each column."""

    factors: Float[Array, "momenta 1 columns"] | None
    sums: Any


def _is_matrix(shape: tuple[int, ...]) -> bool:
    return math.prod(shape) > 0 and min(_sides(shape)) > 1


def _sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """The matrix that an array is seen as: its first axis or its last against the others."""
    if len(shape) < 2:
        return (1, math.prod(shape))
    size = math.prod(shape)
    first, last = (shape[0], size // max(1, shape[0])), (size // max(1, shape[-1]), shape[-1])
    return first if min(first) > min(last) else last


def _truncated(key: PRNGKeyArray, shape: tuple[int, int]) -> Array:
    return jax.random.truncated_normal(key, -2, 2, shape) / math.sqrt(shape[1])


def _unit(leaves: list[Any]) -> Float[Array, ""]:
    """The RMS of all parameters together."""
    size = sum(jnp.size(leaf) for leaf in leaves)
    total = sum(
        (jnp.sum(jnp.square(jnp.asarray(leaf, jnp.float32))) for leaf in leaves),
        jnp.zeros((), jnp.float32),
    )
    unit = jnp.sqrt(total / max(1, size))
    return jnp.where(unit > 0, unit, _NO_UNIT)


def _averaged(old: _Averages, g: Float[Array, "rows columns"]) -> _Averages:
    """The averages after the gradient `g`."""
    decays = jnp.asarray(MOMENTA, jnp.float32)

    def over(decay: Array, before: Array, now: Array) -> Array:
        return decay * before + (1 - decay) * now[None]

    square = g**2
    rows, columns = old.rows, old.columns
    if rows is not None and columns is not None:
        rows = over(decays[:, None], rows, jnp.mean(square, axis=1))
        columns = over(decays[:, None], columns, jnp.mean(square, axis=0))
    return _Averages(
        over(decays[:, None, None], old.momenta, g),
        SQUARE * old.square + (1 - SQUARE) * square,
        rows,
        columns,
    )


def _features(
    lines: _Lines, columns: _Columns, mean: Float[Array, ""]
) -> Float[Array, "features rows columns"]:
    """What is known of a parameter: g, θ, m and v, alone, as Adam and as Adafactor have them.

    The latter are over the square roots of their rows' and columns' means; a vector has none.
    """
    # From here on in units of the gradient's own root mean square.
    unit = jax.lax.rsqrt(mean)
    g, momenta, v = lines.g * unit, lines.momenta * unit, lines.square / mean
    root = jax.lax.rsqrt(v + _RARE)
    small = jnp.clip(g, -0.1, 0.1)
    features = [jnp.stack([g, small, lines.p, v, root, g * root]), momenta, momenta * root[None]]
    if lines.factors is not None and columns.factors is not None:
        factors = lines.factors * columns.factors
        features += [g[None] * factors, momenta * factors]
    return jnp.concatenate(features)


def _factors(averages: _Averages) -> tuple[Array, Array]:
    """Of each row and column, 1 / √ of its mean square relative to the matrix's."""

    def factor(means: Float[Array, "momenta _"] | None) -> Float[Array, "momenta _"]:
        return jax.lax.rsqrt(_relative(means) + _RARE)

    return factor(averages.rows), factor(averages.columns)


def _relative(means: Float[Array, "momenta _"] | None) -> Float[Array, "momenta _"]:
    """Mean squares of a matrix's rows or columns over the matrix's own."""
    assert means is not None
    return means / (jnp.mean(means, axis=1, keepdims=True) + _TINY)


def _edge_features(averages: _Averages) -> tuple[Array, Array]:
    """Of each row [features, rows] and of each column: its mean square, and 1 / √ of it."""

    def features(means: Array | None, factors: Array) -> Array:
        return _scaled(jnp.concatenate([_relative(means), factors]))

    rows, columns = _factors(averages)
    return features(averages.rows, rows), features(averages.columns, columns)


def _scaled(features: Float[Array, "features ..."]) -> Float[Array, "features ..."]:
    """Each feature over its own RMS in the array, clipped."""
    axes = tuple(range(1, features.ndim))
    mean = jnp.mean(features**2, axis=axes, keepdims=True)
    return jnp.clip(features * jax.lax.rsqrt(mean + _TINY), -_CLIP, _CLIP)


def _mixed(weight: Float[Array, "outputs inputs"], features: Array) -> Array:
    return jnp.tensordot(weight, features, axes=1)


def _rms(array: Array) -> Float[Array, ""]:
    return jnp.sqrt(jnp.mean(array**2) + _TINY)


def _normalised(array: Array) -> Array:
    return array * jax.lax.rsqrt(jnp.mean(array**2) + _TINY)


def _orthogonal(d: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
    """The nearest orthogonal matrix, about, by five Newton–Schulz steps."""
    a, b, c = _POLYNOMIAL
    wide = d.shape[0] <= d.shape[1]
    x = d if wide else d.T
    x = x * jax.lax.rsqrt(jnp.sum(x**2) + _TINY)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.T
