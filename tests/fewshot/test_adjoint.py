"""The way back through a first-order inner loop, in groups of coordinates."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import close, double
from innerloop import LSTMRule, MetaLSTMRule, MetaSGDRule, MultiRule, OptaxRule
from innerloop.fewshot import adjoint
from innerloop.rules import CoordinatewiseRule

STEPS = 4
PARAMS = {"one": np.linspace(-1, 1, 15).reshape(5, 3), "other": {"bias": np.arange(8.0)}}


def loud(seed):
    """A rule that heeds the loss, the parameters and its own gates."""
    rule = MetaLSTMRule(key=jax.random.key(seed), hidden=4)
    weights = (30 * rule.layer.weight, 30 * rule.gate_weight, jnp.asarray([-1.0, 4.0]))
    return eqx.tree_at(
        lambda rule: (rule.layer.weight, rule.gate_weight, rule.gate_bias), rule, weights
    )


class Normalising(CoordinatewiseRule):
    """−0.1 ∇ / √v, a learned average of squares, which has no slope where all were 0."""

    decay: jax.Array

    dtype = property(lambda self: self.decay.dtype)

    def init_coordinates(self, coordinates):
        return jnp.zeros((1, coordinates), self.dtype)

    def update_coordinates(self, gradient, state):
        state = self.decay * state + (1 - self.decay) * gradient**2
        return -0.1 * gradient / (jnp.sqrt(state[0]) + 1e-8), state


RULES = {
    "normalising": lambda: Normalising(jnp.asarray(0.9)),
    "meta-lstm": lambda: loud(0),
    "lstm": lambda: LSTMRule(key=jax.random.key(0), hidden=3),
    "layerwise": lambda: MultiRule({"one": loud(0), "other": loud(1)}),
}


@pytest.mark.parametrize(
    "size", [1, 23, *(pytest.param(size, marks=pytest.mark.slow) for size in (7, 100))]
)
@pytest.mark.parametrize("kind", RULES)
def test_the_way_back_is_that_of_automatic_differentiation(kind, size, monkeypatch):
    monkeypatch.setattr(adjoint, "coordinate_chunk", lambda coordinates: min(coordinates, size))
    with jax.enable_x64(True):
        rule, random = double(RULES[kind]()), np.random.default_rng(0)
        shown = jax.tree.map(lambda leaf: random.normal(size=(STEPS, *leaf.shape)), PARAMS)
        losses = jnp.asarray(random.uniform(1, 2, STEPS))
        pull = jax.tree.map(lambda leaf: random.normal(size=leaf.shape), PARAMS)
        arrays, static = eqx.partition(rule, eqx.is_inexact_array)

        def plainly(arrays, params):
            rule = eqx.combine(arrays, static)
            state = rule.init(params)
            for step in range(STEPS):
                grads = jax.tree.map(lambda leaf, step=step: leaf[step], shown)
                updates, state = rule.update(grads, state, params, value=losses[step])
                params = jax.tree.map(jnp.add, params, updates)
            return params

        def replayed(arrays, params):
            rule = eqx.combine(arrays, static)
            return adjoint.attach_adjoint(rule, params, shown, losses, plainly(arrays, params))

        def judged(function):
            def judge(arrays, params):
                there = function(arrays, params)
                return sum(map(jnp.vdot, jax.tree.leaves(pull), jax.tree.leaves(there))), there

            params = jax.tree.map(jnp.asarray, PARAMS)
            return jax.jit(jax.grad(judge, (0, 1), has_aux=True))(arrays, params)

        close(judged(replayed), judged(plainly), additions=100_000)


def test_which_rules_treat_every_coordinate_alike():
    for make in RULES.values():
        assert adjoint.has_adjoint(make())
    rates = MetaSGDRule(jax.tree.map(jnp.asarray, PARAMS), 0.1)
    assert not adjoint.has_adjoint(rates)
    assert not adjoint.has_adjoint(MultiRule({"one": loud(0), "other": rates}))
    assert not adjoint.has_adjoint(OptaxRule(optax.sgd, 0.1))
