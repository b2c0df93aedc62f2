"""Pytrees as one flat vector of coordinates, and back."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, DTypeLike, Float, PyTree

from ..errors import InnerloopError


def check_params(params: PyTree) -> None:
    """Raises `InnerloopError` where an array of the parameters is complex."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        if jnp.issubdtype(jnp.result_type(leaf), jnp.complexfloating):
            place = jax.tree_util.keystr(path)
            raise InnerloopError(
                f"The parameters{place} are {jnp.result_type(leaf)}; learned rules move real "
                "parameters only. Give the rule the real and the imaginary part as two arrays."
            )


def check_grads(grads: PyTree, coordinates: int) -> None:
    """Raises `InnerloopError` where gradients are not of the parameters that `init` was given.

    Args:
        grads: The gradients.
        coordinates: How many the state is for.
    """
    found = sum(jnp.size(leaf) for leaf in jax.tree.leaves(grads))
    if found != coordinates:
        raise InnerloopError(
            f"The gradients have {found} coordinates, and the state is for {coordinates}; call "
            "init with the parameters that these are the gradients of."
        )


def ravel(tree: PyTree, dtype: DTypeLike) -> Float[Array, " coordinates"]:
    """All leaves, cast to `dtype` and laid end to end; on every device, where they are spread."""
    leaves = [jnp.ravel(gathered(leaf)).astype(dtype) for leaf in jax.tree.leaves(tree)]
    if len(leaves) == 1:
        return leaves[0]
    return jnp.concatenate(leaves) if leaves else jnp.zeros(0, dtype)


def unravel_like(vector: Float[Array, " coordinates"], tree: PyTree) -> PyTree:
    """The inverse of `ravel`: `vector` in the structure, shapes, dtypes and layout of `tree`."""
    leaves, structure = jax.tree.flatten(tree)
    shaped, start = [], 0
    for leaf in leaves:
        leaf = jnp.asarray(leaf)
        stop = start + math.prod(leaf.shape)
        piece = vector[start:stop].reshape(leaf.shape).astype(leaf.dtype)
        shaped.append(laid_out_like(piece, leaf))
        start = stop
    return jax.tree.unflatten(structure, shaped)


def gathered(leaf: Any) -> Any:
    """An array whole on every device, where it is spread over explicit axes of a mesh.

    Such an array must be gathered by hand before a reshape or a concatenation mixes its axes.
    Automatic axes are XLA's business.
    """
    layout = _explicit_layout(leaf)
    if layout is None:
        return leaf
    return jax.sharding.reshard(leaf, NamedSharding(layout.mesh, PartitionSpec()))


def laid_out_like(array: Array, leaf: Any) -> Array:
    """The inverse of `gathered`: `array` spread over devices as `leaf` is."""
    layout = _explicit_layout(leaf)
    return array if layout is None else jax.sharding.reshard(array, layout)


def is_spread(leaf: Any) -> bool:
    """Whether an array is spread over explicit axes of a mesh."""
    return _explicit_layout(leaf) is not None


def _explicit_layout(leaf: Any) -> NamedSharding | None:
    layout = getattr(jax.typeof(leaf), "sharding", None)
    if not isinstance(layout, NamedSharding) or all(axis is None for axis in layout.spec):
        return None
    return layout
