"""Pytrees as one flat vector of coordinates, and back."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PyTree


def ravel(tree: PyTree, dtype: DTypeLike) -> Float[Array, " coordinates"]:
    """All leaves, cast to `dtype` and laid end to end."""
    leaves = [jnp.ravel(leaf).astype(dtype) for leaf in jax.tree.leaves(tree)]
    if len(leaves) == 1:
        return leaves[0]
    return jnp.concatenate(leaves) if leaves else jnp.zeros(0, dtype)


def unravel_like(vector: Float[Array, " coordinates"], tree: PyTree) -> PyTree:
    """The inverse of `ravel`: `vector` in the structure, shapes and dtypes of `tree`."""
    leaves, structure = jax.tree.flatten(tree)
    shaped, start = [], 0
    for leaf in leaves:
        leaf = jnp.asarray(leaf)
        stop = start + math.prod(leaf.shape)
        shaped.append(vector[start:stop].reshape(leaf.shape).astype(leaf.dtype))
        start = stop
    return jax.tree.unflatten(structure, shaped)
