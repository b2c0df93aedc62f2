"""The adjoint of a first-order inner loop, a chunk of coordinates at a time.

To first order the gradients and losses that a rule was shown count as constants, so that where a
coordinate arrives depends on its own start and gradients, and on the rule that all share. Once
the inner loop has run, every coordinate can be taken through it again, and back, by itself: in
chunks whose states and gates stay in a CPU core's cache, and with none of them kept in the
meantime. On other backends all coordinates are one chunk.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..kernels.chunks import coordinate_chunk
from ..rules import CoordinatewiseRule, MetaLSTMRule, MultiRule, Rule
from ..rules._flat import ravel, unravel_like
from ..rules.multi import parts_of


def has_adjoint(rule: Rule) -> bool:
    """Whether `attach_adjoint` is for this rule: one that treats every coordinate alike, or several."""
    return all(isinstance(part, CoordinatewiseRule | MetaLSTMRule) for part in parts_of(rule))


def attach_adjoint(
    rule: Rule,
    initial: PyTree,
    gradients: PyTree,
    losses: Float[Array, " steps"],
    final: PyTree,
) -> PyTree:
    """`final`, as a function of `rule` and `initial`.

    It is where `rule` came to from `initial` when it was shown `gradients`, whose leaves lead
    with the axis `steps`, and `losses`. Nothing reaches back into those.
    """
    if isinstance(rule, MultiRule):
        return {
            name: attach_adjoint(part, initial[name], gradients[name], losses, final[name])
            for name, part in rule.rules.items()
        }
    dtype = jnp.result_type(*jax.tree.leaves(initial))
    arrays, static = eqx.partition(rule, eqx.is_inexact_array)

    def walk(arrays: Any, start: Array, gradients: Array, losses: Array) -> Array:
        rule = eqx.combine(arrays, static)

        def step(carry, seen):
            params, state = carry
            updates, state = rule.update(seen[0], state, params, value=seen[1])
            return (params + updates, state), None

        return jax.lax.scan(step, (start, rule.init(start)), (gradients, losses))[0][0]

    def forward(*given: Any) -> tuple[Array, Any]:
        *seen, final = given
        return final, seen

    def back(seen: Any, pull: Array) -> tuple[Any, ...]:
        arrays, start, gradients, losses = seen
        coordinates = start.size
        size = coordinate_chunk(coordinates)
        # The last chunk is filled up with copies of a coordinate, which are finite wherever it
        # is, and at which nothing pulls.
        start, gradients = (_in_chunks(part, size, mode="edge") for part in (start, gradients))
        pull = _in_chunks(pull, size, mode="constant")

        def chunk(gradient, part):
            start, gradients, pull = part
            _, pullback = jax.vjp(
                lambda arrays, start: walk(arrays, start, gradients, losses), arrays, start
            )
            to_arrays, to_start = pullback(pull)
            return jax.tree.map(jnp.add, gradient, to_arrays), to_start

        nothing = jax.tree.map(jnp.zeros_like, arrays)
        parts = (start, jnp.moveaxis(gradients, -2, 0), pull)
        to_arrays, to_start = jax.lax.scan(chunk, nothing, parts)
        return to_arrays, to_start.ravel()[:coordinates], None, None, None

    run = jax.custom_vjp(lambda *given: given[-1])
    run.defvjp(forward, back)
    each = jax.vmap(lambda tree: ravel(tree, dtype))(gradients)
    # The barrier keeps XLA from making the last step anew for every unit of the network.
    final = jax.lax.optimization_barrier(ravel(final, dtype))
    end = run(arrays, ravel(initial, dtype), each, losses, final)
    return unravel_like(end, initial)


def _in_chunks(
    coordinates: Float[Array, "*steps coordinates"], size: int, *, mode: str
) -> Float[Array, "*steps chunks {size}"]:
    lacking = -coordinates.shape[-1] % size
    after = [(0, 0)] * (coordinates.ndim - 1) + [(0, lacking)]
    padded = jnp.pad(coordinates, after, mode=mode)
    return padded.reshape(*coordinates.shape[:-1], -1, size)
