"""Work on matrices some lines at a time, so that what is made of them stays in caches.

Other backends than CPUs take all lines at once. To be deleted when XLA tiles a chain of elementwise
operations and products for CPU caches.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, PyTree

from .backends import on_cpu

CHUNK_COORDINATES = 1 << 15
"""Coordinates of a chunk. Eighteen features of each take two megabytes, which a cache holds."""
LEAST_COORDINATES = 1 << 17
"""Smaller matrices are not cut."""


def sum_over_lines(function: Callable[[Any], Array], arrays: PyTree) -> Array:
    """The sum of `function(part)` over runs of lines.

    Args:
        function: Takes the arrays with some of their lines; its values for parts add up.
        arrays: All are [..., lines, any size]; the first has the sides of the matrix.
    """
    return _over_lines(function, arrays, lambda before, part, _: before + part, 0)


def map_over_lines(function: Callable[[Any], Array], arrays: PyTree) -> Array:
    """`function(arrays)` [..., lines, columns], where each line's value is made of that line.

    A step of the general rule for a million parameters took 42 ms in chunks, and 78 ms at once.

    Args:
        function: Takes the arrays with some of their lines.
        arrays: As in `sum_over_lines`.
    """

    def put(before: Array, part: Array, first: Any) -> Array:
        return lax.dynamic_update_slice_in_dim(before, part, first, axis=-2)

    return _over_lines(function, arrays, put, jax.tree.leaves(arrays)[0].shape[-2])


def _over_lines(
    function: Callable[[Any], Array],
    arrays: PyTree,
    put: Callable[[Array, Array, Any], Array],
    lines_of_value: int,
) -> Array:
    lines, columns = jax.tree.leaves(arrays)[0].shape[-2:]
    chunk = max(1, CHUNK_COORDINATES // max(1, columns))
    if lines * columns <= LEAST_COORDINATES or chunk >= lines or not on_cpu():
        return function(arrays)

    def cut(first: Any, count: int) -> Any:
        return jax.tree.map(
            lambda leaf: lax.dynamic_slice_in_dim(leaf, first, count, axis=-2), arrays
        )

    value = jax.eval_shape(lambda: function(cut(0, chunk)))
    shape = value.shape
    if lines_of_value:
        shape = (*shape[:-2], lines_of_value, shape[-1])
    whole, rest = divmod(lines, chunk)
    done = lax.fori_loop(
        0,
        whole,
        lambda number, before: put(before, function(cut(number * chunk, chunk)), number * chunk),
        jnp.zeros(shape, value.dtype),
    )
    return put(done, function(cut(lines - rest, rest)), lines - rest) if rest else done
