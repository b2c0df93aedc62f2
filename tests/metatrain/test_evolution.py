"""Evolution strategies against the slope that they estimate."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import unchecked
from innerloop import (
    EvolutionStrategies,
    OptaxRule,
    Quadratic,
    TaskFamily,
    TrainingSettings,
    train,
)
from innerloop.errors import SettingsError


def estimate(estimator, rule, task, seed=0):
    state = estimator.init(rule, task, key=jax.random.key(seed))
    return estimator.estimate(rule, task, state)


class Bowl(TaskFamily):
    """‖θ‖², always from the same start."""

    def sample(self, *, key):
        return None

    def init(self, problem, *, key):
        return jnp.ones(2)

    def loss(self, params, problem, *, key):
        return jnp.sum(params**2)


def test_it_estimates_the_slope():
    # With rate η, f after t steps is 2(1 − 2η)^2t, and the log of that has slope −4t / (1 − 2η).
    rule, rate = OptaxRule(optax.sgd, 0.1), 0.1
    estimator = EvolutionStrategies(meta_batch_size=512, horizon=10, sigma=1e-3, judged=0.1)
    gradient, _, metrics = jax.jit(lambda: estimate(estimator, rule, Bowl()))()
    slope = -4 * 10 / (1 - 2 * rate)
    np.testing.assert_allclose(gradient.learning_rate, slope, rtol=0.2)
    expected = np.log(2) + 20 * np.log(1 - 2 * rate)
    np.testing.assert_allclose(metrics["meta_loss"], expected, rtol=1e-2)


def test_lengths_are_drawn_from_min_horizon_to_horizon():
    estimator = EvolutionStrategies(meta_batch_size=1, horizon=100, min_horizon=10)
    keys = jax.random.split(jax.random.key(0), 200)
    lengths = np.asarray([int(estimator._length(key)) for key in keys])
    assert lengths.min() >= 10 and lengths.max() <= 100
    assert 25 < np.median(lengths) < 40  # √(10 · 100)


def test_a_run_that_ends_in_infinity_is_the_worse_one():
    # Above a rate of 1 the bowl diverges; below it does not.
    rule = OptaxRule(optax.sgd, 1.0)
    estimator = EvolutionStrategies(meta_batch_size=64, horizon=400, sigma=0.2)
    gradient, _, metrics = jax.jit(lambda: estimate(estimator, rule, Bowl()))()
    assert float(gradient.learning_rate) > 0
    assert 0 < float(metrics["diverged"]) <= 1


def test_training_by_evolution_improves_a_rule(tmp_path):
    settings = TrainingSettings(
        steps=40,
        learning_rate=2e-3,
        validate_every=20,
        validation_problems=32,
        checkpoint_every=None,
    )
    estimator = EvolutionStrategies(meta_batch_size=8, horizon=20, sigma=0.002)
    rule, short = OptaxRule(optax.sgd, 0.001), dataclasses.replace(settings, steps=1)
    before = train(Quadratic(3), rule, settings=short, estimator=estimator)
    after = train(Quadratic(3), rule, settings=settings, estimator=estimator)
    assert after.validation < 0.8 * before.validation


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("sigma", 0.0),
        ("judged", 0.0),
        ("judged", 1.5),
        ("meta_batch_size", 0),
        ("min_horizon", 200),
        ("objective", "best"),
    ],
)
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError) as raised:
        unchecked(EvolutionStrategies, **{argument: value})
    assert (raised.value.argument, raised.value.value) == (argument, value)
