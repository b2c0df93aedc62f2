"""The grid of learning rates, and how it is searched."""

import jax
import numpy as np
import optax
import pytest

from innerloop import Grid, InnerloopError, OptaxRule, Quadratic, TaskFamily
from innerloop.comparison import tune
from innerloop.errors import SettingsError


def search(task, grid, **settings):
    return tune(
        lambda rate: OptaxRule(optax.sgd, rate),
        task,
        **{"key": jax.random.key(0), "problems": 4, "horizon": 10, "grid": grid, **settings},
    )


class Bowl(TaskFamily):
    """½‖θ‖²: with SGD at rate r, θ_t = (1 − r)^t θ_0, so that r = 1 is exactly best."""

    def sample(self, *, key):
        return None

    def init(self, problem, *, key):
        return jax.random.normal(key, (3,))

    def loss(self, params, problem, *, key):
        return 0.5 * jax.numpy.sum(params**2)


class Uneven(Bowl):
    """The same, but on the first quarter of eight problems a rate ten times larger is best."""

    def sample(self, *, key):
        first = [jax.random.split(one, 3)[0] for one in jax.random.split(jax.random.key(0), 8)[:2]]
        mine = [
            jax.numpy.all(jax.random.key_data(key) == jax.random.key_data(one)) for one in first
        ]
        return jax.numpy.where(mine[0] | mine[1], 0.1, 1.0)

    def loss(self, params, problem, *, key):
        return problem * super().loss(params, problem, key=key)


class Cliff(Bowl):
    def loss(self, params, problem, *, key):
        return jax.numpy.sum(jax.numpy.log(params - jax.lax.stop_gradient(params)))


def test_rates_are_whole_steps_of_a_logarithmic_grid():
    rates = Grid(low=1e-3, high=1e-1, points_per_decade=4).rates()
    np.testing.assert_allclose(rates, 10 ** np.arange(-3, -0.99, 0.25), rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "argument"),
    [
        ({"low": 0.1, "high": 0.1}, "high"),
        ({"low": 1.0, "high": 0.1}, "high"),
        ({"high": float("inf")}, "high"),
        ({"low": 0.0, "high": 0.1}, "low"),
        ({"points_per_decade": 3}, "points_per_decade"),
    ],
)
def test_a_grid_that_is_none_is_refused(settings, argument):
    with pytest.raises(SettingsError) as raised:
        Grid(**settings)
    assert raised.value.argument == argument


@pytest.mark.parametrize(("low", "high"), [(1e-4, 1e-3), (1e-2, 1e2), (1e2, 1e3)])
def test_the_grid_extends_itself_until_the_best_is_inside(low, high):
    tuned = search(Bowl(), Grid(low=low, high=high))
    assert tuned.learning_rate == pytest.approx(1.0, rel=0.25)
    assert min(tuned.tried) < tuned.learning_rate < max(tuned.tried)


def test_the_best_of_all_that_was_tried_is_taken():
    tuned = search(Quadratic(), Grid())
    assert tuned.validation == min(tuned.tried.values())
    # The gaps beside the best coarse rate were filled.
    near = [rate for rate in tuned.tried if 0.5 < rate / tuned.learning_rate < 2]
    assert len(near) >= 5


def test_the_grid_is_screened_on_a_quarter_of_the_problems():
    # What the screening says is overruled by all problems, however far they disagree.
    tuned = search(Uneven(), Grid(low=1e-3, high=1e1), problems=8, horizon=3)
    assert set(tuned.screened) >= set(Grid(low=1e-3, high=1e1).rates())
    screened = min(tuned.screened, key=lambda rate: tuned.screened[rate])
    assert screened == pytest.approx(10.0, rel=0.25)
    assert tuned.learning_rate == pytest.approx(1.0, rel=0.25)
    assert min(tuned.tried) < tuned.learning_rate < max(tuned.tried)


def test_a_rate_that_diverges_counts_as_infinite():
    grid = Grid(low=1e-3, high=1e3)
    assert search(Quadratic(), grid, horizon=60).screened[1e3] == np.inf


def test_a_task_on_which_all_rates_diverge_is_refused():
    with pytest.raises(InnerloopError, match="No learning rate from"):
        search(Cliff(), Grid())
