"""Several places to begin at, and the rule that goes on from the best."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import same
from innerloop import InnerloopError, MultistartRule, OptaxRule, TaskFamily, evaluate, load, save

PLACES = jnp.asarray([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]])
PARAMS = {"a": jnp.zeros(2), "b": jnp.zeros((1, 1))}


def from_places(places=PLACES):
    return MultistartRule(OptaxRule(optax.sgd, 0.1), places)


def steps(rule, values):
    """The parameters, raveled, after each step at which a loss of `values` is told."""
    params, state, seen = PARAMS, rule.init(PARAMS), []
    grads = jax.tree.map(jnp.ones_like, PARAMS)
    for value in values:
        told = None if value is None else jnp.asarray(value)
        updates, state = rule.update(grads, state, params, value=told)
        params = optax.apply_updates(params, updates)
        seen.append(np.concatenate([params["a"], params["b"].ravel()]))
    return seen


@pytest.mark.parametrize("best", [0, 1, 2])
def test_it_visits_each_place_and_goes_on_from_the_lowest(best):
    values = [3.0, 3.0, 3.0, 3.0]
    values[best] = 1.0
    seen = steps(from_places(), values)
    assert np.array_equal(seen[0], PLACES[0]) and np.array_equal(seen[1], PLACES[1])
    begin = [np.zeros(3), *PLACES][best]
    assert np.allclose(seen[2], begin - 0.1)
    assert np.allclose(seen[3], begin - 0.2)


def test_without_losses_it_goes_on_from_the_last_place():
    assert np.allclose(steps(from_places(), [None] * 3)[2], PLACES[1] - 0.1)


def test_a_place_where_there_is_no_loss_is_left():
    assert np.allclose(steps(from_places(), [2.0, jnp.nan, jnp.inf])[2], np.zeros(3) - 0.1)


class TwoValleys(TaskFamily):
    """(p² − 1)² + t p, with t at random: the lower valley is that of the other sign."""

    def sample(self, *, key):
        return 0.5 * jax.random.normal(key)

    def init(self, problem, *, key):
        return jnp.asarray(0.9)

    def loss(self, params, problem, *, key):
        return (params**2 - 1) ** 2 + problem * params


def test_a_batch_of_problems_goes_on_each_from_its_own_best_place(key):
    rule = from_places(jnp.asarray([[1.0], [-1.0]]))
    found = evaluate(rule, TwoValleys(), key=key, problems=64, marks=(20,)).losses[-1]
    alone = evaluate(rule.rule, TwoValleys(), key=key, problems=64, marks=(20,)).losses[-1]
    assert np.all(found < alone + 1e-3) and np.mean(found < alone - 0.1) > 0.3


def test_it_is_saved_with_its_places(tmp_path):
    rule = from_places()
    save(rule, tmp_path / "rule.safetensors")
    assert same(load(tmp_path / "rule.safetensors"), rule)


def test_there_is_a_place():
    with pytest.raises(InnerloopError, match="places"):
        from_places(jnp.zeros((0, 3)))
