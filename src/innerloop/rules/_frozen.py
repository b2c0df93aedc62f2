"""Weights that nothing trains: no estimator changes leaves that are no floats."""

from typing import TypeVar

import jax
import jax.numpy as jnp

Tree = TypeVar("Tree")


def freeze(tree: Tree) -> Tree:
    """The tree with the 32 bits of each number in place of the number, as uint32.

    Estimators and meta-optimizers, a user's own included, work on float arrays. A stop_gradient
    would not do: evolution strategies change all floats that they find.
    """

    def bits(leaf: jax.Array) -> jax.Array:
        return jax.lax.bitcast_convert_type(jnp.asarray(leaf, jnp.float32), jnp.uint32)

    return jax.tree.map(bits, tree)


def thaw(tree: Tree) -> Tree:
    """The inverse of `freeze`, in float32."""

    def number(leaf: jax.Array) -> jax.Array:
        # In JAX's 64-bit mode a damaged file can hold more bits than a number has.
        return jax.lax.bitcast_convert_type(leaf.astype(jnp.uint32), jnp.float32)

    return jax.tree.map(number, tree)
