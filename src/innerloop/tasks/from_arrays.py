"""A task family made of data: every problem is a row of some arrays."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from ..errors import FileError, InnerloopError, SettingsError
from ._base import Params, Problem, Split, TaskFamily

PARTS: dict[Split, float] = {"train": 0.64, "validation": 0.16, "test": 0.2}
"""The share of the problems in each part."""


class ArraysFamily(TaskFamily):
    """Problems that are rows of arrays; see `from_arrays`."""

    data: PyTree[Array]
    rows: Int[Array, " problems"]
    parts: tuple[Int[Array, " _"], ...]
    make_loss: Callable[..., Any] = eqx.field(static=True)
    make_params: Callable[..., Any] = eqx.field(static=True)
    batch_size: int | None = eqx.field(static=True)

    def sample(self, *, key: PRNGKeyArray) -> Problem:
        row = jax.random.choice(key, self.rows)
        return jax.tree.map(lambda leaf: leaf[row], self.data)

    def init(self, problem: Problem, *, key: PRNGKeyArray) -> Params:
        return self.make_params(problem, key)

    def loss(self, params: Params, problem: Problem, *, key: PRNGKeyArray) -> Float[Array, ""]:
        if self.batch_size is not None:
            size = jax.tree.leaves(problem)[0].shape[0]
            chosen = jax.random.choice(key, size, (self.batch_size,), replace=False)
            problem = jax.tree.map(lambda leaf: leaf[chosen], problem)
        return self.make_loss(params, problem)

    def split(self, part: Split) -> "ArraysFamily":
        """The family of one part of the problems: training, validation or test."""
        rows = self.parts[list(PARTS).index(part)]
        return eqx.tree_at(lambda each: each.rows, self, rows)


def from_arrays(
    loss: Callable[[Params, Problem], Any],
    init: Callable[[Problem, PRNGKeyArray], Params],
    data: PyTree | str | Path,
    *,
    batch_size: int | None = None,
    seed: int = 0,
) -> ArraysFamily:
    """A task family whose problems are rows of arrays.

    64 % of the problems are for training, 16 % for validation and 20 % for testing, drawn by the
    seed. No problem is in two parts.

    Args:
        loss: f(parameters, problem), a scalar. A problem is the pytree of the data's rows, or of a
            minibatch of their first axis.
        init: (problem, key) to the parameters that a run starts from.
        data: A pytree of arrays whose first axis counts problems; a .npz file of such arrays, as a
            dictionary; or a folder of .npz files with the same names and shapes, one a problem.
        batch_size: Elements of a problem's first axis that each loss is taken of, drawn without
            replacement; None for all.
        seed: Draws which problems are for training, validation and testing.

    Returns:
        The family. It stands wherever a task stands, `innerloop train FILE.py:NAME` included.

    Raises:
        InnerloopError: The data cannot be read, its arrays differ in their number of problems, or
            there are fewer than five problems.

    Example:
        >>> import jax.numpy as jnp, numpy as np
        >>> from innerloop.tasks import from_arrays
        >>> points = np.random.default_rng(0).normal(size=(20, 7, 2))
        >>> task = from_arrays(
        ...     lambda centre, points: jnp.mean((points - centre) ** 2),
        ...     lambda points, key: jnp.zeros(2),
        ...     points,
        ... )
        >>> len(task.split("test").rows)
        4
    """
    if isinstance(data, (str, Path)):
        data = _read(Path(data))
    data = jax.tree.map(jnp.asarray, data)
    counts = {leaf.shape[0] if leaf.ndim else 0 for leaf in jax.tree.leaves(data)}
    if len(counts) != 1:
        shapes = ", ".join(str(leaf.shape) for leaf in jax.tree.leaves(data)) or "none"
        raise InnerloopError(
            "The first axis of all arrays of the data must count the same problems; the shapes "
            f"are {shapes}."
        )
    (problems,) = counts
    if problems < 5:
        raise InnerloopError(
            f"The data holds {problems} problems; training, validation and testing need at least 5."
        )
    _check_batch(data, batch_size)
    order = np.random.default_rng(seed).permutation(problems)
    cuts = np.round(np.cumsum(list(PARTS.values()))[:-1] * problems).astype(int)
    parts = tuple(map(jnp.asarray, np.split(order, cuts)))
    return ArraysFamily(data, parts[0], parts, loss, init, batch_size)


def _check_batch(data: PyTree, batch_size: int | None) -> None:
    if batch_size is None:
        return
    sizes = {leaf.shape[1] if leaf.ndim > 1 else 0 for leaf in jax.tree.leaves(data)}
    if len(sizes) != 1 or not 1 <= batch_size <= min(sizes):
        accepted = f"from 1 to the size of the arrays' second axis, here {sorted(sizes)}"
        raise SettingsError("batch_size", batch_size, accepted)


def _read(path: Path) -> Mapping[str, np.ndarray]:
    if not path.is_dir():
        return _arrays(path)
    files = sorted(path.glob("*.npz"))
    if not files:
        raise FileError(f"The folder {path} holds no .npz file.")
    found = [_arrays(file) for file in files]
    for file, arrays in zip(files, found, strict=True):
        layout = {name: array.shape for name, array in arrays.items()}
        if layout != {name: array.shape for name, array in found[0].items()}:
            raise FileError(f"{file} has other arrays or shapes than {files[0]}: {layout}.")
    return {name: np.stack([arrays[name] for arrays in found]) for name in found[0]}


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz file, which can hold no code: pickles are refused."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        first = str(error).partition("\n")[0]
        raise FileError(f"{path} cannot be read as a .npz file: {first}") from error
