"""No number is reported as finite where what it stands for was not.

The tables and metrics of a comparison, of reports, of few-shot learning, of gates, of predictions
and of training: each is fed a number that is not finite.
"""

import dataclasses
import io
import json
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

import innerloop
from helpers import learner, lstm, metrics, sampler
from innerloop import InnerloopError, OptaxRule, Quadratic, TrainingSettings
from innerloop.cli._shown import _outcome
from innerloop.comparison import Comparison, OptimizerRun, table
from innerloop.comparison.speedup import interquartile_mean
from innerloop.comparison.tuning import Tuned
from innerloop.fewshot import evaluate, interval
from innerloop.fewshot.evaluation import check_finite
from innerloop.inspection import record_gates
from innerloop.inspection.steps import inspect
from innerloop.reproduce.figures import Figure
from innerloop.reproduce.report import outcome, report_of, verdict

BAD = [math.nan, math.inf, -math.inf]
HORIZON, PROBLEMS = 4, 3


def losses(scale=1.0):
    """f(θ_0) … f(θ_8) of three problems."""
    curve = scale * np.exp(-0.3 * np.arange(2 * HORIZON + 1))
    return (curve[:, None] * [1.0, 1.1, 1.3]).astype(np.float32)


def run(name, scale=1.0, tuned=True):
    held_out = np.full((2, PROBLEMS), scale, np.float32)
    how = Tuned(0.1, {0.1: 1.0}, {0.1: 1.0}) if tuned else None
    return OptimizerRun(name, losses(scale), held_out, how)


def comparison():
    return Comparison(
        task="made",
        horizon=HORIZON,
        learned=run("learned", tuned=False),
        baselines=[run("sgd", 1.5), run("adam", 2.0)],
        others=[run("other", 1.2, tuned=False)],
        reference=run("l-bfgs", 0.5, tuned=False),
        seed=0,
        seconds=0.0,
    )


def broken(run, number, step=None, held_out=False):
    """`run` with a loss of one problem that is not finite."""
    changed, seen = np.array(run.losses), np.array(run.held_out)
    if held_out:
        seen[0, 1] = number
    else:
        changed[step, 1] = number
    return dataclasses.replace(run, losses=changed, held_out=seen)


ROWS = {
    "learned": (
        lambda made, run: dataclasses.replace(made, learned=run),
        lambda made: made.learned,
    ),
    "best": (
        lambda made, run: dataclasses.replace(made, baselines=[run, made.baselines[1]]),
        lambda made: made.baselines[0],
    ),
    "another": (
        lambda made, run: dataclasses.replace(made, baselines=[made.baselines[0], run]),
        lambda made: made.baselines[1],
    ),
    "other": (
        lambda made, run: dataclasses.replace(made, others=[run]),
        lambda made: made.others[0],
    ),
    "reference": (
        lambda made, run: dataclasses.replace(made, reference=run),
        lambda made: made.reference,
    ),
}
STANDS_FOR = {
    "at the horizon": ({"step": HORIZON}, {"final", "ci95", "mean"}),
    "before it": ({"step": 2}, {"mean"}),
    "at twice it": ({"step": 2 * HORIZON}, {"final_2x"}),
    "held out": ({"held_out": True}, {"held_out"}),
}


def row_of(results, name, made):
    where = {
        "learned": lambda: results["learned"],
        "best": lambda: results["baselines"][made.baselines[0].name],
        "another": lambda: results["baselines"][made.baselines[1].name],
        "other": lambda: results["others"]["other"],
        "reference": lambda: results["reference"],
    }
    return where[name]()


@pytest.mark.parametrize("number", BAD)
@pytest.mark.parametrize("place", STANDS_FOR)
@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_results_is_null_where_it_is_not_finite(name, place, number):
    put, get = ROWS[name]
    where, lost = STANDS_FOR[place]
    made = put(comparison(), broken(get(comparison()), number, **where))
    results = json.loads(json.dumps(made.results(), allow_nan=False))
    row = row_of(results, name, made)
    assert {key for key, value in row.items() if value is None} - {"median"} == lost
    # And in the table: each number has a cell, whose words are nan or inf.
    shown = Console(width=200, record=True, file=io.StringIO())
    shown.print(table(made))
    label = {"best": "sgd", "another": "adam", "reference": "l-bfgs"}.get(name, name)
    (line,) = [each for each in shown.export_text().splitlines() if f" {label}" in each][:1]
    assert line.count("nan") + line.count("inf") == len(lost)


@pytest.mark.parametrize("number", BAD)
@pytest.mark.parametrize("names", [("learned",), ("best", "another"), tuple(ROWS)])
def test_no_ratio_difference_speedup_or_verdict_is_of_what_is_not_finite(names, number):
    made = comparison()
    for name in names:
        put, get = ROWS[name]
        made = put(made, broken(get(made), number, HORIZON))
    results = json.loads(json.dumps(made.results(), allow_nan=False))
    assert results["ratio"] is None and results["verdict"] == {"steps": None}
    assert {*results["paired"].values(), *results["speedup"]["steps"].values()} == {None}
    said = _outcome(made)
    assert "finite" in said and "times" not in said and "Speed-up" not in said


def test_infinities_of_both_signs_are_no_number():
    put, get = ROWS["learned"]
    both = np.array(get(comparison()).losses)
    both[HORIZON] = [math.inf, -math.inf, 1.0]
    made = put(comparison(), dataclasses.replace(get(comparison()), losses=both))
    row = made.results()["learned"]
    assert row["final"] is row["ci95"] is row["mean"] is None and row["median"] == 1.0
    both[HORIZON, 2] = math.inf
    assert made.results()["learned"]["median"] is None


def test_a_baseline_that_is_not_finite_leaves_the_best_alone():
    put, get = ROWS["best"]
    made = put(comparison(), broken(get(comparison()), math.nan, HORIZON))
    assert made.best_baseline.name == "adam" and made.results()["ratio"] < 1


FIGURE = Figure(name="it", source="it", claim="it", minutes=1, training_minutes=1, panels=())


@pytest.mark.parametrize("number", BAD)
def test_a_report_says_what_is_not_finite(number):
    made = comparison()
    panels = []
    for title, names in {"a": ("learned",), "b": ("best", "another"), "c": tuple(ROWS)}.items():
        for name in names:
            put, get = ROWS[name]
            made = put(made, broken(get(made), number, HORIZON))
        panels.append({"title": title, "command": "", **made.results()})
        made = comparison()
    assert [outcome(panel) for panel in panels] == ["behind", "ahead", "unknown"]
    results = {"seed": 0, "date": "", "machine": "", "seconds": 0.0, "panels": panels}
    text = report_of(FIGURE, results, shipped=True)
    assert "level" not in verdict(results) and "not to be compared" in verdict(results)
    lines = [line for line in text.splitlines() if line.startswith(("| a ", "| b ", "| c "))]
    assert all("not finite" in line for line in lines) and len(lines) == 3
    assert "not finite ± not finite" in lines[0]


@pytest.mark.parametrize("number", BAD)
def test_a_mean_over_tasks_is_of_all_of_them(number):
    assert np.all(np.isnan(interquartile_mean(np.asarray([1.0, 2.0, 3.0, number]))))


@pytest.mark.parametrize("number", BAD)
def test_an_accuracy_that_is_not_finite_is_refused_and_has_no_interval(number):
    accuracies = np.asarray([0.5, number, 1.0], np.float32)
    assert not any(map(math.isfinite, interval(accuracies)))
    with pytest.raises(InnerloopError, match="in 1 of 3 episodes"):
        check_finite(accuracies, "it")


def poisoned(tree, number):
    return jax.tree.map(
        lambda leaf: (
            jnp.full_like(leaf, number) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
        ),
        tree,
    )


@pytest.mark.parametrize("method", ["protonet", "maml", "matching", "nearest-neighbour"])
def test_a_learner_that_answers_nan_has_no_accuracy(method, key):
    found = evaluate(poisoned(learner(method), jnp.nan), sampler(), key=key, episodes=2)
    assert np.all(np.isnan(found))


def test_gates_that_are_not_finite_are_refused(key):
    mine = poisoned(learner("meta-lstm", steps=2), jnp.nan)
    with pytest.raises(InnerloopError, match=r"gates of .* are no finite numbers"):
        record_gates(mine, sampler(), key=key, episodes=1)


@pytest.mark.parametrize("rate", [math.nan, 1e30])
def test_steps_that_are_not_finite_are_refused(rate):
    with pytest.raises(InnerloopError, match="steps on this task are not finite"):
        inspect(OptaxRule(optax.sgd, rate), Quadratic(2), steps=4)


class Fixed(innerloop.MetaGradient):
    """A meta-gradient, meta-loss and share of diverged problems that are given."""

    meta_batch_size: int = 1
    horizon: int = 1
    found: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def init(self, rule, task, *, key):
        return jax.random.split(key, 1)

    def estimate(self, rule, task, state):
        gradient, loss, diverged = self.found
        gradient = jax.tree.map(lambda leaf: jnp.full_like(leaf, gradient), _floats(rule))
        metrics = {"meta_loss": jnp.asarray(loss), "diverged": jnp.asarray(diverged)}
        return gradient, state, metrics


def _floats(rule):
    return eqx.filter(rule, eqx.is_inexact_array)


@pytest.mark.parametrize("number", BAD)
@pytest.mark.parametrize("where", ["gradient", "meta-loss", "both"])
def test_metrics_of_training_are_null_where_they_are_not_finite(number, where, tmp_path):
    gradient = number if where != "meta-loss" else 0.1
    loss = number if where != "gradient" else 0.5
    settings = TrainingSettings(
        steps=2, validate_every=2, validation_problems=1, log_every=1, checkpoint_every=None
    )
    with pytest.raises(InnerloopError, match="All 2 meta-steps were skipped"):
        innerloop.train(
            Quadratic(2), lstm(), settings=settings, out=tmp_path,
            estimator=Fixed(found=(gradient, loss, 1.0)),
        )  # fmt: skip
    for line in metrics(tmp_path):
        assert line["meta_loss"] is None and line["grad_norm"] is None
        assert line["skipped"] == line["step"] and line["diverged"] == 1.0
