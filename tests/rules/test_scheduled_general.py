"""The general rule's schedule: a frozen network, and a factor of its steps."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop
from helpers import RULES, close, same
from innerloop import (
    InnerloopError,
    MultiRule,
    Quadratic,
    TrainingSettings,
    TruncatedBackprop,
    save,
    train,
)
from innerloop.errors import SettingsError
from innerloop.experiments import Choice, RunSettings
from innerloop.experiments.make import make_rule
from innerloop.metatrain.estimators import PersistentEvolutionStrategies
from innerloop.metatrain.estimators.persistent import _told
from innerloop.rules import ScheduledGeneralRule
from innerloop.rules.files import load
from innerloop.rules.ready import ready
from innerloop.runtime.storage import read, write_named

PARAMS = {"w": jnp.linspace(-1, 1, 6).reshape(2, 3), "b": jnp.ones(3)}


def rule():
    return RULES["scheduled-general"]()


def steps_of(optimizer, count=3):
    """The updates of `count` steps from the same parameters."""

    def body(state, _):
        updates, state = optimizer.update(PARAMS, state, PARAMS)
        return state, updates

    _, found = jax.lax.scan(body, optimizer.init(PARAMS), length=count)
    return [jax.tree.map(lambda leaf, step=step: leaf[step], found) for step in range(count)]


def test_training_moves_the_schedule_and_leaves_the_network():
    estimator = PersistentEvolutionStrategies(
        meta_batch_size=2, horizon=4, min_horizon=2, truncation=2, sigma=0.1, objective="linear"
    )
    settings = TrainingSettings(steps=2, validate_every=2, validation_problems=2)
    began = rule()
    trained = train(Quadratic(3), began, settings=settings, estimator=estimator).rule
    assert same(trained.general, began.general)
    assert float(trained.log_level) != float(began.log_level)
    assert np.all(trained.log_knots != began.log_knots)


def test_whatever_is_trained_the_network_has_no_numbers_to_train():
    assert not jax.tree.leaves(eqx.filter(rule().bits, eqx.is_inexact_array))
    estimator = TruncatedBackprop(meta_batch_size=2, horizon=2, truncation=2)
    state = estimator.init(rule(), Quadratic(3), key=jax.random.key(0))
    gradient, _, _ = eqx.filter_jit(estimator.estimate)(rule(), Quadratic(3), state)
    assert not jax.tree.leaves(gradient.bits) and float(gradient.log_level) != 0


def test_the_frozen_network_is_the_one_that_was_given():
    given = RULES["general"]()
    assert same(rule().general, given)
    assert jax.tree.structure(rule().general) == jax.tree.structure(given)
    assert ScheduledGeneralRule.around(rule().with_horizon(3)).steps == 3
    with pytest.raises(InnerloopError, match="LSTMRule; this schedule is for a GeneralRule"):
        ScheduledGeneralRule.around(RULES["lstm"]())


def test_a_step_is_the_general_rules_times_factor_and_gain():
    for told in (rule(), rule().with_horizon(3)):
        plain = steps_of(told.general.as_optax())
        for step, (mine, theirs) in enumerate(zip(steps_of(told.as_optax()), plain, strict=True)):
            # The gradient stays: its cosine with those before it is 1.
            factor = float(told.factor(step)) * np.exp(0.08 * step)
            close(mine, jax.tree.map(lambda u, c=factor: c * u, theirs), additions=40)


def gains(signs, size=1.0):
    """The gain of one array after each of some gradients, which differ by a factor."""
    told, params = rule(), {"w": jnp.ones((2, 3))}
    grad = size * jnp.arange(1.0, 7.0).reshape(2, 3)

    def body(state, sign):
        _, state = told.update({"w": sign * grad}, state, params)
        return state, state.log_gains[0]

    return np.exp(jax.lax.scan(body, told.init(params), jnp.asarray(signs))[1])


def test_the_gain_grows_while_the_gradient_keeps_its_direction():
    found = gains([1.0] * 100)
    assert np.all(np.diff(found[:38]) > 0) and found[0] == 1
    np.testing.assert_allclose(found[[1, 10, -1]], np.exp([0.08, 0.8, 3.0]), rtol=1e-4)


def test_the_gain_goes_back_to_1_where_the_gradient_turns():
    found = gains([1.0] * 20 + [1.0, -1.0] * 100)
    assert found[19] > 4 and found[-1] == 1
    assert np.all(gains([1.0, -1.0] * 20) < 1.01)


@pytest.mark.parametrize("size", [1e-6, 1e6, 1e18, jnp.inf, jnp.nan])
def test_the_gain_has_no_unit_and_is_always_finite(size):
    found = gains([1.0] * 5, size)
    assert np.all(np.isfinite(found))
    if size < 1e9:
        np.testing.assert_allclose(found, gains([1.0] * 5), rtol=1e-4)


def test_small_parameters_are_left_behind_sooner_with_the_gain():
    """‖w − 1‖² from near 0: without a gain 100 steps go a part of the way."""
    told = ScheduledGeneralRule.around(load("general")).with_horizon(100)

    def end(optimizer):
        def body(carry, _):
            params, state = carry
            updates, state = optimizer.update(2 * (params - 1), state, params)
            return (optax.apply_updates(params, updates), state), None

        start = 0.01 * jnp.ones((4, 4))
        return jnp.sum(
            (jax.lax.scan(body, (start, optimizer.init(start)), length=100)[0][0] - 1) ** 2
        )

    without = optax.chain(
        told.general.as_optax(), optax.scale_by_schedule(lambda t: told.factor(1.0 * t))
    )
    assert end(told.as_optax()) < 0.5 and end(without) > 10


def test_with_a_horizon_the_factor_is_a_line_through_the_knots_and_stays_at_the_last():
    told = rule().with_horizon(101)
    knots = 2 * np.exp(np.asarray(told.log_knots))  # So short a run takes steps twice as large.
    at = [float(told.factor(step)) for step in (0, 5, 25, 50, 75, 90, 100, 500)]
    np.testing.assert_allclose(at, [*knots, knots[-1]], rtol=1e-5)
    between = float(told.factor(15))
    np.testing.assert_allclose(between, np.sqrt(knots[1] * knots[2]), rtol=1e-5)
    assert float(rule().with_horizon(1).factor(0)) > 0


@pytest.mark.parametrize(("steps", "larger"), [(100, 2), (640, 1.25), (1000, 1), (9000, 1)])
def test_a_short_run_takes_larger_steps(steps, larger):
    told = rule().with_horizon(steps)
    assert np.isclose(float(told.factor(0)), larger * np.exp(float(told.log_knots[0])), rtol=1e-5)


def test_without_a_schedule_the_factor_is_one():
    assert [float(rule().without_schedule().factor(step)) for step in (0, 7)] == [1, 1]


def test_without_a_horizon_the_factor_rises_and_falls_by_a_power_of_time():
    factors = np.asarray(jax.vmap(rule().factor)(jnp.arange(100_000.0)))
    best = int(factors.argmax())
    assert 10 < best < 100 and np.all(np.diff(factors[:best]) > 0)
    assert np.all(np.diff(factors[best:]) <= 0)
    late = factors[90_000] / factors[22_500]  # p is ½, and τ is small beside them.
    assert late == pytest.approx(0.5, rel=0.01)


def test_a_saved_rule_has_its_network_schedule_and_horizon(tmp_path):
    told = rule().with_horizon(50)
    again = load(save(told, tmp_path / "rule.safetensors"))
    assert same(again, told) and jax.tree.structure(again) == jax.tree.structure(told)
    assert same(again.general, told.general)


@pytest.mark.parametrize("number", [np.nan, -np.inf])
def test_a_frozen_network_that_is_not_finite_is_refused(number, tmp_path):
    bits = jax.lax.bitcast_convert_type(jnp.float32(number), jnp.uint32)
    bad = eqx.tree_at(
        lambda each: each.bits.first_weight, rule(), replace_fn=lambda leaf: leaf.at[0, 0].set(bits)
    )
    for each in (bad, MultiRule({"conv": rule(), "dense": bad})):
        path = save(each, tmp_path / "bad.safetensors")
        with pytest.raises(InnerloopError, match=r"bad.safetensors is damaged: .* not finite"):
            load(path)


def test_bits_of_more_than_32_digits_are_cut_off_in_64_bit_mode_too(tmp_path, float64):
    path = save(rule(), tmp_path / "rule.safetensors")
    header, arrays = read(path)
    arrays["bits.first_weight"] = arrays["bits.first_weight"].astype(np.uint64)
    header.pop("versions")
    found = load(write_named(arrays, path, header, header.pop("run")))
    assert same(found.general, rule().general)


def test_a_run_of_it_begins_with_a_trained_general_rule(tmp_path):
    path = str(save(RULES["general"](), tmp_path / "rule.safetensors"))
    settings = RunSettings(
        task=Choice("quadratic"), rule=Choice("scheduled-general"), init_from=path
    )
    began = make_rule(settings)
    assert isinstance(began, ScheduledGeneralRule) and same(began.general, RULES["general"]())
    plain = make_rule(RunSettings(task=Choice("quadratic"), init_from=path))
    assert same(plain, RULES["general"]())


def test_about_half_of_the_runs_are_told_their_own_length():
    estimator = PersistentEvolutionStrategies(horizon=20, min_horizon=5, truncation=5)
    key = jax.random.split(jax.random.key(0), 400)
    told = jax.vmap(lambda key: _told(rule(), key, estimator._horizon(key)).steps)(key)
    lengths = np.asarray(jax.vmap(estimator._horizon)(key))
    assert 0.4 < np.mean(told > 0) < 0.6
    assert np.all((told == 0) | (told == lengths)) and {*np.unique(told)} == {0, 5, 10, 15, 20}


class Answering(innerloop.Rule):
    """A rule whose first step leads to the number of steps that it was told."""

    rate: jax.Array
    steps: jax.Array

    def with_horizon(self, steps):
        return Answering(self.rate, steps)

    def init(self, params):
        return ()

    def update(self, grads, state, params=None, *, value=None, **extra):
        return self.steps - params + 0 * self.rate, state


def test_a_run_is_told_one_length_from_its_start_to_its_end():
    estimator = PersistentEvolutionStrategies(
        meta_batch_size=32, horizon=6, min_horizon=2, truncation=2, stagger=False
    )
    rule = Answering(jnp.asarray(0.1), jnp.asarray(0))
    estimate = eqx.filter_jit(estimator.estimate)
    state = estimator.init(rule, Quadratic(2), key=jax.random.key(0))
    for _ in range(4):
        _, state, _ = estimate(rule, Quadratic(2), state)
        told, until = np.asarray(state[0].loop.params), np.asarray(state[0].until)
        assert np.all((told == 0) | (told == until[:, None, None]))
        assert {0.0, 2.0, 4.0, 6.0} == {*np.unique(told)}


def test_ready_to_use_it_needs_nothing():
    assert same(steps_of(ready(rule())), steps_of(rule().as_optax()))
    assert same(steps_of(ready(RULES["general"]())), steps_of(rule().as_optax()))
    assert same(steps_of(ready(rule(), 5)), steps_of(rule().with_horizon(5).as_optax()))


def test_ready_to_use_it_has_one_factor():
    plain, twice = steps_of(ready(rule(), 5)), steps_of(ready(rule(), 5, 2.0))
    close(twice, jax.tree.map(lambda u: 2 * u, plain), additions=4)


def test_a_schedule_takes_the_place_of_its_own_and_leaves_the_gain():
    schedule = optax.linear_schedule(1.0, 0.0, 4)
    found = steps_of(ready(rule(), None, schedule))
    for step, (mine, theirs) in enumerate(
        zip(found, steps_of(rule().general.as_optax()), strict=True)
    ):
        # The gain stays: the gradient keeps its direction.
        factor = (1 - step / 4) * np.exp(0.08 * step)
        close(mine, jax.tree.map(lambda u, c=factor: c * u, theirs), additions=40)
    with pytest.raises(InnerloopError, match="steps is 5 and learning_rate is a schedule"):
        ready(rule(), 5, schedule)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("steps", 0), ("learning_rate", 0.0), ("learning_rate", -1.0)],
)
def test_what_is_out_of_range_is_refused(argument, value):
    with pytest.raises(SettingsError) as raised:
        ready(rule(), **{argument: value})
    assert raised.value.argument == argument


def test_the_shipped_rule_is_said_to_be_missing_where_it_is(monkeypatch):
    monkeypatch.setattr("innerloop.runtime.weights.shipped", lambda *under: [])
    with pytest.raises(InnerloopError, match="No rule 'general' is shipped"):
        innerloop.general()
