"""BFGS and L-BFGS with one evaluation a step, and the rules with a learned schedule or start."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from innerloop import (
    BFGSRule,
    InnerloopError,
    LBFGSRule,
    OptaxRule,
    Quadratic,
    ScheduledRule,
    StartedRule,
    evaluate,
    load,
    save,
)

PARAMS = {"w": jnp.ones((2, 2)), "b": jnp.zeros(2)}


def curve(rule, dimension=5, steps=60):
    task = Quadratic(dimension)
    run = evaluate(rule, task, key=jax.random.key(0), problems=8, marks=(steps,))
    return np.minimum.accumulate(np.median(run.losses, axis=1))


@pytest.mark.parametrize("rule", [BFGSRule(0.1), LBFGSRule(0.1), LBFGSRule(0.1, power=0.5)])
def test_a_quadratic_is_solved(rule):
    losses = curve(rule)
    assert losses[-1] < 1e-4 * losses[0]


def test_a_loss_that_is_not_finite_is_stepped_back_from():
    def loss(x):  # It has no value at or below 0, where the first step leads.
        return jnp.sum(x - jnp.log(x))

    optimizer = LBFGSRule(5.0).as_optax()
    params, seen = jnp.asarray([3.0]), []
    state = optimizer.init(params)
    for _ in range(25):
        value, grads = jax.value_and_grad(loss)(params)
        seen.append(float(value))
        updates, state = optimizer.update(grads, state, params, value=value)
        params = optax.apply_updates(params, updates)
    assert np.isnan(seen[1]) and abs(float(params[0]) - 1) < 1e-3


def test_the_schedule_of_a_fresh_rule_is_adam():
    one, other = ScheduledRule(PARAMS, horizon=10, rate=0.05).as_optax(), optax.adam(0.05)
    states = [one.init(PARAMS), other.init(PARAMS)]
    for number in range(3):
        grads = jax.tree.map(lambda leaf, number=number: leaf + 0.5 - number, PARAMS)
        updates, states[0] = one.update(grads, states[0], PARAMS)
        wanted, states[1] = other.update(grads, states[1], PARAMS)
        for found, each in zip(jax.tree.leaves(updates), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(found, each, rtol=1e-3)


def test_the_rate_goes_through_its_knots_and_stays_at_the_last():
    rule = ScheduledRule(PARAMS, horizon=9)
    rule = eqx.tree_at(lambda each: each.log_rates, rule, jnp.log(jnp.arange(1.0, 10.0)))
    assert [round(float(rule.rate(jnp.asarray(float(t)))), 3) for t in (0, 3, 8, 50)] == [
        1,
        4,
        9,
        9,
    ]


def test_the_first_step_leads_to_the_start_and_the_other_rule_goes_on():
    start = jax.tree.map(lambda leaf: leaf + 2.0, PARAMS)
    heavy = OptaxRule(functools.partial(optax.sgd, momentum=0.9), 0.5)
    optimizer = StartedRule(heavy, start).as_optax()
    state = optimizer.init(PARAMS)
    updates, state = optimizer.update(PARAMS, state, PARAMS)
    params = optax.apply_updates(PARAMS, updates)
    assert all(jax.tree.leaves(jax.tree.map(jnp.array_equal, params, start)))
    updates, _ = optimizer.update(PARAMS, state, params)
    np.testing.assert_array_equal(updates["w"], -0.5 * PARAMS["w"])


@pytest.mark.parametrize("rule", [BFGSRule(0.1), LBFGSRule(0.1), LBFGSRule(0.1, power=0.5)])
def test_steps_along_a_flat_slope_grow_no_faster_than_twofold(rule):
    # Each step gains; the slope goes on for long, and ends at a wall that a long step would meet.
    def slope(x):
        return jnp.exp(-0.01 * x)

    optimizer, x, steps = rule.as_optax(), jnp.zeros(()), []
    state = optimizer.init(x)
    for _ in range(12):
        value, grads = jax.value_and_grad(slope)(x)
        updates, state = optimizer.update(grads, state, x, value=value)
        x = optax.apply_updates(x, updates)
        steps.append(float(updates))
    ratios = np.asarray(steps[1:]) / np.asarray(steps[:-1])
    assert np.max(ratios) < 2.001 and steps[-1] > 10 * steps[0]


@pytest.mark.parametrize(
    "rule",
    [
        BFGSRule(0.3, size=6),
        LBFGSRule(0.3, memory=3, power=0.5),
        ScheduledRule(PARAMS, "nesterov", horizon=7, per="coordinate"),
        StartedRule(ScheduledRule(PARAMS), PARAMS),
        StartedRule(BFGSRule(0.3), PARAMS),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_they_are_saved_and_loaded(rule, tmp_path):
    again = load(save(rule, tmp_path / "rule.safetensors"))
    assert jax.tree.structure(again) == jax.tree.structure(rule)
    for one, other in zip(jax.tree.leaves(again), jax.tree.leaves(rule), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LBFGSRule(memory=0),
        lambda: LBFGSRule(power=2.0),
        lambda: BFGSRule(size=0),
        lambda: ScheduledRule(PARAMS, "sgd"),
        lambda: ScheduledRule(PARAMS, horizon=0),
        lambda: ScheduledRule(PARAMS, per="layer"),
    ],
)
def test_wrong_settings_are_refused(make):
    with pytest.raises(InnerloopError):
        make()
