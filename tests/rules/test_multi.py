"""Several rules, each for its part of the parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import close, double, lstm
from innerloop import InnerloopError
from innerloop.rules import MultiRule
from innerloop.rules._batch import batched


@pytest.fixture
def params():
    return {
        "conv": [jnp.linspace(-1, 1, 6).reshape(2, 3)],
        "dense": {"w": jnp.ones(4, jnp.bfloat16)},
    }


def test_it_is_optaxs_multi_transform(params):
    rules = {"conv": lstm(0), "dense": lstm(1)}
    ours = MultiRule(rules).as_optax()
    theirs = optax.multi_transform(
        {name: rule.as_optax() for name, rule in rules.items()},
        {"conv": ["conv"], "dense": {"w": "dense"}},
    )
    states = [ours.init(params), theirs.init(params)]
    for _ in range(2):
        steps = []
        for number, optimizer in enumerate((ours, theirs)):
            step, states[number] = optimizer.update(params, states[number], params)
            steps.append(step)
        jax.tree.map(np.testing.assert_array_equal, *steps)
    assert not np.allclose(steps[0]["conv"][0][-1, -1], steps[0]["dense"]["w"][0])


def test_a_batch_is_the_problems_one_by_one(float64, params):
    params, rule = double((params, MultiRule({"conv": lstm(0), "dense": lstm(1)})))
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf, -leaf]), params)
    rules, loss = batched(rule), jnp.ones(3)
    state = rules.pack(jax.vmap(rule.init)(many))
    for _ in range(2):
        updates, state = rules.update(many, state, many, loss)
    unpacked = rules.unpack(state, 3)
    for number, factor in enumerate((1, 2, -1)):
        own = jax.tree.map(lambda leaf, factor=factor: factor * leaf, params)
        expected_state = rule.init(own)
        for _ in range(2):
            expected, expected_state = rule.update(own, expected_state, own)
        mine = jax.tree.map(lambda leaf, i=number: leaf[i], (updates, unpacked))
        close(mine, (expected, expected_state), additions=100)


@pytest.mark.parametrize("wrong", [jnp.zeros(3), {"conv": jnp.zeros(3)}])
def test_other_parameters_are_refused(wrong):
    rule = MultiRule({"conv": lstm(0), "dense": lstm(1)})
    with pytest.raises(InnerloopError, match="with the keys conv, dense"):
        rule.init(wrong)
