"""A coordinatewise rule's update in chunks is its update."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import COORDINATEWISE, RULES
from innerloop.kernels.coordinate_chunks import in_chunks


def chunked(rule, gradient, state):
    return in_chunks(rule.update_coordinates, gradient, state, chunk=4, least=4)


@pytest.mark.parametrize("rule", COORDINATEWISE)
@pytest.mark.parametrize("coordinates", [4, 5, 7, 12])
def test_chunks_are_the_whole(key, rule, coordinates):
    rule = RULES[rule]()
    gradients = jax.random.normal(key, (3, coordinates))

    def run(update):
        state = rule.init_coordinates(coordinates)
        for gradient in gradients:
            step, state = update(gradient, state)
        return step, state

    whole = run(rule.update_coordinates)
    chunks = run(lambda gradient, state: chunked(rule, gradient, state))
    assert jax.tree.structure(whole) == jax.tree.structure(chunks)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(chunks), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(
            np.asarray(one, np.float32), np.asarray(other, np.float32), rtol=1e-5, atol=1e-6
        )


def test_chunks_can_be_differentiated(key):
    rule = RULES["lstm"]()
    gradient, state = jax.random.normal(key, (6,)), rule.init_coordinates(6)
    whole = jax.grad(lambda g: jnp.sum(rule.update_coordinates(g, state)[0] ** 2))(gradient)
    chunks = jax.grad(lambda g: jnp.sum(chunked(rule, g, state)[0] ** 2))(gradient)
    np.testing.assert_allclose(chunks, whole, rtol=1e-4)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_other_backends_take_all_at_once(monkeypatch, backend):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    seen = []

    def update(gradient, state):
        seen.append(gradient.shape)
        return gradient, state

    in_chunks(update, jnp.zeros(5), jnp.zeros((2, 5)), chunk=4, least=1)
    assert ((4,) in seen) == (backend == "cpu")
