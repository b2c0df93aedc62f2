"""Meta-SGD's rule: a rate for every parameter.

It is made for one tree of parameters, so that it cannot run on all trees of the conformance test.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest

from helpers import close, same, tree
from innerloop import OptaxRule
from innerloop.rules import MetaSGDRule
from innerloop.rules._batch import batched


def test_every_parameter_has_a_rate_of_its_own():
    rule = eqx.tree_at(lambda rule: rule.rates, MetaSGDRule(jnp.zeros(3)), jnp.arange(-1.0, 2))
    updates, state = rule.update(jnp.asarray([2.0, 3.0, 4.0]), rule.init(jnp.zeros(3)))
    assert updates.tolist() == [2.0, 0.0, -4.0] and state == ()


def test_at_first_it_is_gradient_descent():
    params = tree()
    mine, descent = MetaSGDRule(params, 0.05).as_optax(), OptaxRule(optax.sgd, 0.05).as_optax()
    updates, _ = mine.update(params, mine.init(params), params)
    expected, _ = descent.update(params, descent.init(params), params)
    close(updates, expected, additions=2)  # The rate itself is rounded, and the product.
    assert same(
        jax.tree.map(lambda leaf: str(leaf.dtype), updates),
        jax.tree.map(lambda leaf: str(leaf.dtype), params),
    )


def test_the_rates_are_learned():
    slopes = {"a": jnp.asarray([1.0, -2.0]), "b": jnp.asarray(3.0)}
    rule = MetaSGDRule(slopes)

    def travelled(rule):
        updates, _ = rule.update(slopes, rule.init(slopes))
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(updates))

    gradient = jax.grad(travelled)(rule)
    assert same(gradient.rates, jax.tree.map(jnp.negative, slopes))


def test_a_batch_is_the_problems_one_by_one():
    params = jnp.linspace(-1, 1, 6).reshape(2, 3)
    rule = MetaSGDRule(params[0])
    rules = batched(rule)
    updates, _ = rules.update(params, rules.pack(()), params, jnp.ones(2))
    for own, update in zip(params, updates, strict=True):
        close(update, rule.update(own, ())[0], additions=1)


def test_other_parameters_are_refused():
    rule = MetaSGDRule({"a": jnp.zeros(2)})
    with pytest.raises(ValueError, match="key"):
        rule.update({"b": jnp.zeros(2)}, ())
