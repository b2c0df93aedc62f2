"""Persistent evolution strategies against evolution strategies, and the exact slope."""

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import lstm, unchecked
from innerloop import OptaxRule, Quadratic, TaskFamily, TrainingSettings, train
from innerloop.errors import RunError, SettingsError
from innerloop.inner import InnerLoop, unroll
from innerloop.metatrain.estimators import PersistentEvolutionStrategies
from innerloop.tasks.mixture import Mixture


class Bowl(TaskFamily):
    """½ Σ a θ², of two curvatures, always from the same start."""

    def sample(self, *, key):
        return None

    def init(self, problem, *, key):
        return jnp.ones(2)

    def loss(self, params, problem, *, key):
        return 0.5 * jnp.sum(jnp.asarray([1.0, 0.3]) * params**2)


class Cliff(Bowl):
    """The bowl, whose loss is NaN outside of |θ| < 2."""

    def loss(self, params, problem, *, key):
        return jnp.where(jnp.all(jnp.abs(params) < 2), 0.5 * jnp.sum(params**2), jnp.nan)


def test_it_is_evolution_strategies_where_the_truncation_is_the_horizon():
    task, rule = Quadratic(3), lstm(hidden=2, preprocessing=None)
    estimator = PersistentEvolutionStrategies(
        meta_batch_size=4, horizon=6, truncation=6, sigma=0.1, loss_bound=1e6
    )
    vector, back = jax.flatten_util.ravel_pytree(rule)

    def evolution(key):
        """(J(φ + ε) − J(φ − ε)) ε / 2σ² over a whole run."""
        change = estimator.change(key, jnp.asarray(0), vector.size)

        def judged(rule):
            return jnp.mean(unroll(rule, task, InnerLoop.init(rule, task, key[None]), 6)[1])

        return (judged(back(vector + change)) - judged(back(vector - change))) * change / 0.02

    state = estimator.init(rule, task, key=jax.random.key(0))
    for _ in range(2):  # The second time on fresh problems, by fresh changes.
        gradient, state, _ = eqx.filter_jit(estimator.estimate)(rule, task, state)
        expected = back(jnp.mean(jnp.stack([evolution(key) for key in state[0].key]), axis=0))
        jax.tree.map(
            lambda one, other: np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-4),
            gradient,
            expected,
        )
    assert len({int(step) for step in state[0].loop.step.ravel()}) == 1


RATE, HORIZON, TRUNCATION, GROUPS = 0.1, 20, 5, 64


def estimates(forget: bool):
    """The mean over the windows of a run, [groups of 64 problems]: what estimates the slope."""
    rule = OptaxRule(optax.sgd, RATE)
    estimator = PersistentEvolutionStrategies(
        meta_batch_size=64, horizon=HORIZON, truncation=TRUNCATION, sigma=1e-3, stagger=False
    )

    @jax.jit
    @jax.vmap
    def group(key):
        state, total = estimator.init(rule, Bowl(), key=key), 0.0
        for _ in range(HORIZON // TRUNCATION):
            gradient, state, _ = estimator.estimate(rule, Bowl(), state)
            total += gradient.learning_rate
            if forget:
                state = eqx.tree_at(
                    lambda state: state[0].accumulated, state, replace_fn=jnp.zeros_like
                )
        return total / (HORIZON // TRUNCATION)

    return np.asarray(group(jax.random.split(jax.random.key(0), GROUPS)))


def deviation(found):
    """How many standard errors the mean of the estimates is away from the exact slope."""

    def judged(rate):
        rule, task = OptaxRule(optax.sgd, rate), Bowl()
        loop = InnerLoop.init(rule, task, jax.random.split(jax.random.key(0), 1))
        return jnp.mean(unroll(rule, task, loop, HORIZON, second_order=True)[1])

    exact = float(jax.grad(judged)(RATE))
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert error < 0.05 * abs(exact)  # Or else the test could not tell.
    return abs(np.mean(found) - exact) / error


def test_it_is_unbiased():
    assert deviation(estimates(forget=False)) < 3


def test_without_the_accumulated_changes_it_would_be_biased():
    assert deviation(estimates(forget=True)) > 10


def test_horizons_are_drawn_and_first_problems_begin_at_random_offsets():
    estimator = PersistentEvolutionStrategies(
        meta_batch_size=200, horizon=200, min_horizon=20, truncation=10
    )
    rule = OptaxRule(optax.sgd, 0.1)
    horizons = np.asarray(jax.vmap(estimator._horizon)(jax.random.split(jax.random.key(0), 500)))
    assert horizons.min() == 20 and horizons.max() == 200 and np.all(horizons % 10 == 0)
    assert 50 <= np.median(horizons) <= 80  # √(20 · 210) is 65.
    (state,) = estimator.init(rule, Bowl(), key=jax.random.key(1))
    assert {10, 20, 50} < set(np.asarray(state.until).tolist())
    assert np.all(np.asarray(state.until) > 0)


def test_a_problem_that_ends_makes_way_for_a_fresh_one():
    estimator = PersistentEvolutionStrategies(
        meta_batch_size=2, horizon=4, truncation=2, stagger=False
    )
    rule, task = OptaxRule(optax.sgd, 0.1), Quadratic(3)
    state = estimator.init(rule, task, key=jax.random.key(0))
    keys, steps = [], []
    for _ in range(3):
        _, state, _ = estimator.estimate(rule, task, state)
        keys.append(np.asarray(jax.random.key_data(state[0].key)))
        steps.append(np.asarray(state[0].loop.step).ravel().tolist())
    assert steps == [[2] * 4, [4] * 4, [2] * 4]
    assert np.array_equal(keys[0], keys[1]) and not np.any(np.all(keys[1] == keys[2], axis=1))
    # A pair is one problem.
    target = np.asarray(state[0].loop.problem.y)
    np.testing.assert_array_equal(target[:, 0], target[:, 1])


def test_a_run_that_diverges_is_the_worse_one_to_its_end():
    # From a rate of 3 on, the first step leaves the cliff.
    rule = OptaxRule(optax.sgd, 2.9)
    estimator = PersistentEvolutionStrategies(
        meta_batch_size=64, horizon=10, truncation=5, sigma=0.3, stagger=False
    )
    state = estimator.init(rule, Cliff(), key=jax.random.key(0))
    gradient, state, metrics = estimator.estimate(rule, Cliff(), state)
    assert np.isfinite(metrics["meta_loss"]) and 0 < float(metrics["diverged"]) < 1
    assert np.isfinite(gradient.learning_rate) and float(gradient.learning_rate) > 0
    both = ~np.any(np.isfinite(np.asarray(state[0].loop.loss)), axis=1)
    one = np.sum(np.isfinite(np.asarray(state[0].loop.loss)), axis=1) == 1
    assert np.any(both) and np.any(one)
    np.testing.assert_array_equal(state[0].done, both)


def test_a_meta_loss_of_which_nothing_is_finite_is_nan():
    rule = OptaxRule(optax.sgd, 10.0)
    estimator = PersistentEvolutionStrategies(meta_batch_size=2, horizon=4, truncation=2)
    state = estimator.init(rule, Cliff(), key=jax.random.key(0))
    _, _, metrics = estimator.estimate(rule, Cliff(), state)
    assert np.isnan(metrics["meta_loss"]) and float(metrics["diverged"]) == 1
    settings = TrainingSettings(
        steps=4, validation_problems=2, checkpoint_every=None, patience=2, log_every=1
    )
    with pytest.raises(RunError, match="2 meta-steps in a row"):
        train(Cliff(), rule, settings=settings, estimator=estimator)


def test_losses_above_the_bound_count_as_the_bound():
    rule = OptaxRule(optax.sgd, 0.1)
    estimator = PersistentEvolutionStrategies(
        meta_batch_size=2, horizon=4, truncation=2, loss_bound=1e-6
    )
    state = estimator.init(rule, Bowl(), key=jax.random.key(0))
    gradient, _, metrics = estimator.estimate(rule, Bowl(), state)
    assert float(gradient.learning_rate) == 0
    np.testing.assert_allclose(metrics["meta_loss"], 1e-6, rtol=1e-6)


def test_families_of_a_mixture_are_estimated_apart():
    rule, families = OptaxRule(optax.sgd, 0.05), (Quadratic(3), Bowl())
    estimator = PersistentEvolutionStrategies(meta_batch_size=2, horizon=4, truncation=2)
    mixture, key = Mixture(families=families), jax.random.key(0)
    state = estimator.init(rule, mixture, key=key)
    gradient, after, metrics = estimator.estimate(rule, mixture, state)
    apart = [
        estimator.estimate(rule, family, estimator.init(rule, family, key=each))
        for family, each in zip(families, jax.random.split(key, 2), strict=True)
    ]
    slopes = [each[0].learning_rate for each in apart]
    np.testing.assert_allclose(gradient.learning_rate, np.mean(slopes), rtol=1e-5)
    losses = [each[2]["meta_loss"] for each in apart]
    np.testing.assert_allclose(metrics["meta_loss"], np.mean(losses), rtol=1e-6)
    assert len(after) == 2
    assert all(leaf.shape[0] == 2 for leaf in jax.tree.leaves(after))


def test_training_by_it_improves_a_rule():
    settings = TrainingSettings(
        steps=40,
        learning_rate=2e-3,
        validate_every=20,
        validation_problems=32,
        checkpoint_every=None,
    )
    estimator = PersistentEvolutionStrategies(
        meta_batch_size=8, horizon=20, truncation=5, sigma=0.002, objective="log", loss_bound=1e3
    )
    rule = OptaxRule(optax.sgd, 0.001)
    trained = train(Quadratic(3), rule, settings=settings, estimator=estimator)
    assert float(trained.rule.learning_rate) > 0.01


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("sigma", 0.0),
        ("loss_bound", 0.0),
        ("meta_batch_size", 0),
        ("truncation", 7),
        ("min_horizon", 20),
        ("min_horizon", 2000),
        ("objective", "best"),
    ],
)
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError) as raised:
        unchecked(PersistentEvolutionStrategies, **{argument: value})
    assert (raised.value.argument, raised.value.value) == (argument, value)
