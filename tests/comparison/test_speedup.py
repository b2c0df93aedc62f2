"""Speed-ups of curves whose speed-up is known."""

import dataclasses

import jax
import numpy as np
import pytest

from innerloop import BASELINES, InnerloopError, Quadratic, evaluate
from innerloop.comparison import Comparison, OptimizerRun, Price, headline
from innerloop.comparison.speedup import Interval, interquartile_mean, speedup


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


def test_no_curve_is_faster_than_itself():
    losses = np.tile(np.asarray([8.0, 4.0, 1.0, 3.0, 2.0], np.float32)[:, None], 3)
    losses += np.arange(3, dtype=np.float32)
    assert speedup(losses, losses, horizon=4).steps == Interval(1.0, 1.0, 1.0)
    still = np.ones((5, 3), np.float32)
    assert speedup(still, still, horizon=4).steps == Interval(1.0, 1.0, 1.0)


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


def test_a_rule_that_only_climbs_has_speedup_zero():
    falling = np.geomspace(1.0, 0.1, 21)[:, None] * np.ones((1, 8))
    found = speedup(falling[::-1] * 10, falling, horizon=20)
    assert dataclasses.astuple(found.steps) == (0.0, 0.0, 0.0)
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


@pytest.fixture(scope="module")
def adam():
    """The losses of Adam over 60 steps of 64 quadratics."""
    rule = BASELINES["adam"].rule(0.1)
    return evaluate(rule, Quadratic(), key=jax.random.key(0), problems=64, marks=(60,)).losses


@pytest.mark.parametrize(("price", "seconds"), [(1.0, "level"), (1.5, "behind"), (0.5, "ahead")])
def test_a_rule_that_is_adam_is_level_with_it_in_steps(adam, price, seconds):
    found = speedup(adam, adam, horizon=30, price=price)
    assert found.steps.low <= 1 <= found.steps.high
    assert found.seconds.low <= 1 / price <= found.seconds.high
    assert found.verdict == {"steps": "level", "seconds": seconds}


@pytest.mark.parametrize(("price", "seconds"), [(1.0, "ahead"), (2.0, "level"), (4.0, "behind")])
def test_a_rule_whose_step_is_two_of_adams_has_speedup_two(adam, price, seconds):
    # That step takes two gradients, so at twice the price it is level in seconds.
    found = speedup(adam[::2], adam, horizon=30, price=price)
    assert found.steps.low - 1e-6 <= 2 <= found.steps.high + 1e-6
    assert found.steps.value == pytest.approx(2, rel=1e-6)
    assert found.seconds.value == pytest.approx(2 / price, rel=1e-6)
    assert found.verdict == {"steps": "ahead", "seconds": seconds}


def test_seconds_that_spread_from_turn_to_turn_widen_the_interval(adam):
    steady, restless = np.full(9, 0.8), np.array([0.4, 0.5, 0.6, 0.8, 0.8, 0.8, 1.2, 1.3, 1.6])
    found = speedup(adam, adam, horizon=30, price=steady)
    assert found.verdict["seconds"] == "ahead" and found.seconds.value == pytest.approx(1.25)
    found = speedup(adam, adam, horizon=30, price=restless)
    assert found.verdict["seconds"] == "level" and found.seconds.value == pytest.approx(1.25)
    assert found.seconds.low < 0.9 and found.seconds.high > 1.5
    with pytest.raises(InnerloopError, match="price"):
        speedup(adam, adam, horizon=30, price=np.array([1.0, 0.0]))


def test_prices_are_held_against_each_other_turn_by_turn():
    # The machine took twice as long in the second turn, for both.
    ours, theirs = Price(3.0, 0.0, (2.0, 4.0, 3.0)), Price(1.0, 0.0, (1.0, 2.0, 1.0))
    assert list(ours.over(theirs)) == [2.0, 2.0, 3.0]
    assert list(ours.over(Price(2.0, 0.0))) == [1.5]


def compared(adam, price, *others):
    """Two steps of Adam as a rule, against Adam and what else there is."""
    return Comparison(
        task="quadratic",
        horizon=14,
        learned=OptimizerRun("learned", adam[::2], price=Price(price, 0.0)),
        baselines=[OptimizerRun("adam", adam[:31], price=Price(1.0, 0.0)), *others],
        reference=None,
        seed=0,
        seconds=0.0,
    )


def test_both_verdicts_of_a_comparison(adam):
    found = headline(compared(adam, 2.0))
    assert found.steps.value == pytest.approx(2) and found.seconds.value == pytest.approx(1)
    assert found.verdict == {"steps": "ahead", "seconds": "level"}
    assert headline(compared(adam, 8.0)).verdict == {"steps": "ahead", "seconds": "behind"}


def test_in_seconds_a_cheaper_baseline_may_be_the_best_one(adam):
    # It is Adam with a little added, at half the price: twice as many steps in the same time.
    cheap = OptimizerRun("cheap", adam[:31] * 1.001, price=Price(0.5, 0.0))
    found = headline(compared(adam, 1.0, cheap))
    assert found.results()["speedup"]["seconds"]["baseline"] == "cheap"
    assert found.steps.value == pytest.approx(2)
    assert found.seconds.value == pytest.approx(1, rel=0.01)


def test_a_comparison_that_timed_nothing_has_no_verdict_in_seconds(adam):
    untimed = dataclasses.replace(compared(adam, 1.0), learned=OptimizerRun("learned", adam[::2]))
    assert headline(untimed).results()["speedup"].keys() == {"steps"}
