"""A rule, a task family, an estimator and an experiment of one's own, with public names alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import innerloop
from helpers import same, stop_after

FOLDER = Path(__file__).parents[2] / "examples" / "extension"
RULE, TASK, ESTIMATOR, EXPERIMENT = (
    f"{FOLDER / file}.py:{name}"
    for file, name in (
        ("rule", "SignedMomentum"),
        ("task", "Lines"),
        ("estimator", "CentralDifference"),
        ("experiment", "SmallQuadratic"),
    )
)


@pytest.fixture
def own(monkeypatch):
    """The classes, as a script beside the files would import them."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import estimator
    import rule
    import task

    return rule.SignedMomentum, task.Lines, estimator.CentralDifference


def train(own, out, **options):
    rule, task, estimator = own
    settings = innerloop.TrainingSettings(
        steps=6, validate_every=3, validation_problems=4, log_every=1, checkpoint_every=2
    )
    return innerloop.train(
        task(points=4),
        rule(first_rate=0.2),
        estimator=estimator(meta_batch_size=4, horizon=10),
        settings=settings,
        out=out,
        **options,
    )


@pytest.mark.slow
def test_from_python_it_is_trained_stopped_resumed_saved_and_loaded(own, tmp_path, monkeypatch):
    whole = train(own, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train(own, tmp_path / "parts")
    parts = train(own, tmp_path / "parts", resume=True)
    assert same(parts.rule, whole.rule) and same(innerloop.load(tmp_path / "parts"), whole.rule)

    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import innerloop\n"
        "try: innerloop.load(sys.argv[2]); raise SystemExit('loaded without its class')\n"
        "except innerloop.InnerloopError as error: assert 'not registered' in str(error)\n"
        "import rule, task\n"
        "found = innerloop.load(sys.argv[2])\n"
        "small = innerloop.ComparisonSettings(\n"
        "    problems=4, validation_problems=4, horizon=10, baselines=('adam',))\n"
        "print(float(found.log_rate), innerloop.compare(found, task.Lines(), small).problems)\n"
    )
    log_rate, problems = python("-c", script, str(FOLDER), str(tmp_path / "parts")).stdout.split()
    assert float(log_rate) == float(whole.rule.log_rate) and problems == "4"


def test_the_estimator_points_along_the_exact_gradient(own):
    _, task, estimator = own
    rule = innerloop.LSTMRule(key=jax.random.key(0), hidden=2, depth=1)
    estimate = estimator(meta_batch_size=8, horizon=5)
    keys = estimate.init(rule, task(), key=jax.random.key(1))

    def objective(rule):
        loop = innerloop.InnerLoop.init(rule, task(), keys)
        return jnp.mean(innerloop.unroll(rule, task(), loop, 5, second_order=True)[1])

    exact, _ = jax.flatten_util.ravel_pytree(jax.grad(objective)(rule))
    found, _ = jax.flatten_util.ravel_pytree(estimate.estimate(rule, task(), keys)[0])
    # It is direction · (direction · gradient), whatever the direction.
    slope = jnp.dot(found, exact)
    assert float(slope) > 0


def test_by_command_it_is_trained_killed_resumed_and_compared(tmp_path):
    words = [
        *("-m", "innerloop", "train", TASK, "--rule", RULE, "--estimator", ESTIMATOR),
        *("--task.points", "4", "--rule.first-rate", "0.2", "--estimator.horizon", "10"),
        *("--estimator.meta-batch-size", "4", "--steps", "1200", "--checkpoint-every", "200"),
        *("--validate-every", "600", "--validation-problems", "4", "--out", "mine"),
    ]
    with subprocess.Popen([sys.executable, *words], cwd=tmp_path) as process:
        while process.poll() is None and not list(tmp_path.glob("mine/checkpoints/[0-9]*")):
            time.sleep(0.02)
        assert process.poll() is None, "The run ended before it was killed."
        os.kill(process.pid, signal.SIGKILL)
    resumed = python(*words, "--resume", cwd=tmp_path)
    assert "after 1200 meta-steps" in resumed.stdout
    asked = [
        *("-m", "innerloop", "compare", "mine", "--task", TASK, "--problems", "4"),
        *("--validation-problems", "4", "--horizon", "10", "--out", "compared"),
        *("--baselines", "adam"),
    ]
    lacking = python(*asked, cwd=tmp_path, code=2)
    assert "needs the rule 'signed-momentum', which is not registered" in lacking.stderr
    python(*asked, "--rule-file", RULE, cwd=tmp_path)
    found = json.loads((tmp_path / "compared" / "results.json").read_text())
    assert found["problems"] == 4 and "adam" in found["baselines"]


def test_an_experiment_of_ones_own_has_its_settings(tmp_path):
    python(
        *("-m", "innerloop", "train", EXPERIMENT, "--steps", "2", "--validation-problems", "4"),
        *("--estimator.meta-batch-size", "4", "--out", "mine"),
        cwd=tmp_path,
    )
    rule = innerloop.load(tmp_path / "mine")
    assert isinstance(rule, innerloop.RNNpropRule) and rule.hidden == 8


def python(*words, cwd=None, code=0):
    done = subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done
