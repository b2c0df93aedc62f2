"""Leaps to where a network expects the solution, and the rule that goes on."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import same
from innerloop import InnerloopError, LeapRule, OptaxRule, load, save
from innerloop.rules._batch import batched

PARAMS = {"a": jnp.zeros(2), "b": jnp.zeros((2, 1), jnp.bfloat16)}
START = {"a": jnp.asarray([1.0, 2.0]), "b": jnp.asarray([[3.0], [4.0]])}
GRADS = {"a": jnp.asarray([0.5, -2.0]), "b": jnp.ones((2, 1), jnp.bfloat16)}


def leaping(key, **settings):
    """Three leaps by a network that is not 0, and then Adam."""
    rule = LeapRule(OptaxRule(optax.adam, 0.1), START, key=key, leaps=3, **settings)
    drawn = 0.1 * jax.random.normal(key, rule.output_weight.shape)
    return eqx.tree_at(lambda each: each.output_weight, rule, drawn)


def places(rule, grads, values=None):
    """Where a run is after each step at which it meets the next of `grads`."""
    params, state, seen = PARAMS, rule.init(PARAMS), []
    for number, each in enumerate(grads):
        value = None if values is None else jnp.asarray(values[number], jnp.float32)
        updates, state = rule.update(each, state, params, value=value)
        params = optax.apply_updates(params, updates)
        seen.append(params)
    return seen


def scaled(*sizes):
    def times(size):
        return jax.tree.map(lambda leaf: (size * leaf).astype(leaf.dtype), GRADS)

    return [times(size) for size in sizes]


def test_without_training_all_leaps_end_at_the_start(key):
    rule = LeapRule(OptaxRule(optax.sgd, 0.1), START, key=key, leaps=2)
    for place in places(rule, scaled(1, 2)):
        assert same(jax.tree.map(lambda a, b: a.astype(b.dtype), place, START), START)


def test_a_leap_looks_at_the_gradients_so_far_and_at_nothing_else(key):
    rule = leaping(key)
    first, again = places(rule, scaled(1, 2, 3)), places(rule, scaled(1, 5, 3))
    assert same(first[0], again[0])
    assert not np.allclose(first[1]["a"], again[1]["a"])
    assert not np.allclose(first[2]["a"], again[2]["a"])
    # Where it stands says nothing.
    moved = jax.tree.map(lambda leaf: leaf + 1, PARAMS)
    updates, _ = rule.update(GRADS, rule.init(moved), moved)
    assert np.allclose(optax.apply_updates(moved, updates)["a"], first[0]["a"])


def test_the_other_rule_begins_after_the_leaps(key):
    rule = leaping(key)
    seen = places(rule, scaled(1, 1, 1, 2, 3))
    inner, params = rule.rule, seen[2]
    state = inner.init(params)
    for each, expected in zip(scaled(2, 3), seen[3:], strict=True):
        updates, state = inner.update(each, state, params)
        params = optax.apply_updates(params, updates)
        assert same(params, expected)


@pytest.mark.parametrize("best", [0, 1, 2, 3])
def test_the_other_rule_begins_where_the_loss_was_lowest(key, best):
    rule = leaping(key)
    values = [5.0, 4.0, 7.0, 6.0, 9.0, 8.0]
    values[best] = 1.0
    grads = scaled(1, 2, 3, 4, 5, 6)
    seen = places(rule, grads, values)
    params, gradient = ([PARAMS, *seen][best], grads[best])
    state = rule.rule.init(params)
    # Once: the losses that come later lead nowhere back.
    for each, expected in zip([gradient, *grads[4:]], seen[3:], strict=True):
        updates, state = rule.rule.update(each, state, params)
        params = optax.apply_updates(params, updates)
        assert np.allclose(params["a"], expected["a"], atol=1e-6)
        params = expected


@pytest.mark.parametrize("end", [jnp.nan, jnp.inf])
def test_a_leap_to_where_there_is_no_loss_is_undone(key, end):
    rule = leaping(key)
    seen = places(rule, scaled(1, 1, 1, 1, 1), [2.0, end, end, end, 1.0])
    assert np.all(np.abs(seen[3]["a"] - PARAMS["a"]) < 0.11)
    assert np.all(np.abs(seen[4]["a"] - seen[3]["a"]) < 0.11)


@pytest.mark.parametrize("made", [(0, 0), (1, 4), (4, 5)], ids=["all", "some", "none"])
def test_a_batch_is_the_problems_one_by_one(key, made):
    rule = leaping(key)
    states = []
    for number in made:
        state = rule.init(PARAMS)
        for each in scaled(*range(1, number + 1)):
            _, state = rule.update(each, state, PARAMS, value=jnp.ones(()))
        states.append(state)

    def stacked(*trees):
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)

    rules, grads = batched(rule), scaled(2, 3)
    args = stacked(*grads), rules.pack(stacked(*states)), stacked(PARAMS, PARAMS)
    found = rules.update(*args, jnp.ones(2))
    # Compiled, as the batch is: operation by operation bfloat16 is rounded elsewhere.
    step = jax.jit(lambda grads, state: rule.update(grads, state, PARAMS, value=jnp.ones(())))
    alone = [step(*each) for each in zip(grads, states, strict=True)]
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(stacked(*alone)), strict=True):
        assert np.allclose(one, other, rtol=1e-5, atol=1e-6)


def test_outside_jit_no_condition_is_compiled_at_each_step(key, monkeypatch):
    rule = leaping(key)
    steps = scaled(1, 2, 3, 4)
    compiled = jax.jit(lambda params, state, grads: rule.update(grads, state, params))
    params, state, expected = PARAMS, rule.init(PARAMS), []
    for each in steps:
        updates, state = compiled(params, state, each)
        params = optax.apply_updates(params, updates)
        expected.append(params["a"])
    monkeypatch.setattr(jax.lax, "cond", lambda *_: pytest.fail("a condition outside jit"))
    found = [place["a"] for place in places(rule, steps)]
    assert np.allclose(found, expected, atol=1e-6)


def test_the_units_stay_and_all_else_learns(key):
    rule = leaping(key)
    weight = jnp.asarray([1.0, -1.0])  # Moves every output.

    def far(rule):
        return sum(jnp.sum(place["a"] * weight) for place in places(rule, scaled(1, 2, 3, 4)))

    gradient = eqx.filter_grad(far)(rule)
    assert not np.any(gradient.slopes) and not np.any(gradient.spread)
    for name in ("start", "first_weight", "first_bias", "second_weight", "output_weight"):
        assert np.any(getattr(gradient, name)), name


def test_units_are_those_of_gradients_and_of_distances(key):
    plain = leaping(key)
    told = leaping(key, slopes=jnp.full(4, 10.0), spread=jnp.full(4, 3.0))
    first, ten = places(plain, scaled(1))[0]["a"], places(told, scaled(10))[0]["a"]
    assert np.allclose(ten - START["a"], 3 * (first - START["a"]))


def test_no_gradient_leads_to_infinity(key):
    rule = leaping(key)
    for size in (jnp.inf, jnp.nan, 1e30):
        assert np.all(np.isfinite(places(rule, scaled(size))[0]["a"]))


def test_it_is_saved_with_the_rule_that_goes_on(key, tmp_path):
    rule = leaping(key, hidden=5)
    save(rule, tmp_path / "rule.safetensors")
    loaded = load(tmp_path / "rule.safetensors")
    grads = scaled(1, 2, 3, 4, 5)
    assert same(places(loaded, grads), places(rule, grads))


@pytest.mark.parametrize("settings", [{"leaps": 0}, {"hidden": 0}])
def test_sizes_that_make_no_sense_are_refused(key, settings):
    with pytest.raises(InnerloopError, match=next(iter(settings))):
        LeapRule(OptaxRule(optax.sgd, 0.1), START, key=key, **settings)
