"""The LSTM rule's step as one GPU kernel, so that its state is read and written once (Pallas).

Written by an operation at a time the gates of a layer, four times the state, would go through the
GPU's memory too. A program of the kernel keeps a chunk of coordinates, all features of them, in
registers from the gradient to the step. On other backends, and where it cannot be compiled, the
rule's own step is taken.

To be deleted with JAX's Triton backend, which is deprecated since JAX 0.11, or when XLA fuses a
small product with the elementwise operations around it.
"""

import functools
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .backends import on_gpu

CHUNK_COORDINATES = 64
"""Coordinates of one program."""
_SMALLEST_SIDE = 16  # Of a matrix product's sides on a GPU; all must be powers of 2.


def usable(rule: Any) -> bool:
    """Whether the kernel runs on this machine and gives what `rule` gives; if not, nothing is lost.

    It is tried once for each kind of rule, on a GPU alone.
    """
    if not on_gpu() or rule.dtype != jnp.float32:
        return False
    return _tried(rule.hidden, rule.depth, rule.preprocessing, rule.state_dtype, type(rule))


@functools.cache
def _tried(hidden: int, depth: int, preprocessing: float | None, dtype: str | None, kind: type):
    rule = kind(
        key=jax.random.key(0),
        hidden=hidden,
        depth=depth,
        preprocessing=preprocessing,
        state_dtype=dtype,
    )
    with jax.ensure_compile_time_eval():
        gradient = jnp.linspace(-1, 1, CHUNK_COORDINATES + 1)
        state = rule.init_coordinates(len(gradient))
        try:
            found = fused(rule, gradient, state)
        except Exception:  # Whatever a compiler may have against it.
            return False
        wanted = rule.update_coordinates(gradient, state)
        # GPUs multiply in fewer digits where they may.
        near = functools.partial(jnp.allclose, rtol=1e-2, atol=1e-3)
        return bool(jax.tree.all(jax.tree.map(near, found, wanted)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _differentiable(rule: Any, gradient: Array, state: PyTree, interpret: bool):
    return _launch(rule, gradient, state, interpret)


def _forward(rule: Any, gradient: Array, state: PyTree, interpret: bool):
    return _launch(rule, gradient, state, interpret), (rule, gradient, state)


def _backward(interpret: bool, kept: Any, cotangent: Any):
    # Backward the plain step is walked, which recomputes what it needs.
    rule, gradient, state = kept
    pull = jax.vjp(lambda r, g, s: r.update_coordinates(g, s), rule, gradient, state)[1]
    return pull(cotangent)


_differentiable.defvjp(_forward, _backward)


def fused(
    rule: Any, gradient: Float[Array, " coordinates"], state: PyTree, *, interpret: bool = False
) -> tuple[Float[Array, " coordinates"], PyTree]:
    """`rule.update_coordinates(gradient, state)` of an `LSTMRule`, by one kernel.

    With `interpret` the kernel is carried out operation by operation, on any machine.
    """
    return _differentiable(rule, gradient, state, interpret)


def _launch(rule: Any, gradient: Array, state: PyTree, interpret: bool):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Of the Triton backend.
        return _launched(rule, gradient, state, interpret)


def _launched(rule: Any, gradient: Array, state: PyTree, interpret: bool):
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import triton

    coordinates, hidden = gradient.shape[0], rule.hidden
    side = _padded(hidden)
    weights = [_weights(layer, hidden, side, first=i == 0) for i, layer in enumerate(rule.layers)]
    output = (
        jnp.zeros(side).at[:hidden].set(rule.output_scale * rule.output_weight[0]),
        rule.output_scale * rule.output_bias,
    )
    # Flat, so that a program says itself which numbers are its own.
    inputs = (gradient, [[part.reshape(-1) for part in cell] for cell in state], weights, output)
    kept, structure = jax.tree.flatten(eqx.filter(inputs, eqx.is_array))
    like = (gradient, inputs[1])
    results, result_structure = jax.tree.flatten(
        jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), like)
    )

    def kernel(*refs: Any) -> None:
        gradient, state, weights, output = jax.tree.unflatten(structure, refs[: len(kept)])
        step_out, state_out = jax.tree.unflatten(result_structure, refs[len(kept) :])
        columns = pl.program_id(0) * CHUNK_COORDINATES + jnp.arange(CHUNK_COORDINATES)
        inside = columns < coordinates
        rows = jnp.arange(side)
        places = rows[:, None] * coordinates + columns[None]
        there = (rows < hidden)[:, None] & inside[None]
        # What is masked lies past the end: interpreted, a store writes back what was there.
        places = jnp.where(there, places, hidden * coordinates)
        columns = jnp.where(inside, columns, coordinates)

        g = triton.load(gradient.at[columns], mask=inside, other=0.0)
        features: Any = rule.features(g)
        for number, (layer, cell, cell_out) in enumerate(
            zip(weights, state, state_out, strict=True)
        ):
            h, c = (
                triton.load(ref.at[places], mask=there, other=0.0).astype(jnp.float32)
                for ref in cell
            )

            def gate(k: int, layer=layer, h=h, features=features, number=number) -> Array:
                recurrent, of_input, bias = (ref[k] for ref in layer)
                total = _product(recurrent, h) + bias[:, None]
                if number:
                    return total + _product(of_input, features)
                # One or two inputs make no matrix product.
                for row, feature in enumerate(features):
                    total = total + layer[1][k, row][:, None] * feature[None]
                return total

            i, f, o = (0.5 + 0.5 * jnp.tanh(0.5 * gate(k)) for k in range(3))
            c = f * c + i * jnp.tanh(gate(3))
            h = o * jnp.tanh(c)
            for ref, part in zip(cell_out, (h, c), strict=True):
                triton.store(ref.at[places], part.astype(ref.dtype), mask=there)
            features = h
        scale, bias = output
        step = jnp.sum(scale[...][:, None] * features, axis=0) + bias[0]
        triton.store(step_out.at[columns], step.astype(step_out.dtype), mask=inside)

    found = pl.pallas_call(
        kernel,
        out_shape=results,
        grid=(pl.cdiv(coordinates, CHUNK_COORDINATES),),
        interpret=interpret,
        compiler_params=None if interpret else triton.CompilerParams(num_warps=4),
        name="lstm_rule_step",
    )(*kept)
    step, flat = jax.tree.unflatten(result_structure, found)
    cells = tuple(tuple(part.reshape(hidden, coordinates) for part in cell) for cell in flat)
    return step, cells


def _weights(layer: Any, hidden: int, side: int, *, first: bool) -> tuple[Array, Array, Array]:
    """(of the state, of the inputs, bias) with a leading axis of the gates i, f, o, candidate.

    They are filled up with zeros, which keep what is filled up at zero: there the candidate is
    tanh 0. Those of a first layer's inputs are [gates, inputs, side].
    """
    inputs = layer.weight.shape[1] - hidden
    gates = layer.weight.reshape(4, hidden, inputs + hidden)
    more = side - hidden
    recurrent = jnp.pad(gates[:, :, inputs:], ((0, 0), (0, more), (0, more)))
    if first:
        of_input = jnp.pad(gates[:, :, :inputs].transpose(0, 2, 1), ((0, 0), (0, 0), (0, more)))
    else:
        of_input = jnp.pad(gates[:, :, :inputs], ((0, 0), (0, more), (0, more)))
    return recurrent, of_input, jnp.pad(layer.bias.reshape(4, hidden), ((0, 0), (0, more)))


def _product(one: Array, other: Array) -> Array:
    return jnp.dot(one, other, precision=jax.lax.Precision.HIGHEST)


def _padded(size: int) -> int:
    return max(_SMALLEST_SIDE, 1 << (size - 1).bit_length())
