"""A learned rule that is watched, and its fallback."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop
from helpers import close, lstm, same, tree
from innerloop import InnerloopError, safeguard

ADDITIONS = 100_000  # In float64 a relative error of 2e-11.
CURVATURES = jnp.logspace(-2, 1, 6)
ADAM = optax.adam(0.01)


def bowl(params):
    return jnp.sum(CURVATURES * params**2)


def rosenbrock(params):
    return jnp.sum(100 * (params[1:] - params[:-1] ** 2) ** 2 + (1 - params[:-1]) ** 2)


def made(step):
    """A stateless transformation: `step(grads, age)` is its update, `age` its own."""

    def update(grads, age, params=None, **extra):
        return jax.tree.map(lambda leaf: step(leaf, age).astype(leaf.dtype), grads), age + 1

    return optax.GradientTransformationExtraArgs(lambda params: jnp.zeros((), jnp.int32), update)


BAD = {
    "nan": made(lambda g, age: g * jnp.nan),
    "infinite": made(lambda g, age: g + jnp.inf),
    "huge": made(lambda g, age: -1e12 * g),
    "large": made(lambda g, age: -1.0 * g),
    "up": made(lambda g, age: 0.1 * g),
    "frozen": made(lambda g, age: 0.0 * g),
    "slow": made(lambda g, age: -1e-6 * g),
    "nan later": made(lambda g, age: jnp.where(age < 40, -0.04 * g, jnp.nan)),
    "huge later": made(lambda g, age: jnp.where(age < 40, -0.04, -1e3) * g),
}


def run(optimizer, params, steps, loss=bowl, key=None):
    """(parameters at the end, losses, whether each step was the learned rule's)."""

    def body(carry, t):
        params, state = carry
        noise = 0.0 if key is None else jax.random.normal(jax.random.fold_in(key, t))
        value, grads = jax.value_and_grad(lambda p: loss(p) * (1 + 0.02 * noise))(params)
        updates, state = optimizer.update(grads, state, params, value=value)
        return (optax.apply_updates(params, updates), state), (
            value,
            state.watch.learned if hasattr(state, "watch") else False,
        )

    @jax.jit
    def go(params):
        return jax.lax.scan(body, (params, optimizer.init(params)), jnp.arange(steps))

    (params, _), (losses, learned) = go(params)
    return params, np.asarray(losses), np.asarray(learned)


@pytest.mark.parametrize("name", ["large", "up", "slow", "nan later", "huge later"])
def test_a_bad_rule_costs_next_to_nothing(float64, name):
    def loss(params):
        return 1e3 * bowl(params) - 7.0

    params, offset = jnp.linspace(-1.5, 1.5, 6), loss(jnp.zeros(6))
    guarded, _, _ = run(safeguard(BAD[name], ADAM), params, 300, loss)
    alone, _, _ = run(ADAM, params, 300, loss)
    assert loss(guarded) - offset <= 1.05 * (loss(alone) - offset)


@pytest.mark.parametrize("name", ["nan", "infinite", "huge", "frozen"])
def test_a_rule_that_promises_nothing_is_never_followed(float64, name):
    params = jnp.ones(6)
    _, losses, learned = run(safeguard(BAD[name], ADAM), params, 50)
    _, expected, _ = run(ADAM, params, 50)
    assert not learned.any()
    close(losses, expected, additions=ADDITIONS)


def test_a_trial_that_fails_leads_back_to_the_fallbacks_own_path(float64):
    _, losses, learned = run(safeguard(BAD["large"], ADAM), jnp.ones(6), 12)
    _, expected, _ = run(ADAM, jnp.ones(6), 12)
    assert learned.tolist()[:3] == [True, False, False]
    # One loss was that of the trial; after it come those of the fallback, one later.
    close(losses[2:11], expected[1:10], additions=ADDITIONS)


def test_trials_grow_rarer():
    _, _, learned = run(safeguard(BAD["large"], ADAM), jnp.ones(6), 2000)
    assert 2 <= learned.sum() <= 5


def test_a_rule_far_ahead_stays_in_charge(float64):
    good = made(lambda g, age: -0.04 * g)
    params = jnp.ones(6)
    _, losses, learned = run(safeguard(good, optax.sgd(1e-4)), params, 200)
    _, expected, _ = run(good, params, 200)
    assert learned.all()
    close(losses, expected, additions=ADDITIONS)


def test_it_returns_when_it_is_safe():
    # Its steps are too long until the valley is flat.
    def changing(params):
        return jnp.where(jnp.abs(params[0]) > 0.9, 5.0, 1.0) * 0.5 * jnp.sum(params**2)

    _, _, learned = run(
        safeguard(made(lambda g, age: -0.5 * g), optax.adam(1e-3)), jnp.ones(1), 400, changing
    )
    assert not learned[:100].any() and learned[150:].all()


def test_a_loss_that_is_not_finite_leads_back():
    optimizer, params = safeguard(made(lambda g, age: -0.04 * g), optax.sgd(1e-3)), jnp.ones(6)
    state = optimizer.init(params)
    value, grads = jax.value_and_grad(bowl)(params)
    updates, state = optimizer.update(grads, state, params, value=value)
    assert bool(state.watch.learned)
    away = optax.apply_updates(params, updates)
    for bad_value, bad_grads in [(jnp.nan, grads), (value, grads * jnp.inf)]:
        updates, after = optimizer.update(bad_grads, state, away, value=jnp.asarray(bad_value))
        assert not bool(after.watch.learned)
        home = optax.apply_updates(away, updates)
        close(home, params - 1e-3 * grads, additions=8)


def test_no_run_of_known_length_ends_in_a_trial():
    good = made(lambda g, age: -0.04 * g)
    optimizer = safeguard(good, optax.sgd(1e-4), steps=1)
    _, _, learned = run(optimizer, jnp.ones(6), 50)
    assert learned[0]  # Begun at the beginning, which is always allowed.
    _, _, learned = run(safeguard(BAD["large"], ADAM, steps=100), jnp.ones(6), 2000)
    assert not learned[80:].any()


def test_noise_is_no_divergence(key):
    good = made(lambda g, age: -0.04 * g)
    _, _, learned = run(safeguard(good, optax.sgd(1e-4)), jnp.ones(6), 200, key=key)
    assert learned.mean() > 0.5


@pytest.mark.parametrize("name", ["lstm-quadratic", "tensorwise-mnist"])
def test_shipped_rules_on_problems_they_were_not_trained_for(name):
    rule = innerloop.load(name)
    stretched = jnp.logspace(-2, 2, 6)
    problems = {
        "stretched": (lambda p: jnp.sum(stretched * p**2), jnp.linspace(-1, 1.4, 6)),
        "rosenbrock": (rosenbrock, jnp.asarray([-1.2, 1.0])),
    }
    for loss, params in problems.values():
        guarded, _, _ = run(safeguard(rule, ADAM, steps=200), params, 200, loss)
        alone, _, _ = run(ADAM, params, 200, loss)
        assert loss(guarded) <= 1.05 * loss(alone)


def test_in_its_own_family_a_rule_is_left_alone():
    task, rule = innerloop.Quadratic(), innerloop.load("lstm-quadratic")
    problem = task.sample(key=jax.random.key(0))
    params = task.init(problem, key=jax.random.key(1))

    def loss(params):
        return task.loss(params, problem, key=jax.random.key(0))

    guarded, _, _ = run(safeguard(rule, ADAM), params, 100, loss)
    alone, _, _ = run(rule.as_optax(), params, 100, loss)
    assert loss(guarded) <= 1.05 * loss(alone)


def test_keeps_structure_shapes_and_dtypes():
    params, optimizer = tree(), safeguard(lstm(), optax.adam(1e-3))
    state = optimizer.init(params)
    kinds = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (params, state))
    step = jax.jit(lambda s, p, v: optimizer.update(p, s, p, value=v))
    for value in (3.0, 2.0, jnp.nan):
        updates, state = step(state, params, jnp.asarray(value))
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (updates, state)) == kinds


@pytest.mark.parametrize("params", [{}, {"none": None}, jnp.zeros(0), (jnp.ones(()),)])
def test_runs_on_odd_trees(params):
    optimizer = safeguard(lstm(), optax.adam(1e-3))
    updates, _ = optimizer.update(params, optimizer.init(params), params, value=jnp.ones(()))
    assert jax.tree.structure(updates) == jax.tree.structure(params)


def test_many_at_once_are_the_same_as_one_by_one(float64):
    params = jnp.stack([jnp.linspace(-1, 1, 6), jnp.ones(6)])
    optimizer = safeguard(BAD["huge later"], ADAM)

    def final(params):
        def body(carry, _):
            value, grads = jax.value_and_grad(bowl)(carry[0])
            updates, state = optimizer.update(grads, carry[1], carry[0], value=value)
            return (optax.apply_updates(carry[0], updates), state), None

        return jax.lax.scan(body, (params, optimizer.init(params)), length=60)[0][0]

    together = jax.jit(jax.vmap(final))(params)
    for row, alone in zip(together, params, strict=True):
        close(row, jax.jit(final)(alone), additions=ADDITIONS)


def test_the_state_can_be_donated():
    params, optimizer = tree(), safeguard(lstm(), optax.adam(1e-3))
    step = jax.jit(
        lambda state: optimizer.update(params, state, params, value=jnp.ones(()))[1],
        donate_argnums=0,
    )
    state = step(step(optimizer.init(params)))
    # The parameters that were given are not the state's own.
    assert same(params, tree()) and not any(leaf.is_deleted() for leaf in jax.tree.leaves(state))


def test_stands_in_a_chain():
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), safeguard(lstm(), ADAM))
    updates, _ = optimizer.update(
        jnp.ones(3), optimizer.init(jnp.ones(3)), jnp.ones(3), value=jnp.ones(())
    )
    assert np.all(np.isfinite(updates))


def test_units_that_a_learned_step_switches_off_come_back():
    """The loss falls and stays where it is, as on a network of dead ReLUs."""

    def loss(params):
        return jnp.sum((jax.nn.relu(params) - 2) ** 2)

    def switches_off(params):
        return run(optax.with_extra_args_support(optax.sgd(1.0)), params, 3, loss)[0]

    start = jnp.full(10, 10.0)
    assert loss(switches_off(start)) < loss(start) and jnp.all(
        jax.grad(loss)(switches_off(start)) == 0
    )
    _, losses, learned = run(safeguard(optax.sgd(1.0), optax.adam(0.1)), start, 400, loss)
    assert learned[0] and losses[-1] < 1e-3


def test_says_what_is_missing():
    optimizer, params = safeguard(lstm(), ADAM), jnp.ones(3)
    state = optimizer.init(params)
    with pytest.raises(InnerloopError, match="value is None"):
        optimizer.update(params, state, params)
    with pytest.raises(InnerloopError, match="params is None"):
        optimizer.update(params, state, value=jnp.ones(()))
    with pytest.raises(InnerloopError, match="steps is 0"):
        safeguard(lstm(), ADAM, steps=0)
