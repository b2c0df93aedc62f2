"""What is asked of whole pytrees: are they finite, how large is their product, which of the two."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree


def is_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether every number is."""
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.asarray(leaves, bool))


def count_alive(tree: PyTree) -> Float[Array, ""]:
    """How many numbers are not 0."""
    counts = [jnp.sum(leaf != 0, dtype=jnp.float32) for leaf in jax.tree.leaves(tree)]
    return sum(counts, jnp.zeros(()))


def dot(one: PyTree, other: PyTree) -> Float[Array, ""]:
    """The sum of all products, in float32."""

    def product(a: Any, b: Any) -> Array:
        return jnp.sum(jnp.asarray(a, jnp.float32) * jnp.asarray(b, jnp.float32))

    products = jax.tree.map(product, one, other)
    return sum(jax.tree.leaves(products), jnp.zeros(()))


def choose(condition: Bool[Array, ""], yes: PyTree, no: PyTree) -> PyTree:
    """`yes` where the condition holds, or else `no`."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def cast_like(tree: PyTree, example: PyTree) -> PyTree:
    """`tree` in the dtypes of `example`."""
    return jax.tree.map(lambda a, b: jnp.asarray(a, jnp.result_type(b)), tree, example)
