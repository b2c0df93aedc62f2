"""Training runs: they learn, resume bit for bit, and stop with a sentence when they must."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop
import innerloop.evaluation
from helpers import lstm, metrics, stop_after
from innerloop import InnerloopError, Quadratic, TrainingSettings, train
from innerloop.mesh import problem_mesh
from innerloop.metatrain import Interrupted

SETTINGS = TrainingSettings(
    steps=12,
    problems=8,
    horizon=6,
    window=3,
    validate_every=5,
    validation_problems=8,
    log_every=2,
    checkpoint_every=4,
)


def rule():
    return lstm(preprocessing=None)


def test_a_short_run_learns(tmp_path):
    settings = dataclasses.replace(
        SETTINGS,
        steps=60,
        problems=32,
        horizon=20,
        window=10,
        validate_every=20,
        learning_rate=1e-2,
    )
    before = innerloop.evaluate(
        rule(), Quadratic(), key=jax.random.key(5), problems=64, marks=(20,)
    )
    trained = train(Quadratic(), rule(), settings=settings, out=tmp_path)
    after = innerloop.evaluate(
        trained.rule, Quadratic(), key=jax.random.key(5), problems=64, marks=(20,)
    )
    assert after.losses[-1].mean() < 0.3 * before.losses[-1].mean()
    assert trained.skipped == 0 and trained.steps == 60
    saved = innerloop.load(tmp_path)
    assert jax.tree.all(jax.tree.map(lambda a, b: jnp.array_equal(a, b), saved, trained.rule))


@pytest.mark.parametrize("steps", [3, 8])
def test_a_resumed_run_is_bit_for_bit_an_uninterrupted_one(tmp_path, monkeypatch, steps):
    whole = train(Quadratic(), rule(), settings=SETTINGS, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(Interrupted, match=f"meta-step {steps} of 12"):
            train(Quadratic(), rule(), settings=SETTINGS, out=tmp_path / "parts")
    parts = train(Quadratic(), rule(), settings=SETTINGS, out=tmp_path / "parts", resume=True)
    for one, other in zip(jax.tree.leaves(whole.rule), jax.tree.leaves(parts.rule), strict=True):
        assert np.array_equal(one, other)
    assert whole.validation == parts.validation
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "parts")


def test_a_resumed_run_drops_what_was_logged_after_its_checkpoint(tmp_path):
    train(Quadratic(), rule(), settings=SETTINGS, out=tmp_path)
    expected = metrics(tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99, "meta_loss": 0}\n{"step": 1')
    train(Quadratic(), rule(), settings=SETTINGS, out=tmp_path, resume=True)
    assert metrics(tmp_path) == expected


def test_the_number_of_devices_changes_nothing_but_rounding():
    one, two = (
        train(Quadratic(), rule(), settings=SETTINGS, mesh=problem_mesh(8, devices)).rule
        for devices in (1, 2)
    )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    train(Quadratic(), rule(), settings=SETTINGS, out=tmp_path)
    with pytest.raises(InnerloopError, match="holds a training run already"):
        train(Quadratic(), rule(), settings=SETTINGS, out=tmp_path)


def test_any_optax_transformation_is_a_meta_optimizer():
    sgd = train(Quadratic(), rule(), settings=SETTINGS, meta_optimizer=optax.sgd(1e-3))
    adam = train(Quadratic(), rule(), settings=SETTINGS)
    assert not jnp.array_equal(sgd.rule.output_weight, adam.rule.output_weight)


class Sometimes(innerloop.Task):
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
    settings = dataclasses.replace(SETTINGS, steps=20, problems=2, validation_problems=1)
    trained = train(Sometimes(0.2), rule(), settings=settings, seed=4, out=tmp_path)
    assert 0 < trained.skipped < 20
    assert metrics(tmp_path)[-1]["skipped"] == trained.skipped
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(trained.rule))


def test_a_run_that_stays_non_finite_stops_and_says_what_to_try(monkeypatch):
    monkeypatch.setattr("innerloop.metatrain.training.check_task", lambda task: None)
    settings = dataclasses.replace(SETTINGS, steps=40, patience=6)
    with pytest.raises(InnerloopError, match="smaller --learning-rate"):
        train(Sometimes(1.0), rule(), settings=settings)


NON_FINITE = {
    "truncated": {},
    "evolution": {"method": "evolution", "objective": "uniform"},
    "clip_each": {"clip_each": 1.0},
}


class Hundred(Sometimes):
    """A loss of 100 wherever one is, and NaN on problems in `odd`."""

    def loss(self, params, problem, *, key):
        return 100 + jnp.sum(jnp.where(problem, jnp.nan, 0.0) * params)


def reported(monkeypatch, out, odd, devices=1, **settings):
    monkeypatch.setattr("innerloop.metatrain.training.check_task", lambda task: None)
    settings = {"problems": 2, "validate_every": 12, "log_every": 4, "patience": 6} | settings
    settings = dataclasses.replace(SETTINGS, **settings, validation_problems=1)
    train(Hundred(odd), rule(), settings=settings, out=out, seed=3, mesh=problem_mesh(2, devices))


@pytest.mark.parametrize("how", NON_FINITE)
def test_a_mean_is_of_what_was_finite(monkeypatch, tmp_path, how):
    reported(monkeypatch, tmp_path, 0.5, **NON_FINITE[how])
    lines = metrics(tmp_path)
    assert {line["meta_loss"] for line in lines} <= {100.0, None}
    assert 0 < lines[-1]["skipped"] < 12 and any(line["diverged"] > 0 for line in lines)


@pytest.mark.parametrize("how", NON_FINITE)
def test_where_nothing_is_finite_nothing_is_reported_and_patience_ends_the_run(
    monkeypatch, tmp_path, how
):
    with pytest.raises(InnerloopError, match="has not been finite for 6 meta-steps"):
        reported(monkeypatch, tmp_path, 1.0, log_every=2, **NON_FINITE[how])
    text = (tmp_path / "metrics.jsonl").read_text()
    assert "NaN" not in text and text
    for line in metrics(tmp_path):
        assert line["meta_loss"] is None and line["grad_norm"] is None
        assert line["skipped"] == line["step"]


@pytest.mark.parametrize("how", ["evolution", "clip_each"])
def test_a_device_whose_problems_all_diverge_has_no_say(monkeypatch, tmp_path, how):
    for devices in (1, 2):
        reported(monkeypatch, tmp_path / str(devices), 0.5, devices, **NON_FINITE[how])
    assert metrics(tmp_path / "1") == metrics(tmp_path / "2")


@pytest.mark.parametrize("method", ["backprop", "evolution"])
def test_a_run_whose_steps_were_all_skipped_fails_and_keeps_nothing(monkeypatch, tmp_path, method):
    with pytest.raises(InnerloopError, match="All 12 meta-steps were skipped"):
        reported(monkeypatch, tmp_path, 1.0, patience=100, method=method)
    assert not (tmp_path / "rule.safetensors").exists()


@pytest.mark.parametrize("worst", [-np.inf, np.nan, np.inf])
def test_what_is_not_finite_is_not_the_best(monkeypatch, tmp_path, worst):
    seen = iter([3.0, worst, 2.0])

    def judged(rule, task, *, problems, **_):
        return innerloop.evaluation.Curves(np.full((7, problems), next(seen), np.float32), None)

    monkeypatch.setattr("innerloop.metatrain.training.evaluate", judged)
    trained = train(Quadratic(), rule(), settings=SETTINGS, out=tmp_path)
    assert trained.validation == 2.0
    validations = [line["validation"] for line in metrics(tmp_path) if "validation" in line]
    assert validations == [3.0, None, 2.0]
    assert "Infinity" not in (tmp_path / "metrics.jsonl").read_text()


def test_tensorboard_logs_are_written_when_asked_for(tmp_path):
    train(Quadratic(), rule(), settings=SETTINGS, out=tmp_path, tensorboard=True)
    assert list((tmp_path / "tensorboard").glob("events.*"))
    with pytest.raises(InnerloopError, match="give --out"):
        train(Quadratic(), rule(), settings=SETTINGS, tensorboard=True)


@pytest.mark.parametrize("setting", [{"steps": 0}, {"learning_rate": -1.0}, {"clip": 0.0}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(InnerloopError, match=next(iter(setting))):
        TrainingSettings(**setting)


def unchecked(**given):
    """Past __init__, whose arguments are checked in the tests, but not where there is no hook."""
    settings = object.__new__(TrainingSettings)
    for field in dataclasses.fields(TrainingSettings):
        object.__setattr__(settings, field.name, given.get(field.name, field.default))
    settings.__post_init__()
    return settings


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"steps": "100"}, "steps is '100'; it must be a whole number."),
        ({"steps": 100.0}, "steps is 100.0; it must be a whole number."),
        ({"problems": True}, "problems is True; it must be a whole number."),
        ({"learning_rate": "3e-4"}, "learning_rate is '3e-4'; it must be a number."),
        ({"clip": None}, "clip is None; it must be a number."),
        ({"shortest": 2.5}, "shortest is 2.5; it must be a whole number or None."),
        ({"stagger": 1}, "stagger is 1; it must be True or False."),
        ({"objective": "first"}, "objective is 'first'; it must be uniform, linear, last or log."),
    ],
)
def test_settings_of_another_type_are_refused(setting, sentence):
    with pytest.raises(InnerloopError, match=re.escape(sentence)):
        unchecked(**setting)


def test_numbers_of_numpy_are_settings_like_others():
    given = {"steps": np.int64(7), "learning_rate": np.float32(0.5), "stagger": np.False_}
    settings = json.loads(json.dumps(dataclasses.asdict(unchecked(**given, clip=1))))
    assert {name: settings[name] for name in given} == given and settings["clip"] == 1
    with pytest.raises(InnerloopError, match="steps is -7; it must be positive"):
        unchecked(steps=np.int64(-7))
