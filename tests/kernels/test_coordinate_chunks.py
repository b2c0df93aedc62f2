"""A coordinatewise rule's update in chunks is its update."""

import jax
import jax.numpy as jnp
import pytest

from helpers import COORDINATEWISE, RULES, close, double
from innerloop.kernels.coordinate_chunks import in_chunks


def chunked(rule, gradient, state):
    return in_chunks(rule.update_coordinates, gradient, state, chunk=4, least=4)


@pytest.mark.parametrize("rule", COORDINATEWISE)
@pytest.mark.parametrize(
    "coordinates", [4, 7, *(pytest.param(size, marks=pytest.mark.slow) for size in (5, 12))]
)
def test_chunks_are_the_whole(float64, key, rule, coordinates):
    rule = double(RULES[rule]())
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
        close(other, one, additions=100)


def test_chunks_can_be_differentiated(float64, key):
    rule = double(RULES["lstm"]())
    gradient, state = jax.random.normal(key, (6,)), rule.init_coordinates(6)
    whole = jax.grad(lambda g: jnp.sum(rule.update_coordinates(g, state)[0] ** 2))(gradient)
    chunks = jax.grad(lambda g: jnp.sum(chunked(rule, g, state)[0] ** 2))(gradient)
    close(chunks, whole, additions=1000)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_other_backends_take_all_at_once(monkeypatch, backend):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    seen = []

    def update(gradient, state):
        seen.append(gradient.shape)
        return gradient, state

    in_chunks(update, jnp.zeros(5), jnp.zeros((2, 5)), chunk=4, least=1)
    assert ((4,) in seen) == (backend == "cpu")
