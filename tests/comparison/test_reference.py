"""L-BFGS: on losses without noise, counted by evaluations of the gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import close, sinusoid
from innerloop import BASELINES, Quadratic, TaskFamily, evaluate
from innerloop.comparison import is_noiseless, lbfgs
from innerloop.comparison.reference import _Counted, _minimise


class Hidden(TaskFamily):
    """Noise that does not show where all parameters are 0, which is where it starts."""

    def sample(self, *, key):
        return None

    def init(self, problem, *, key):
        return {"weight": jnp.zeros(3), "bias": jnp.zeros(())}

    def loss(self, params, problem, *, key):
        noise = jax.random.normal(key, (3,))
        return jnp.log1p(jnp.exp(params["weight"] @ noise + params["bias"]))


class Well(TaskFamily):
    """−ln(1 − |θ|²), which is infinite or not a number outside the unit ball."""

    def sample(self, *, key):
        return None

    def init(self, problem, *, key):
        return jnp.asarray([0.9, 0.3])

    def loss(self, params, problem, *, key):
        return -jnp.log(1 - jnp.sum(params**2))


def test_it_solves_quadratics_from_where_the_others_start():
    key = jax.random.key(0)
    runs = lbfgs(Quadratic(), key=key, problems=8, steps=60)
    assert runs.losses.shape == (61, 8) and runs.losses.dtype == np.float32
    sgd = evaluate(BASELINES["sgd"].rule(1e-3), Quadratic(), key=key, problems=8, marks=(2,))
    close(runs.losses[0], sgd.losses[0], additions=200)
    assert np.all(np.diff(runs.losses, axis=0) <= 0) and np.median(runs.losses[-1]) < 1e-6


def test_its_steps_are_evaluations_of_the_gradient():
    calls = []

    def function(x):
        calls.append(x)
        return float(np.sum(x**4)), 4 * x**3

    counted, start = _Counted(function, 12), np.ones(3)
    counted(start)
    _minimise(counted, start)
    values = [np.sum(x**4) for x in calls[:13]]
    assert len(calls) >= 13 and len(counted.curve()) == 13
    np.testing.assert_allclose(counted.curve(), np.minimum.accumulate(values), rtol=1e-6)


@pytest.mark.parametrize("task", [Quadratic(3), Well()])
def test_a_problem_that_cannot_get_lower_stops(task, monkeypatch):
    counts = []
    monkeypatch.setattr(
        "innerloop.comparison.reference._minimise",
        lambda function, start: (_minimise(function, start), counts.append(function.count)),
    )
    runs = lbfgs(task, key=jax.random.key(0), problems=3, steps=5000)
    assert max(counts) < 500 and np.all(np.isfinite(runs.losses))
    assert np.all(runs.losses[-1] < 1e-6)


def test_noise_is_found_out():
    key = jax.random.key(0)
    assert is_noiseless(Quadratic(3), key=key) and is_noiseless(Well(), key=key)
    assert not is_noiseless(sinusoid(), key=key) and not is_noiseless(Hidden(), key=key)
