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
from helpers import close, double, lstm, metrics, stop_after
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


def test_the_number_of_devices_changes_nothing_but_rounding(float64):
    # Few steps, since a difference grows in training; as many problems as any devices divide.
    settings = dataclasses.replace(SETTINGS, steps=3, problems=2 * jax.device_count())
    one, all_of_them = (
        train(
            Quadratic(), double(rule()), settings=settings, mesh=problem_mesh(count, devices)
        ).rule
        for count in [settings.problems]
        for devices in (1, jax.device_count())
    )
    close(all_of_them, one, additions=100_000)


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
