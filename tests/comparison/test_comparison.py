"""Comparisons: everyone meets the same problems, and the numbers are what they say."""

import dataclasses
import json

import matplotlib.image
import numpy as np
import optax
import pytest
from matplotlib import pyplot

from helpers import close, lstm, sinusoid, small_mnist
from innerloop import OptaxRule, Quadratic, compare, plot_curves
from innerloop.cli._shown import _outcome
from innerloop.comparison import Comparison, ComparisonSettings, OptimizerRun, table
from innerloop.comparison.comparison import interval
from innerloop.errors import SettingsError, UnknownNameError
from innerloop.plots.axes import plain_ticks, scale_losses

sizes = ComparisonSettings
TWO = {"sgd": optax.sgd, "adam": optax.adam}


@pytest.fixture(scope="module")
def comparison():
    return compare(
        OptaxRule(optax.sgd, 0.01),
        Quadratic(),
        sizes(problems=8, horizon=10, validation_problems=8, reference=True),
        name="quadratic",
        baselines=TWO,
        seed=1,
    )


def test_all_meet_the_same_problems(comparison):
    starts = [run.losses[0] for run in (comparison.learned, *comparison.baselines)]
    for other in (*starts, comparison.reference.losses[0]):
        close(other, starts[0], additions=200)


def test_tuning_and_testing_share_no_problem(comparison):
    again = compare(
        OptaxRule(optax.sgd, 0.01),
        Quadratic(),
        sizes(problems=8, horizon=10, validation_problems=8),
        baselines={"sgd": optax.sgd},
        seed=1,
    )
    tuned = again.baselines[0].tuned
    at_best = again.baselines[0].losses[10].mean()
    assert abs(tuned.tried[tuned.learning_rate] - at_best) > 1e-3 * at_best


def test_results_hold_what_they_promise(comparison):
    results = json.loads(json.dumps(comparison.results(train_seconds=2.0), allow_nan=False))
    assert {"task", "horizon", "problems", "learned", "baselines", "best_baseline"} <= set(results)
    assert {"ratio", "seconds", "seed", "versions", "reference"} <= set(results)
    assert results["problems"] == 8 and results["horizon"] == 10 and results["seed"] == 1
    losses = comparison.learned.losses
    learned = results["learned"]
    assert learned["final"] == pytest.approx(losses[10].mean(), rel=1e-5)
    assert learned["final_2x"] == pytest.approx(losses[20].mean(), rel=1e-5)
    assert learned["mean"] == pytest.approx(losses[:11].mean(), rel=1e-5)
    assert learned["ci95"] == pytest.approx(1.96 * losses[10].std(ddof=1) / 8**0.5, rel=1e-5)
    best = min(results["baselines"], key=lambda name: results["baselines"][name]["final"])
    assert results["best_baseline"] == best
    assert results["ratio"] == pytest.approx(learned["final"] / results["baselines"][best]["final"])
    assert set(results["baselines"]["adam"]) >= {
        "learning_rate",
        "final",
        "ci95",
        "mean",
        "final_2x",
    }
    assert results["seconds"]["train"] == 2.0
    for row in (learned, results["reference"], *results["baselines"].values()):
        assert row["seconds_per_step"] > 0 and row["state_bytes_per_parameter"] >= 0
    assert set(results["speedup"]["steps"]) == {"value", "low", "high"}
    assert set(results["speedup"]["seconds"]) == {"value", "low", "high", "baseline"}
    assert set(results["verdict"]) == {"steps", "seconds"}


def test_the_reference_stays_out_of_the_competition(comparison):
    assert comparison.reference.losses[10].mean() < comparison.best_baseline.losses[10].mean()
    assert "l-bfgs" not in comparison.results()["baselines"]
    assert "evaluation" in comparison.results()["reference"]["order"]


def test_a_loss_that_is_not_finite_is_null():
    wild = OptaxRule(optax.sgd, 1e20)
    result = compare(
        wild, Quadratic(), sizes(problems=2, horizon=5, validation_problems=2), baselines=TWO
    ).results()
    assert result["learned"]["final"] is None and result["ratio"] is None
    json.dumps(result, allow_nan=False)


def test_the_picture_is_drawn_whatever_the_losses(comparison, tmp_path):
    path = plot_curves(comparison, tmp_path / "curves.png")
    picture = matplotlib.image.imread(path)
    assert picture.shape[0] > 500 and picture.shape[1] > 900
    wild = compare(
        OptaxRule(optax.sgd, 1e20),
        Quadratic(),
        sizes(problems=2, horizon=5, validation_problems=2),
        baselines=TWO,
    )
    assert plot_curves(wild, tmp_path / "wild.png").is_file()


@pytest.mark.parametrize(("high", "plain"), [(3.0, True), (3000.0, False)])
def test_a_log_axis_of_hardly_a_decade_has_plain_numbers(high, plain):
    figure, axes = pyplot.subplots()
    axes.semilogy([high, 1.6])
    plain_ticks(axes)
    figure.canvas.draw()
    labels = [label.get_text() for label in axes.get_yticklabels(which="both")]
    pyplot.close(figure)
    assert any(labels) and ("2" in labels) == plain and any("10^" in x for x in labels) != plain


def test_labels_of_a_decade_do_not_run_into_each_other():
    figure, axes = pyplot.subplots()
    axes.semilogy([3.0, 0.19])
    plain_ticks(axes)
    figure.canvas.draw()
    labels = [label.get_text() for label in axes.get_yticklabels(which="both")]
    pyplot.close(figure)
    assert {"0.2", "0.6", "1", "2"} < set(labels) and not {"0.7", "0.8", "0.9"} & set(labels)


def test_the_table_names_every_optimizer(comparison):
    names = list(table(comparison).columns[0].cells)
    assert names[0] == "learned" and any(name.endswith(" *") for name in names)
    assert any("reference" in name for name in names)


def test_held_out_losses_are_reported_where_there_are_any(monkeypatch):
    task = small_mnist(monkeypatch, hidden=(4,), batch=8)
    result = compare(
        lstm(), task, sizes(problems=2, horizon=3, validation_problems=2), baselines=TWO
    ).results()
    assert result["learned"]["held_out"] > 0 and result["baselines"]["adam"]["held_out"] > 0


def test_only_the_best_on_validation_problems_run_on_the_test_problems():
    three = {**TWO, "still": lambda rate: optax.sgd(1e-9 * rate)}
    done = compare(
        OptaxRule(optax.sgd, 0.01),
        Quadratic(3),
        sizes(problems=2, horizon=5, validation_problems=4, test_top_k=2),
        baselines=three,
    )
    assert [run.name for run in done.baselines] == ["sgd", "adam"]
    results = json.loads(json.dumps(done.results(), allow_nan=False))
    worst = max(row["validation"] for row in results["baselines"].values())
    assert set(results["left_out"]) == {"still"}
    assert results["left_out"]["still"]["validation"] > worst
    assert "still" in list(table(done).columns[0].cells)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("problems", 1), ("validation_problems", 0), ("horizon", 0), ("test_top_k", 0)],
)
def test_sizes_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError) as raised:
        ComparisonSettings(**{argument: value})
    assert (raised.value.argument, raised.value.value) == (argument, value)


def test_a_baseline_that_there_is_not_is_refused():
    with pytest.raises(UnknownNameError, match="no baseline 'sdg'"):
        ComparisonSettings(baselines=("sdg",))


def made(learned, best):
    """A comparison of two optimizers on two problems, by their losses at steps 0, 1 and 2."""
    runs = [np.outer(losses, [1.0, 1.0]).astype(np.float32) for losses in (learned, best)]
    return Comparison(
        task="made",
        horizon=2,
        learned=OptimizerRun("learned", runs[0]),
        baselines=[OptimizerRun("adam", runs[1])],
        reference=None,
        seed=0,
        seconds=0.0,
    )


@pytest.mark.parametrize(
    ("learned", "best", "scale"),
    [
        ((3.0, 1.0, 0.5), (3.0, 2.0, 0.0), "symlog"),  # A hinge loss that reaches 0.
        ((3.0, 1.0, 0.0), (3.0, 2.0, 0.0), "symlog"),
        ((2.0, 0.0, -2.23), (2.0, -1.0, -3.96), "linear"),  # A log likelihood.
        ((2.0, 0.0, -2.0), (2.0, 1.0, 0.5), "linear"),
    ],
)
def test_losses_that_are_not_positive_have_no_ratio(learned, best, scale, tmp_path):
    comparison = made(learned, best)
    results = json.loads(json.dumps(comparison.results(), allow_nan=False))
    assert results["ratio"] is None and comparison.ratio is None
    assert results["paired"]["difference"] == pytest.approx(learned[-1] - best[-1], rel=1e-5)
    _, axes = pyplot.subplots()
    scale_losses(axes, np.asarray([learned, best]))
    assert axes.get_yscale() == scale
    pyplot.close()
    picture = matplotlib.image.imread(plot_curves(comparison, tmp_path / "curves.png"))
    orange = np.abs(picture[..., :3] - np.asarray([0xD5, 0x5E, 0x00]) / 255).max(axis=-1) < 0.05
    assert orange.sum() > 1000  # The learned rule's line is there.


def test_positive_losses_have_a_ratio_and_a_logarithmic_axis():
    comparison = made((3.0, 1.0, 0.5), (3.0, 2.0, 1.0))
    assert comparison.ratio == pytest.approx(0.5)
    _, axes = pyplot.subplots()
    scale_losses(axes, np.asarray([1.0, 0.5, np.inf]))
    assert axes.get_yscale() == "log"
    pyplot.close()


def test_the_interval_is_the_normal_one():
    numbers = np.random.default_rng(0).normal(size=400).astype(np.float32)
    assert interval(numbers) == pytest.approx(1.96 / 20, rel=0.1)


def test_a_stochastic_task_is_compared_too():
    result = compare(
        lstm(), sinusoid(), sizes(problems=2, horizon=4, validation_problems=2), baselines=TWO
    )
    assert np.isfinite(result.ratio) and result.reference is None  # The loss has noise.


@pytest.mark.parametrize("end", [-np.inf, np.nan, np.inf])
def test_no_baseline_is_best_that_has_no_finite_mean(comparison, end):
    def ended(run, loss):
        losses = np.array(run.losses)
        losses[comparison.horizon, 0] = loss
        return dataclasses.replace(run, losses=losses)

    first, *rest = comparison.baselines
    one = dataclasses.replace(comparison, baselines=[ended(first, end), *rest])
    assert one.has_best and one.best_baseline.name != first.name
    none = dataclasses.replace(comparison, baselines=[ended(each, end) for each in [first, *rest]])
    assert not none.has_best and none.results()["ratio"] is None
    assert not any(name.endswith(" *") for name in table(none).columns[0].cells)
    assert _outcome(none) == "No baseline's mean loss at step 10 is finite: there is no best one"
    wild = dataclasses.replace(comparison, learned=ended(comparison.learned, end))
    assert "mean loss at step 10 is not finite" in _outcome(wild)
    assert wild.results()["ratio"] is None
