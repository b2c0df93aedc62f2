"""The grid of learning rates, and how it is searched."""

import jax
import numpy as np
import optax
import pytest

from innerloop import Grid, InnerloopError, OptaxRule, Quadratic, Task
from innerloop.comparison import tune


def search(task, grid, **settings):
    return tune(
        lambda rate: OptaxRule(optax.sgd, rate),
        task,
        **{"key": jax.random.key(0), "problems": 4, "horizon": 10, "grid": grid, **settings},
    )


class Bowl(Task):
    """½‖θ‖²: with SGD at rate r, θ_t = (1 − r)^t θ_0, so that r = 1 is exactly best."""

    def sample(self, *, key):
        return None

    def init(self, problem, *, key):
        return jax.random.normal(key, (3,))

    def loss(self, params, problem, *, key):
        return 0.5 * jax.numpy.sum(params**2)


def test_rates_are_whole_steps_of_a_logarithmic_grid():
    rates = Grid(low=1e-3, high=1e-1, points_per_decade=4).rates()
    np.testing.assert_allclose(rates, 10 ** np.arange(-3, -0.99, 0.25), rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"low": 0.1, "high": 0.1}, "no grid"),
        ({"low": 1.0, "high": 0.1}, "no grid"),
        ({"low": 0.0, "high": 0.1}, "no grid"),
        ({"points_per_decade": 3}, "at least 4"),
    ],
)
def test_a_grid_that_is_none_is_refused(settings, words):
    with pytest.raises(InnerloopError, match=words):
        Grid(**settings)


@pytest.mark.parametrize(("low", "high"), [(1e-4, 1e-3), (1e-2, 1e2), (1e2, 1e3)])
def test_the_grid_extends_itself_until_the_best_is_inside(low, high):
    tuned = search(Bowl(), Grid(low=low, high=high))
    assert tuned.learning_rate == pytest.approx(1.0, rel=0.25)
    assert min(tuned.tried) < tuned.learning_rate < max(tuned.tried)


def test_the_best_of_all_that_was_tried_is_taken():
    tuned = search(Quadratic(), Grid())
    assert tuned.tried[tuned.learning_rate] == min(tuned.tried.values())
    # The gaps beside the best coarse rate were filled.
    near = [rate for rate in tuned.tried if 0.5 < rate / tuned.learning_rate < 2]
    assert len(near) >= 5


def test_a_rate_that_diverges_counts_as_infinite():
    assert search(Quadratic(), Grid(low=1e-3, high=1e3), horizon=60).tried[1e3] == np.inf
