"""Flax NNX takes a rule for an optimizer."""

import jax
import jax.numpy as jnp
import pytest

from helpers import lstm

nnx = pytest.importorskip("flax.nnx", reason="needs Flax, which innerloop does not")


def test_an_nnx_optimizer_is_made_of_a_rule():
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, lstm().as_optax(), wrt=nnx.Param)
    before = jnp.asarray(model.kernel[...])

    @nnx.jit
    def step(model, optimizer):
        gradient = nnx.grad(lambda model: jnp.sum(model(jnp.ones((4, 3))) ** 2))(model)
        optimizer.update(model, gradient)

    step(model, optimizer)
    after = jnp.asarray(model.kernel[...])
    assert after.shape == before.shape and bool(jnp.all(after != before))
    assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(nnx.state(model)))
