"""A coordinatewise rule's update in blocks is its update."""

import jax
import jax.numpy as jnp
import pytest

from helpers import COORDINATEWISE, RULES, close, double
from innerloop.rules import _blocks


@pytest.mark.parametrize("rule", COORDINATEWISE)
@pytest.mark.parametrize("coordinates", [4, 5, 7, 12])
def test_blocks_are_the_whole(float64, key, monkeypatch, rule, coordinates):
    rule = double(RULES[rule]())
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
        close(other, one, additions=100)


def test_blocks_can_be_differentiated(float64, key, monkeypatch):
    rule = double(RULES["lstm"]())
    gradient = jax.random.normal(key, (6,))

    def total(gradient):
        return jnp.sum(rule.update_problems(gradient, rule.init_coordinates(6), 1)[0] ** 2)

    whole = jax.grad(total)(gradient)
    monkeypatch.setattr(_blocks, "MANY", 4)
    monkeypatch.setattr(_blocks, "AT_ONCE", 4)
    close(jax.grad(total)(gradient), whole, additions=1000)


def test_other_backends_take_all_at_once(monkeypatch):
    monkeypatch.setattr(_blocks, "MANY", 1)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    seen = []
    _blocks.in_blocks(
        lambda g, s: (seen.append(g.shape), (g, s))[1], jnp.zeros(5), jnp.zeros((2, 5))
    )
    assert seen == [(5,)]
