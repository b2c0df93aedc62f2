"""A matrix some lines at a time: the same values as at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop.kernels import line_chunks
from innerloop.rules.general import GeneralRule


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(line_chunks, "LEAST_COORDINATES", 12)
    monkeypatch.setattr(line_chunks, "CHUNK_COORDINATES", 12)


@pytest.mark.parametrize("lines", [3, 6, 9, 11])
def test_sums_and_values_are_those_at_once(lines, small_chunks):
    key = jax.random.key(lines)
    arrays = (jax.random.normal(key, (lines, 4)), jax.random.normal(key, (2, lines, 1)))
    seen = []

    def function(part):
        seen.append(part[0].shape[0])
        return part[1] * part[0] ** 2

    expected = function(arrays)
    seen.clear()
    values = line_chunks.map_over_lines(function, arrays)
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert set(seen) <= {3, lines % 3}
    sums = line_chunks.sum_over_lines(lambda part: function(part).sum((1, 2)), arrays)
    np.testing.assert_allclose(sums, expected.sum((1, 2)), rtol=1e-5)


@pytest.mark.parametrize("orthogonalise", [False, True])
def test_the_general_rule_makes_the_same_step_in_chunks(orthogonalise, monkeypatch):
    rule = GeneralRule(key=jax.random.key(0), hidden=4, orthogonalise=orthogonalise)
    outputs = jax.random.normal(jax.random.key(1), rule.output_weight.shape)
    object.__setattr__(rule, "output_weight", outputs)
    keys = jax.random.split(jax.random.key(2))
    params, grads = ({"w": jax.random.normal(key, (13, 6)), "b": jnp.ones(6)} for key in keys)

    def step():
        return jax.jit(lambda: rule.update(grads, rule.init(params), params)[0])()

    at_once = step()
    monkeypatch.setattr(line_chunks, "LEAST_COORDINATES", 12)
    monkeypatch.setattr(line_chunks, "CHUNK_COORDINATES", 24)
    for one, other in zip(jax.tree.leaves(at_once), jax.tree.leaves(step()), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)
