"""The rule of momenta: what it begins as, and what it does not mind."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import close, spoken
from innerloop import InnerloopError, PerTensorRule

GRADIENTS = [jnp.asarray([[1.0, -0.2, 3.0], [0.1, 0.5, -2.0]]) * scale for scale in (1, 0.3, -2)]


def steps(rule, gradients):
    state, seen = rule.init({"w": gradients[0]}), []
    for gradient in gradients:
        step, state = rule.update({"w": gradient}, state)
        seen.append(step["w"])
    return np.asarray(jnp.stack(seen))


def test_it_begins_close_to_adam():
    learned = steps(PerTensorRule(key=jax.random.key(0)), GRADIENTS)
    adam, state, expected = optax.adam(0.01, b1=0.9, b2=0.99), None, []
    state = adam.init({"w": GRADIENTS[0]})
    for gradient in GRADIENTS:
        step, state = adam.update({"w": gradient}, state)
        expected.append(step["w"])
    assert np.corrcoef(learned.ravel(), np.ravel(expected))[0, 1] > 0.95
    assert 0.5 < np.linalg.norm(learned) / np.linalg.norm(expected) < 2


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_the_unit_of_the_loss_does_not_matter(unit):
    rule = spoken(PerTensorRule(key=jax.random.key(0)))
    scaled = [unit * gradient for gradient in GRADIENTS]
    close(steps(rule, scaled), steps(rule, GRADIENTS), additions=300)


def test_arrays_feel_each_other_only_through_averages():
    rule = spoken(PerTensorRule(key=jax.random.key(0)))
    both = {"a": GRADIENTS[0], "b": jnp.ones(3)}
    first, _ = rule.update(both, rule.init(both))
    louder = {"a": GRADIENTS[0], "b": 7 * jnp.ones(3)}
    second, _ = rule.update(louder, rule.init(louder))
    close(first["a"], second["a"], additions=100)


def test_settings_out_of_range_are_refused():
    with pytest.raises(InnerloopError, match="hidden is 0"):
        PerTensorRule(key=jax.random.key(0), hidden=0)
