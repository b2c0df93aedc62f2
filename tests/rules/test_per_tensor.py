"""The rule of momenta: what it begins as, and what it does not mind."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import close, spoken
from innerloop import InnerloopError, PerTensorRule, load

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


def bowl(params):
    return 0.5 * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))


def normal(*shape):
    return jax.random.normal(jax.random.key(sum(shape)), shape)


BOWLS = {
    "vector": lambda: 0.58 * normal(1000),
    "number": lambda: normal(),
    "vectors": lambda: {"a": normal(100), "b": normal(50)},
    "row": lambda: normal(1, 1000),
    "few inputs": lambda: normal(2, 500),
    "vector beside a matrix": lambda: {"v": normal(1000), "m": normal(100, 100)},
    "network": lambda: [(normal(10, 20), normal(20)), (normal(20, 10), normal(10))],
    "matrix": lambda: normal(30, 40),
}


@pytest.mark.parametrize("name", ["tensorwise-mnist", "tensorwise-mnist-family"])
@pytest.mark.parametrize("params", BOWLS.values(), ids=BOWLS)
def test_a_shipped_rule_never_climbs_a_bowl(name, params):
    """What it was trained on are networks, whose biases it lets climb at first."""
    optimizer = load(name).as_optax()

    def step(carry, _):
        params, state = carry
        value, grads = jax.value_and_grad(bowl)(params)
        updates, state = optimizer.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), value

    start = params()
    _, values = jax.jit(
        lambda params: jax.lax.scan(step, (params, optimizer.init(params)), length=200)
    )(start)
    assert float(jnp.max(values)) <= 1.01 * float(values[0]) and values[-1] < 0.3 * values[0]


def test_biases_of_a_network_may_climb_at_first():
    rule = load("tensorwise-mnist")
    grads = {"w": normal(784, 20), "b": normal(20)}
    updates, _ = rule.update(grads, rule.init(grads))
    assert jnp.sum(updates["b"] * grads["b"]) > 0 > jnp.sum(updates["w"] * grads["w"])
