"""The pretrained Celo as a rule (Moudgil et al. 2025, arXiv:2501.12670), to be compared with.

    innerloop benchmark benchmarks/peers/celo.py:Celo --suite zoo --data-dir FOLDER

FOLDER (or INNERLOOP_DATA) holds peers/celo.theta.state, the weights that the authors published
under the MIT licence. It is a msgpack map of arrays; nothing in it is run.

The rule is rebuilt from published facts: an MLP of two hidden layers of four units over 30 numbers
of each parameter gives a direction d and a logarithm of a magnitude m, and the step is
−0.001 · RMS(θ) · exp(0.001 m) · d · s. An LSTM for each array, whose inputs are the part of the run
that is done and the loss's history, gives s = 0.1 · exp(output). It has to be told how long a run
is: `with_horizon`.
"""

import os
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import msgpack
import numpy as np

from innerloop import InnerloopError, Rule
from innerloop.runtime.files import read_bytes

FILE = Path("peers") / "celo.theta.state"
MOMENTA = (0.9, 0.99, 0.999)
SQUARE = 0.999
TIMES = (0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1)
_SCALE = 0.001  # Of the step, and of the logarithm of its magnitude.
_HALF_LIVES = 10
_LARGEST = 1 << 22


def read_weights(path: Path) -> dict[str, Any]:
    """The nested map of float32 arrays of a msgpack file, as Flax writes it.

    An array is an extension of code 1 that packs (shape, dtype, bytes).

    Raises:
        InnerloopError: The file cannot be read, or is none such.
    """

    def array(code: int, data: bytes) -> np.ndarray:
        shape, dtype, raw = msgpack.unpackb(data)
        if code != 1 or dtype != "float32":
            raise ValueError(f"an extension of code {code} with {dtype}")
        return np.frombuffer(raw, np.float32).reshape(shape)

    try:
        return msgpack.unpackb(read_bytes(path, _LARGEST), ext_hook=array)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise InnerloopError(f"{path} is no msgpack file of arrays: {error}.") from error


class _State(eqx.Module):
    momenta: list[Any]
    """[…, 3] for each array."""
    squares: list[Any]
    """[…, 1]."""
    rows: list[Any]
    columns: list[Any]
    """Means of g² without the largest axis, and without the second largest; [..., 3]. Of vectors
    both are the average of g² itself."""
    hidden: Any
    cell: Any
    """Of the LSTM; [arrays, 64]."""
    means: Any
    lowest: Any
    """Averages of the loss and the lowest of each; [10]."""
    step: Any


class Celo(Rule):
    """The pretrained Celo.

    Args:
        horizon: How many steps a run has.
        data_dir: The folder that holds peers/celo.theta.state; None for INNERLOOP_DATA.

    Raises:
        InnerloopError: The weights are not there, or are damaged.
    """

    weights: dict[str, Any]
    horizon: int = eqx.field(static=True)

    def __init__(self, *, horizon: int = 2000, data_dir: str | None = None):
        folder = data_dir or os.environ.get("INNERLOOP_DATA", ".")
        weights = read_weights(Path(folder) / FILE)
        self.weights = jax.tree.map(jnp.asarray, weights)
        self.horizon = horizon

    def with_horizon(self, steps: int) -> "Celo":
        """The same rule for runs of so many steps."""
        told = object.__new__(type(self))  # The weights are read once.
        object.__setattr__(told, "weights", self.weights)
        object.__setattr__(told, "horizon", steps)
        return told

    def init(self, params: Any) -> _State:
        leaves = jax.tree.leaves(params)
        zeros = [jnp.zeros((*jnp.shape(leaf), 3), jnp.float32) for leaf in leaves]
        edges = [
            jnp.tile(_edges(jnp.zeros(_at_least_1(leaf)), axis), 3)
            for axis in (0, 1)
            for leaf in leaves
        ]
        start = self.weights["lstm_init_state"]
        return _State(
            momenta=zeros,
            squares=[jnp.zeros((*jnp.shape(leaf), 1), jnp.float32) for leaf in leaves],
            rows=edges[: len(leaves)],
            columns=edges[len(leaves) :],
            hidden=jnp.tile(start["hidden"], (len(leaves), 1)),
            cell=jnp.tile(start["cell"], (len(leaves), 1)),
            means=jnp.zeros(_HALF_LIVES),
            lowest=jnp.full(_HALF_LIVES, 999999999999.0),
            step=jnp.zeros((), jnp.int32),
        )

    def update(
        self, grads: Any, state: _State, params: Any = None, *, value: Any = None, **extra: Any
    ) -> tuple[Any, _State]:
        """One step. Needs `params` and the loss, `value`."""
        if params is None or value is None:
            raise InnerloopError("Celo needs the parameters and the loss: params and value.")
        leaves, structure = jax.tree.flatten(grads)
        means, lowest, of_loss = self._losses(state, value)
        done = state.step / self.horizon
        of_time = jnp.tanh((done - jnp.asarray(TIMES)) * 10)
        seen = jnp.tile(jnp.concatenate([of_time, of_loss]), (len(leaves), 1))
        factors, hidden, cell = self._scheduler(seen, state.hidden, state.cell)
        parts = []
        olds = zip(state.momenta, state.squares, state.rows, state.columns, strict=True)
        rows = zip(leaves, jax.tree.leaves(params), olds, factors, strict=True)
        for grad, param, old, factor in rows:
            parts.append(self._leaf(jnp.clip(grad, -1000.0, 1000.0), param, old, factor))
        updates = [part[0].astype(leaf.dtype) for part, leaf in zip(parts, leaves, strict=True)]
        momenta, squares, rows, columns = ([part[n] for part in parts] for n in (1, 2, 3, 4))
        step = state.step + 1
        new = _State(momenta, squares, rows, columns, hidden, cell, means, lowest, step)
        return jax.tree.unflatten(structure, updates), new

    def _losses(self, state: _State, loss: Any) -> tuple[Any, Any, Any]:
        """(averages, lowest averages, nine features): where the loss is in its recent range."""
        half_lives = jnp.logspace(1, jnp.log10(float(self.horizon)), _HALF_LIVES)
        decays = jnp.exp(-1.0 / half_lives)
        step = state.step
        # At step 0 the divisor is 1 − decay, as the published code has it; the means are 0.
        highest = jnp.max(state.means / (1 - decays ** (step + 1)))
        highest = jnp.where(step == 0, loss, highest)
        loss = jnp.minimum(jnp.abs(highest) * 2, loss)
        means = state.means * decays + loss * (1 - decays)
        corrected = means / (1 - decays ** (step + 1))
        lowest = jnp.minimum(state.lowest, corrected)
        room = jnp.maximum(1e-8, corrected[1:] - lowest[:-1])
        features = jnp.clip((corrected[:-1] - lowest[:-1]) / room - 1, -1, 1)
        return means, lowest, jnp.where(step + 1 <= 2, 0.0, features)

    def _scheduler(self, seen: Any, hidden: Any, cell: Any) -> tuple[Any, Any, Any]:
        """The factor of each array's step, and the LSTM's state; arrays hear of each other."""
        weights = self.weights["rnn_params"]

        def linear(name: str, inputs: Any) -> Any:
            return inputs @ weights[name]["w"] + weights[name]["b"]

        mixed = jnp.max(jax.nn.relu(linear("linear_1", seen)), axis=0, keepdims=True)
        inputs = jnp.concatenate([linear("linear_2", seen) + mixed, hidden], axis=-1)
        into, new, forget, out = jnp.split(linear("rnn/linear", inputs), 4, axis=-1)
        cell = jax.nn.sigmoid(forget + 1) * cell + jax.nn.sigmoid(into) * jnp.tanh(new)
        hidden = jax.nn.sigmoid(out) * jnp.tanh(cell)
        return 0.1 * jnp.exp(linear("step_size", hidden)[:, 0]), hidden, cell

    def _leaf(self, grad: Any, param: Any, old: Any, factor: Any) -> tuple[Any, ...]:
        """(update, the four averages) of one array."""
        shape = jnp.shape(grad)
        g = jnp.reshape(grad, _at_least_1(grad)).astype(jnp.float32)
        p = jnp.reshape(param, g.shape).astype(jnp.float32)
        decays = jnp.asarray(MOMENTA)
        m = decays * old[0].reshape(*g.shape, 3) + (1 - decays) * g[..., None]
        v = SQUARE * old[1].reshape(*g.shape, 1) + (1 - SQUARE) * g[..., None] ** 2
        rows = decays * old[2] + (1 - decays) * _edges(g**2 + 1e-30, 0)
        columns = decays * old[3] + (1 - decays) * _edges(g**2 + 1e-30, 1)
        units = self._network(_features(g, p, m, v, rows, columns))
        size = jnp.sqrt(jnp.mean(p**2) + 1e-9)
        step = _SCALE * size * jnp.exp(_SCALE * units[..., 1]) * units[..., 0] * factor
        averages = (m.reshape(*shape, 3), v.reshape(*shape, 1), rows, columns)
        return -step.reshape(shape), *averages

    def _network(self, features: list[Any]) -> Any:
        weights = {name: each[0] for name, each in self.weights["ff_mod_stack"]["~"].items()}
        axes = tuple(range(features[0].ndim - 1))
        sums = weights["b0"]
        for place, each in enumerate(features):
            mean = jnp.mean(each**2, axis=axes, keepdims=True)
            sums = sums + (each * jax.lax.rsqrt(1e-5 + mean)) @ weights[f"w0__{place}"]
        units = jax.nn.relu(jax.nn.relu(sums) @ weights["w1"] + weights["b1"])
        return units @ weights["w2"] + weights["b2"]


def _features(g: Any, p: Any, m: Any, v: Any, rows: Any, columns: Any) -> list[Any]:
    """The fourteen groups of numbers of each parameter, [..., 1 or 3], in the weights' order."""
    root = jax.lax.rsqrt(v + 1e-6)
    wide = g[..., None]
    factor, of_momenta, edges = _preconditioner(g, rows, columns)
    return [
        wide,
        jnp.clip(wide, -0.1, 0.1),
        p[..., None],
        m,
        v,
        m * root,
        root,
        wide * factor,
        wide * root,
        *edges,
        *(jax.lax.rsqrt(each + 1e-8) for each in edges),
        m * of_momenta,
    ]


def _preconditioner(g: Any, rows: Any, columns: Any) -> tuple[Any, Any, tuple[Any, Any]]:
    """(1/√ of the factored mean square, the same for momenta, (rows, columns)); [..., 3]."""
    if g.ndim < 2:
        return _safe(rows + 1e-9), rows**-0.5, (rows, rows)
    second, first = _largest(g.shape)
    spread = (jnp.expand_dims(rows, first), jnp.expand_dims(columns, second))
    mean = jnp.mean(spread[0], axis=second, keepdims=True)
    factor = _safe(spread[0] / (mean + 1e-9)) * _safe(spread[1])
    whole = (*g.shape, 3)
    edges = (jnp.broadcast_to(spread[0], whole), jnp.broadcast_to(spread[1], whole))
    return factor, factor, edges


def _safe(x: Any) -> Any:
    return jax.lax.rsqrt(jnp.maximum(x, 1e-9))


def _edges(squares: Any, which: int) -> Any:
    """Means over the largest axis (`which` 0) or the second largest; a vector itself. [..., 1]."""
    if squares.ndim < 2:
        return squares[..., None]
    second, first = _largest(squares.shape)
    return jnp.mean(squares, axis=first if which == 0 else second)[..., None]


def _largest(shape: tuple[int, ...]) -> tuple[int, int]:
    """The axis of the second largest size, and that of the largest."""
    order = np.argsort(shape)
    return int(order[-2]), int(order[-1])


def _at_least_1(array: Any) -> tuple[int, ...]:
    return jnp.shape(array) or (1,)
