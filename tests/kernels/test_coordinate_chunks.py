"""A coordinatewise rule's update in blocks is its update."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import COORDINATEWISE, RULES
from innerloop.kernels import coordinate_chunks as _blocks


@pytest.mark.parametrize("rule", COORDINATEWISE)
@pytest.mark.parametrize("coordinates", [4, 5, 7, 12])
def test_blocks_are_the_whole(key, monkeypatch, rule, coordinates):
    rule = RULES[rule]()
    gradients = jax.random.normal(key, (3, coordinates))

    def run():
        state = rule.init_coordinates(coordinates)
        for gradient in gradients:
            step, state = rule.update_problems(gradient, state, 1)
        return step, state

    whole = run()
    monkeypatch.setattr(_blocks, "MANY", 4)
    monkeypatch.setattr(_blocks, "AT_ONCE", 4)
    blocks = run()
    assert jax.tree.structure(whole) == jax.tree.structure(blocks)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(blocks), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(
            np.asarray(one, np.float32), np.asarray(other, np.float32), rtol=1e-5, atol=1e-6
        )


def test_blocks_can_be_differentiated(key, monkeypatch):
    rule = RULES["lstm"]()
    gradient = jax.random.normal(key, (6,))

    def total(gradient):
        return jnp.sum(rule.update_problems(gradient, rule.init_coordinates(6), 1)[0] ** 2)

    whole = jax.grad(total)(gradient)
    monkeypatch.setattr(_blocks, "MANY", 4)
    monkeypatch.setattr(_blocks, "AT_ONCE", 4)
    np.testing.assert_allclose(jax.grad(total)(gradient), whole, rtol=1e-4)


def test_other_backends_take_all_at_once(monkeypatch):
    monkeypatch.setattr(_blocks, "MANY", 1)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    seen = []
    _blocks.in_blocks(
        lambda g, s: (seen.append(g.shape), (g, s))[1], jnp.zeros(5), jnp.zeros((2, 5))
    )
    assert seen == [(5,)]
