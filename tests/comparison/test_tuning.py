"""The grid of learning rates, and how it is searched."""

import jax
import numpy as np
import optax
import pytest

from innerloop import Grid, InnerloopError, OptaxRule, Quadratic, TaskFamily, evaluate
from innerloop.comparison import Baseline, tune, tune_baseline
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


def test_how_many_problems_screen_does_not_depend_on_the_devices():
    # A quarter is 3, which two devices do not share evenly.
    few = evaluate(
        OptaxRule(optax.sgd, 0.1), Quadratic(3), key=jax.random.key(0), problems=12, marks=(5,)
    ).losses[-1, :3]
    grid = Grid(low=0.1, high=1.0)
    tuned = search(Quadratic(3), grid, problems=12, horizon=5)
    assert tuned.screened[grid.rates()[0]] == pytest.approx(few.mean(dtype=float), rel=1e-5)


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


class Narrow(Bowl):
    """½(θ₁² + θ₂² + 4 θ₃²): at share ¼ and rate 1 one step solves it."""

    def loss(self, params, problem, *, key):
        return 0.5 * jax.numpy.sum(jax.numpy.asarray([1.0, 1.0, 4.0]) * params**2)


def narrow_step(rate, horizon, share):
    """Gradient descent whose rate in the third direction is a share of the others'."""
    scale = jax.numpy.stack([rate, rate, rate * share])
    return optax.stateless(lambda grads, params: -scale * grads)


def search_both(baseline, problems=8):
    return tune_baseline(
        baseline, Narrow(), key=jax.random.key(0), problems=problems, horizon=3, grid=Grid(low=1e-3)
    )


@pytest.mark.parametrize("values", [(0.25, 1.0, 0.5), (1.0, 0.5, 0.25)])
def test_the_second_setting_is_found_with_the_rate_that_suits_it(values):
    tuned = search_both(Baseline("narrow", narrow_step, "share", values))
    assert tuned.second == pytest.approx(0.25) and tuned.learning_rate == pytest.approx(1, rel=0.2)
    assert tuned.validation < 1e-4


def test_a_second_setting_never_makes_a_baseline_worse():
    with_one = search_both(Baseline("both", narrow_step, "share", (1.0, 0.5, 0.25)))
    without = search_both(Baseline("one", narrow_step, "share", (1.0,)))
    assert with_one.validation < without.validation and without.second is None
    assert search_both(Baseline("no better", narrow_step, "share", (0.25, 0.6, 0.9))).second == 0.25


def test_everyone_has_the_same_number_of_tries(monkeypatch):
    tries = []

    def run(trials, pairs, problems):
        tries[-1] |= {pair for pair in pairs if pair[1] in (2.0, 3.0)}
        return {pair: abs(pair[0] - 0.1) + pair[1] for pair in pairs}

    monkeypatch.setattr("innerloop.comparison.tuning._Trials.run", run)
    for scale in (1.0, 0.3, 5.0):
        tries.append(set())
        search_both(Baseline(f"{scale}", narrow_step, "share", (1.0, 2.0, 3.0)))
    assert [len(each) for each in tries] == [8, 8, 8]


def test_a_baseline_that_is_not_tuned_runs_at_its_own_rate():
    tuned = search_both(Baseline("untuned", narrow_step, rate=0.5))
    assert tuned.learning_rate == 0.5 and set(tuned.tried) == {0.5} and not tuned.screened


def test_problems_that_do_not_fill_a_batch_count_once():
    found = [search_both(Baseline("b", narrow_step, rate=0.01), problems=n) for n in (5, 1)]
    keys = [jax.random.split(jax.random.key(0), n) for n in (5, 1)]
    for tuned, each in zip(found, keys, strict=True):
        starts = [jax.random.normal(jax.random.split(key, 3)[1], (3,)) for key in each]
        # At rate 0.01, θ₃ is not moved: the share is 0.
        moved = [0.5 * ((0.99**6) * (x[0] ** 2 + x[1] ** 2) + 4 * x[2] ** 2) for x in starts]
        assert tuned.validation == pytest.approx(float(np.mean(moved)), rel=1e-4)
