"""Training runs: they learn, resume bit for bit, and stop with a sentence when they must."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop
import innerloop.evaluation
from helpers import close, double, lstm, metrics, stop_after, unchecked
from innerloop import (
    EvolutionStrategies,
    InnerloopError,
    Quadratic,
    TrainingSettings,
    TruncatedBackprop,
    train,
)
from innerloop.errors import FileError, RunError, SettingsError
from innerloop.metatrain import Interrupted, RunOptions
from innerloop.runtime.devices import problem_mesh

SETTINGS = TrainingSettings(
    steps=12, validate_every=5, validation_problems=8, log_every=2, checkpoint_every=4
)
ESTIMATOR = TruncatedBackprop(meta_batch_size=8, horizon=6, truncation=3)


def run(task=None, settings=SETTINGS, **arguments):
    """A short training run."""
    arguments = {"estimator": ESTIMATOR, "rule": rule(), **arguments}
    return train(task or Quadratic(), settings=settings, **arguments)


def rule():
    return lstm(preprocessing=None)


def test_a_short_run_learns(tmp_path):
    settings = dataclasses.replace(
        SETTINGS,
        steps=60,
        validate_every=20,
        learning_rate=1e-2,
    )
    before = innerloop.evaluate(
        rule(), Quadratic(), key=jax.random.key(5), problems=64, marks=(20,)
    )
    estimator = TruncatedBackprop(meta_batch_size=32, horizon=20, truncation=10)
    trained = run(settings=settings, estimator=estimator, out=tmp_path)
    after = innerloop.evaluate(
        trained.rule, Quadratic(), key=jax.random.key(5), problems=64, marks=(20,)
    )
    assert after.losses[-1].mean() < 0.3 * before.losses[-1].mean()
    assert trained.skipped == 0 and trained.steps == 60
    saved = innerloop.load(tmp_path)
    assert jax.tree.all(jax.tree.map(lambda a, b: jnp.array_equal(a, b), saved, trained.rule))


@pytest.mark.parametrize("steps", [3, 8])
def test_a_resumed_run_is_bit_for_bit_an_uninterrupted_one(tmp_path, monkeypatch, steps):
    whole = run(out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(Interrupted, match=f"meta-step {steps} of 12"):
            run(out=tmp_path / "parts")
    parts = run(out=tmp_path / "parts", resume=True)
    for one, other in zip(jax.tree.leaves(whole.rule), jax.tree.leaves(parts.rule), strict=True):
        assert np.array_equal(one, other)
    assert whole.validation == parts.validation
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "parts")


def test_a_resumed_run_drops_what_was_logged_after_its_checkpoint(tmp_path):
    run(out=tmp_path)
    expected = metrics(tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99, "meta_loss": 0}\n{"step": 1')
    run(out=tmp_path, resume=True)
    assert metrics(tmp_path) == expected


def test_the_number_of_devices_changes_nothing_but_rounding(float64):
    # Few steps, since a difference grows in training; as many problems as any devices divide.
    problems = 2 * jax.device_count()
    arguments = {
        "settings": dataclasses.replace(SETTINGS, steps=3),
        "estimator": dataclasses.replace(ESTIMATOR, meta_batch_size=problems),
    }
    one, all_of_them = (
        run(
            **arguments,
            rule=double(rule()),
            options=RunOptions(mesh=problem_mesh(problems, devices)),
        ).rule
        for devices in (1, jax.device_count())
    )
    close(all_of_them, one, additions=100_000)


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    run(out=tmp_path)
    with pytest.raises(InnerloopError, match="holds a training run already"):
        run(out=tmp_path)


def test_any_optax_transformation_is_a_meta_optimizer():
    sgd = run(options=RunOptions(meta_optimizer=optax.sgd(1e-3)))
    adam = run()
    assert not jnp.array_equal(sgd.rule.output_weight, adam.rule.output_weight)


def test_a_meta_gradient_longer_than_clip_counts_as_one_of_that_length():
    optimizer = TrainingSettings(clip=0.5).meta_optimizer()
    unit, params = jnp.asarray([0.6, 0.8]), jnp.zeros(2)

    def second_step(length):
        """After a meta-gradient of that length; Adam's first step is the same for all."""
        _, state = optimizer.update(length * unit, optimizer.init(params), params)
        return optimizer.update(0.1 * unit, state, params)[0]

    close(second_step(1000.0), second_step(0.5), additions=20)
    assert not np.allclose(second_step(0.1), second_step(0.5))


class Sometimes(innerloop.TaskFamily):
    """θ², but for one problem in `odd`, whose gradient is not a number."""

    odd: float = 0.0

    def sample(self, *, key):
        return jax.random.uniform(key) < self.odd

    def init(self, problem, *, key):
        return jnp.ones(1)

    def loss(self, params, problem, *, key):
        return jnp.sum(jnp.where(problem, jnp.nan, 1.0) * params**2)


def test_non_finite_meta_gradients_are_skipped_and_counted(monkeypatch, tmp_path):
    monkeypatch.setattr("innerloop.metatrain.training.check_task", lambda task: None)
    settings = dataclasses.replace(SETTINGS, steps=20, validation_problems=1)
    estimator = dataclasses.replace(ESTIMATOR, meta_batch_size=2)
    trained = run(Sometimes(0.2), settings, estimator=estimator, seed=4, out=tmp_path)
    assert 0 < trained.skipped < 20
    assert metrics(tmp_path)[-1]["skipped"] == trained.skipped
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(trained.rule))


def test_a_run_that_stays_non_finite_stops_and_says_what_to_try(monkeypatch):
    monkeypatch.setattr("innerloop.metatrain.training.check_task", lambda task: None)
    settings = dataclasses.replace(SETTINGS, steps=40, patience=6)
    with pytest.raises(RunError, match="smaller learning_rate"):
        run(Sometimes(1.0), settings)


WINDOWS = dataclasses.replace(ESTIMATOR, meta_batch_size=2)
NON_FINITE = {
    "truncated": WINDOWS,
    "evolution": EvolutionStrategies(meta_batch_size=2, horizon=6, objective="uniform"),
    "clip_each": dataclasses.replace(WINDOWS, clip_each=1.0),
}


class Hundred(Sometimes):
    """A loss of 100 wherever one is, and NaN on problems in `odd`."""

    def loss(self, params, problem, *, key):
        return 100 + jnp.sum(jnp.where(problem, jnp.nan, 0.0) * params)


def report(monkeypatch, out, how, odd, devices=1, **settings):
    """Run on problems of which the share `odd` has no finite loss."""
    monkeypatch.setattr("innerloop.metatrain.training.check_task", lambda task: None)
    settings = {"validate_every": 12, "log_every": 4, "patience": 6} | settings
    run(
        Hundred(odd),
        dataclasses.replace(SETTINGS, **settings, validation_problems=1),
        estimator=NON_FINITE[how],
        out=out,
        seed=3,
        options=RunOptions(mesh=problem_mesh(2, devices)),
    )


@pytest.mark.parametrize("how", NON_FINITE)
def test_a_mean_is_of_what_was_finite(monkeypatch, tmp_path, how):
    report(monkeypatch, tmp_path, how, 0.5)
    lines = metrics(tmp_path)
    assert {line["meta_loss"] for line in lines} <= {100.0, None}
    assert 0 < lines[-1]["skipped"] < 12 and any(line["diverged"] > 0 for line in lines)


@pytest.mark.parametrize("how", NON_FINITE)
def test_where_nothing_is_finite_nothing_is_reported_and_patience_ends_the_run(
    monkeypatch, tmp_path, how
):
    with pytest.raises(RunError, match="has not been finite for 6 meta-steps"):
        report(monkeypatch, tmp_path, how, 1.0, log_every=2)
    text = (tmp_path / "metrics.jsonl").read_text()
    assert "NaN" not in text and text
    for line in metrics(tmp_path):
        assert line["meta_loss"] is None and line["grad_norm"] is None
        assert line["skipped"] == line["step"]


@pytest.mark.parametrize("how", ["evolution", "clip_each"])
def test_a_device_whose_problems_all_diverge_has_no_say(monkeypatch, tmp_path, how):
    for devices in (1, 2):
        report(monkeypatch, tmp_path / str(devices), how, 0.5, devices)
    assert metrics(tmp_path / "1") == metrics(tmp_path / "2")


@pytest.mark.parametrize("how", ["truncated", "evolution"])
def test_a_run_whose_steps_were_all_skipped_fails_and_keeps_nothing(monkeypatch, tmp_path, how):
    with pytest.raises(RunError, match="All 12 meta-steps were skipped"):
        report(monkeypatch, tmp_path, how, 1.0, patience=100)
    assert not (tmp_path / "rule.safetensors").exists()


@pytest.mark.parametrize("worst", [-np.inf, np.nan, np.inf])
def test_what_is_not_finite_is_not_the_best(monkeypatch, tmp_path, worst):
    seen = iter([3.0, worst, 2.0])

    def judged(rule, task, *, problems, **_):
        return innerloop.evaluation.Curves(np.full((7, problems), next(seen), np.float32), None)

    monkeypatch.setattr("innerloop.metatrain.training.evaluate", judged)
    trained = run(out=tmp_path)
    assert trained.validation == 2.0
    validations = [line["validation"] for line in metrics(tmp_path) if "validation" in line]
    assert validations == [3.0, None, 2.0]
    assert "Infinity" not in (tmp_path / "metrics.jsonl").read_text()


def test_tensorboard_logs_are_written_when_asked_for(tmp_path):
    run(out=tmp_path, options=RunOptions(tensorboard=True))
    assert list((tmp_path / "tensorboard").glob("events.*"))
    with pytest.raises(InnerloopError, match="out is None"):
        run(options=RunOptions(tensorboard=True))


@pytest.mark.parametrize(
    ("argument", "value"),
    [("steps", 0), ("learning_rate", -1.0), ("clip", 0.0), ("clip", None), ("validate_at", 0)],
)
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError) as raised:
        unchecked(TrainingSettings, **{argument: value})
    assert (raised.value.argument, raised.value.value) == (argument, value)


def test_validation_judges_no_more_steps_than_there_are():
    with pytest.raises(SettingsError) as raised:
        run(settings=dataclasses.replace(SETTINGS, validate_over=7))
    assert raised.value.argument == "validate_over"


def test_every_report_is_given_to_the_callback(tmp_path):
    reports = []
    options = RunOptions(on_report=lambda step, entry: reports.append({"step": step, **entry}))
    run(out=tmp_path, options=options)
    assert reports == metrics(tmp_path) and any("validation" in each for each in reports)


def test_what_cannot_be_saved_is_refused_before_the_first_step(tmp_path):
    class Unsaved(innerloop.Rule):
        rate: jax.Array

        def init(self, params):
            return ()

        def update(self, grads, state, params=None, *, value=None, **extra):
            return jax.tree.map(lambda leaf: -self.rate * leaf, grads), state

    reports = []
    options = RunOptions(on_report=lambda *report: reports.append(report))
    with pytest.raises(InnerloopError, match="Unsaved"):
        run(rule=Unsaved(jnp.asarray(0.1)), out=tmp_path, options=options)
    assert reports == []
    run(rule=Unsaved(jnp.asarray(0.1)), options=options)  # With no folder it can be trained.
    assert reports


def test_a_resumed_run_is_asked_what_it_was_begun_with(tmp_path):
    def go(resume, **loop):
        options = RunOptions(description={"seed": 0, "loop": {"steps": 12, **loop}})
        return run(out=tmp_path, resume=resume, options=options)

    with pytest.raises(RunError, match="no training run in"):
        go(resume=True)
    go(resume=False, checkpoint_every=4)
    assert "steps = 12" in (tmp_path / "run.toml").read_text()
    with pytest.raises(RunError, match=r"begun with loop.clip = None, and is resumed with 2"):
        go(resume=True, clip=2.0)
    go(resume=True, checkpoint_every=6)  # Which changes nothing that is learned.
    (tmp_path / "run.toml").write_bytes(b"\xff = [")
    with pytest.raises(FileError, match="damaged"):
        go(resume=True)


def test_a_fresh_run_does_not_inherit_the_settings_of_a_killed_one(tmp_path):
    (tmp_path / "checkpoints").mkdir()  # What a run leaves that was killed before its first.
    (tmp_path / "run.toml").write_text("seed = 7\n")
    run(out=tmp_path, options=RunOptions(description={"seed": 0}))
    assert (tmp_path / "run.toml").read_text() == "seed = 0\n"
