"""Speed-ups of curves whose speed-up is known."""

import numpy as np
import pytest

from innerloop import InnerloopError
from innerloop.comparison.speedup import interquartile_mean, speedup


def curves(rate=0.03, steps=200, problems=200, seed=0, scale=0.3):
    """Exponential decay, each problem with a size of its own."""
    sizes = np.exp(scale * np.random.default_rng(seed).normal(size=problems))
    return sizes * np.exp(-rate * np.arange(steps + 1))[:, None]


def test_a_rule_that_is_the_baseline_has_speedup_one():
    found = speedup(curves(), curves(), horizon=100)
    assert found.steps.value == pytest.approx(1, abs=1e-9)
    assert found.steps.low <= 1 <= found.steps.high
    assert found.verdict == {"steps": "level", "seconds": "level"}
    assert found.rule_steps == found.baseline_steps == pytest.approx(100)


def test_noise_of_the_same_size_is_level():
    noise = np.random.default_rng(1).normal(0, 0.002, (2, 201, 200))
    found = speedup(curves() + noise[0], curves() + noise[1], horizon=100)
    assert found.steps.low < 1 < found.steps.high and found.verdict["steps"] == "level"


@pytest.mark.parametrize("times", [2, 4])
def test_a_rule_so_many_times_as_fast_has_that_speedup(times):
    found = speedup(curves(0.03 * times), curves(0.03), horizon=100)
    assert found.steps.value == pytest.approx(times, rel=1e-3)
    assert found.steps.low <= times <= found.steps.high + 1e-9
    assert found.verdict["steps"] == "ahead"


def test_a_rule_half_as_fast_that_never_arrives_has_a_half():
    found = speedup(curves(0.015)[:151], curves(0.03), horizon=100)
    assert found.steps.value == pytest.approx(0.5, rel=1e-3)
    assert found.rule_steps is None and found.baseline_steps == pytest.approx(50, rel=1e-3)
    assert found.verdict["steps"] == "behind"


def test_a_step_that_costs_more_takes_the_lead_away():
    found = speedup(curves(0.06), curves(0.03), horizon=100, price=28.0)
    assert found.seconds.value == pytest.approx(2 / 28, rel=1e-3)
    assert found.verdict == {"steps": "ahead", "seconds": "behind"}


def test_losses_may_be_negative_or_zero():
    found = speedup(curves(0.06) - 5, curves(0.03) - 5, horizon=100)
    assert found.steps.value == pytest.approx(2, rel=1e-2)
    floor = np.maximum(curves(0.06, scale=0.0) - 0.1, 0)
    assert speedup(floor, floor, horizon=100).steps.value > 0


def test_a_few_large_problems_alone_are_no_lead():
    """The interval of the mean is above 1; on most problems nobody is ahead, as the test finds."""
    ours = theirs = curves(scale=0.0, problems=100)
    ours = ours * (1 + 1e-6 * np.random.default_rng(0).normal(size=100))
    ours[:, :8] = 10 * curves(0.06, scale=0.0, problems=8)
    theirs = np.concatenate([10 * theirs[:, :8], theirs[:, 8:]], axis=1)
    found = speedup(ours, theirs, horizon=100)
    assert found.steps.verdict == "ahead" and found.p_value > 0.05
    assert found.verdict["steps"] == "level"


@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("ours", [True, False])
def test_where_a_loss_at_the_horizon_is_not_finite_there_is_no_speedup(loss, ours):
    broken = curves()
    broken[100, 3] = loss
    found = speedup(*((broken, curves()) if ours else (curves(), broken)), horizon=100)
    assert {*found.results()["steps"].values(), *found.results()["seconds"].values()} == {None}
    assert found.verdict == {"steps": None, "seconds": None} and np.isnan(found.p_value)
    assert found.rule_steps is None and found.baseline_steps is None


def test_the_interval_covers_the_truth_as_often_as_it_says():
    covered = 0
    for seed in range(60):
        rates = np.random.default_rng(seed).normal(0.06, 0.01, 100)
        ours = np.exp(-rates * np.arange(201)[:, None])
        found = speedup(ours, curves(0.03, problems=100, scale=0.0), horizon=100, seed=seed)
        covered += found.steps.low <= _true_speedup() <= found.steps.high
    assert covered >= 50


def _true_speedup() -> float:
    steps = np.linspace(0, 200, 20001)
    mean = np.exp(-0.06 * steps + 0.5 * (0.01 * steps) ** 2)
    return 100 / steps[np.argmax(mean <= np.exp(-3.0))]


def test_interquartile_mean_leaves_outliers_out():
    value, low, high = interquartile_mean(np.array([1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 100.0]))
    assert value == 2.0 and low <= 2.0 <= high


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"horizon": 0}, "horizon"),
        ({"horizon": 500}, "horizon"),
        ({"horizon": 100, "price": 0.0}, "price"),
    ],
)
def test_settings_out_of_range_are_refused(settings, named):
    with pytest.raises(InnerloopError, match=named):
        speedup(curves(), curves(), **settings)
