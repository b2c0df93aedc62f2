"""Rules in files: what is written is read back, and nothing else is."""

import functools
import json
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings, strategies as st

from helpers import COORDINATEWISE, RULES, lstm
from innerloop import InnerloopError, MetaSGDRule, MultiRule, OptaxRule, Rule, load, register, save
from innerloop.rules.files import check_savable, describe, shipped


def rewritten(path, change_header=lambda header: header, change_tensors=lambda tensors: tensors):
    """The file at `path` with its header or its arrays changed."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["innerloop"])
    tensors = change_tensors(safetensors.numpy.load(data))
    path.write_bytes(
        safetensors.numpy.save(tensors, {"innerloop": json.dumps(change_header(header))})
    )
    return path


@pytest.fixture
def path(tmp_path):
    return save(lstm(), tmp_path / "rule.safetensors", run={"seed": 3})


@pytest.mark.parametrize("name", COORDINATEWISE)
def test_a_saved_rule_is_read_back_whole(tmp_path, name):
    rule = RULES[name]()
    again = load(save(rule, tmp_path / "deep" / "rule.safetensors"))
    assert jax.tree.structure(again) == jax.tree.structure(rule)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), again, rule))


def test_a_folder_stands_for_the_rule_in_it(path):
    assert load(path.parent).hidden == 5


def test_the_header_tells_what_the_rule_is_and_where_it_came_from(path):
    header = describe(path)
    assert header["rule"] == "lstm" and header["run"] == {"seed": 3}
    assert header["settings"]["hidden"] == 5 and "jax" in header["versions"]


def test_every_shipped_rule_loads():
    for name in shipped():
        rule = load(name)
        parts = rule.rules if isinstance(rule, MultiRule) else {"": rule}
        assert all(part.as_optax().init(jnp.zeros(3)) for part in parts.values())


def test_rules_for_parts_are_saved_together(tmp_path):
    rule = MultiRule({"conv": lstm(0), "dense": RULES["rnnprop"]()})
    again = load(save(rule, tmp_path / "both.safetensors"))
    assert jax.tree.structure(again) == jax.tree.structure(rule)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), again, rule))


@pytest.mark.parametrize("name", ["lstm-gac", "meta-lstm", "rnnprop"])
def test_other_kinds_come_back_as_they_were(tmp_path, name):
    rule = RULES[name]()
    again = load(save(rule, tmp_path / "rule.safetensors"))
    assert jax.tree.structure(again) == jax.tree.structure(rule)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), again, rule))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h: {**h, "format": 99}, "format 99"),
        (
            lambda h: {**h, "rule": "transformer"},
            "needs the rule 'transformer', which is not regist",
        ),
        (lambda h: {**h, "rule": "os:system"}, "needs the rule 'os:system'"),
        (lambda h: {**h, "settings": {**h["settings"], "hidden": 6}}, "do not fit"),
        (lambda h: {**h, "settings": {"width": 5}}, "settings make no"),
        (lambda h: {**h, "settings": [5]}, "settings make no"),
        (lambda h: [h], "not one that innerloop wrote"),
    ],
)
def test_another_header_is_refused(path, change, words):
    with pytest.raises(InnerloopError, match=words):
        load(rewritten(path, change_header=change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: {**t, "output_bias": np.full(1, np.nan, np.float32)}, "not finite"),
        (lambda t: {**t, "output_bias": np.zeros(1, np.int32)}, "do not fit"),
        (lambda t: {**t, "extra": np.zeros(1, np.float32)}, "do not fit"),
        (lambda t: {k: v for k, v in t.items() if k != "output_bias"}, "do not fit"),
    ],
)
def test_other_arrays_are_refused(path, change, words):
    with pytest.raises(InnerloopError, match=words):
        load(rewritten(path, change_tensors=change))


def test_a_foreign_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(safetensors.numpy.save({"w": np.zeros(3)}))
    with pytest.raises(InnerloopError, match="not one that innerloop wrote"):
        load(path)


def test_what_is_nowhere_is_refused():
    with pytest.raises(InnerloopError, match=r"no shipped rule .*Did you mean 'lstm-quadratic'"):
        load("lstm-quadratics")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_truncated_file_is_refused(path, data):
    content = path.read_bytes()
    cut = path.with_name("cut.safetensors")
    cut.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(InnerloopError, match=r"damaged|truncated"):
        load(cut)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_header_is_refused_or_harmless(path, data):
    content = bytearray(path.read_bytes())
    length = 8 + int.from_bytes(content[:8], "little")
    for place in data.draw(st.lists(st.integers(0, length - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    damaged = path.with_name("damaged.safetensors")
    damaged.write_bytes(content)
    try:
        rule = load(damaged)
    except InnerloopError:
        return
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(rule))


def same(one, other):
    return jax.tree.structure(one) == jax.tree.structure(other) and jax.tree.all(
        jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), one, other)
    )


@pytest.mark.parametrize(
    "make",
    [optax.adam, functools.partial(optax.sgd, momentum=0.9, nesterov=True)],
    ids=["adam", "nesterov"],
)
def test_an_optimizer_of_optax_is_saved_by_its_name(tmp_path, make):
    again = load(save(OptaxRule(make, 0.1), tmp_path / "rule.safetensors"))
    grads = {"w": jnp.asarray([1.0, -2.0])}
    steps = [
        rule.update(grads, rule.init(grads), grads)[0] for rule in (again, OptaxRule(make, 0.1))
    ]
    assert same(*steps)


@pytest.mark.parametrize(
    "make",
    [
        *(optax.sgd, optax.rmsprop, optax.adam, optax.adamw),
        functools.partial(optax.sgd, momentum=0.9, nesterov=True),
    ],
)
def test_an_optimizer_of_optax_can_be_saved(make):
    check_savable(OptaxRule(make, 0.1))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda rate: optax.adam(rate), "function of Optax"),
        (functools.partial(optax.adam, 0.1), "function of Optax"),
        (functools.partial(optax.adamw, mask=lambda tree: tree), "mask = "),
    ],
)
def test_an_optimizer_that_a_file_cannot_name_is_refused(tmp_path, make, words):
    for refused in (check_savable, lambda rule: save(rule, tmp_path / "rule.safetensors")):
        with pytest.raises(InnerloopError, match=words):
            refused(OptaxRule(make, 0.1))


@pytest.mark.parametrize("name", ["eval", "chain", "apply_updates", "__class__", 3])
def test_a_file_cannot_name_another_function(tmp_path, name):
    path = save(OptaxRule(optax.adam, 0.1), tmp_path / "rule.safetensors")
    settings = {"optimizer": name, "settings": {}}
    with pytest.raises(InnerloopError, match="settings make no rule"):
        load(rewritten(path, change_header=lambda h: {**h, "settings": settings}))


def test_rates_for_every_parameter_come_back_with_their_structure(tmp_path):
    params = {"layers": [{"w": jnp.ones((2, 3))}, ()], "b": (jnp.ones(()), jnp.zeros((0, 2)))}
    rule = MetaSGDRule(params, 0.3)
    check_savable(rule)
    assert same(load(save(rule, tmp_path / "rule.safetensors")), rule)


class Unnamed(Rule):
    def init(self, params):
        return ()

    def update(self, grads, state, params=None, *, value=None, **extra):
        return grads, state


def test_a_rule_without_a_name_is_refused_before_training(tmp_path):
    for refused in (check_savable, lambda rule: save(rule, tmp_path / "rule.safetensors")):
        with pytest.raises(InnerloopError, match=r"Unnamed cannot be saved, .*innerloop.register"):
            refused(Unnamed())


@register("test-forgetful")
class Forgetful(Unnamed):
    rate: jax.Array

    def __init__(self, size: int):
        self.rate = jnp.ones(size)


def test_a_rule_that_forgets_what_it_was_made_with_is_refused():
    with pytest.raises(InnerloopError, match=r"Forgetful .*: its argument size is no field"):
        check_savable(Forgetful(3))


@register("test-settings")
class Settings(Unnamed):
    rate: jax.Array
    period: Any = eqx.field(static=True)

    def __init__(self, *, period=1):
        self.rate, self.period = jnp.ones(()), period


@pytest.mark.parametrize("period", [100_000, 0.5, "long", None, True, (1, (2.5, "x"))], ids=str)
def test_settings_of_ones_own_rule_come_back(tmp_path, period):
    rule = Settings(period=period)
    check_savable(rule)
    assert same(load(save(rule, tmp_path / "rule.safetensors")), rule)


@pytest.mark.parametrize(
    "period", [float("nan"), float("inf"), max, 10**20, {3}], ids=lambda value: f"{value!r:.20}"
)
def test_a_setting_that_a_file_would_lose_is_refused_before_training(period):
    with pytest.raises(InnerloopError, match="Settings cannot be saved: its period is"):
        check_savable(Settings(period=period))


@register("test-slowed")
class Slowed(Rule):
    """A rule around another, written as a dataclass."""

    rule: Rule
    log_rates: dict[str, jax.Array]

    def init(self, params):
        return self.rule.init(params)

    def update(self, grads, state, params=None, *, value=None, **extra):
        updates, state = self.rule.update(grads, state, params, value=value)
        return jax.tree.map(lambda u: jnp.exp(self.log_rates["all"]) * u, updates), state


@pytest.mark.parametrize(
    "inner",
    [
        lambda: lstm(),
        lambda: OptaxRule(functools.partial(optax.sgd, momentum=0.9), 0.1),
        lambda: MultiRule({"w": RULES["rnnprop"]()}),
    ],
    ids=["lstm", "optax", "multi"],
)
def test_a_rule_around_another_comes_back_with_it(tmp_path, inner):
    rule = Slowed(inner(), {"all": jnp.asarray(-1.5)})
    check_savable(rule)
    assert same(load(save(rule, tmp_path / "rule.safetensors")), rule)


@register("test-leaves")
class Leaves(Unnamed):
    leaf: Any


@pytest.mark.parametrize("leaf", [0.1, "text", jax.random.key(0)], ids=["number", "text", "key"])
def test_a_leaf_that_is_no_array_is_refused_before_training(leaf):
    with pytest.raises(InnerloopError, match="Leaves cannot be saved: "):
        check_savable(Leaves(leaf))


@register("test-grown")
class Grown(Unnamed):
    rates: jax.Array

    def __init__(self):
        self.rates = jnp.ones(2)


def test_a_rule_that_is_not_what_its_settings_make_is_refused():
    grown = eqx.tree_at(lambda rule: rule.rates, Grown(), jnp.ones(3))
    check_savable(Grown())
    with pytest.raises(InnerloopError, match="Grown cannot be saved: made again from its settings"):
        check_savable(grown)


def test_a_file_of_a_rule_that_this_process_has_not_got_says_which(tmp_path):
    path = save(Settings(), tmp_path / "rule.safetensors")
    path = rewritten(path, change_header=lambda header: {**header, "rule": "test-elsewhere"})
    with pytest.raises(InnerloopError, match=r"needs the rule 'test-elsewhere', .*not registered"):
        load(path)


def test_arrays_have_the_dtype_of_the_file_in_64_bit_mode(tmp_path):
    path = save(lstm(), tmp_path / "rule.safetensors")
    with jax.enable_x64(True):
        rule = load(path)
        assert {leaf.dtype.name for leaf in jax.tree.leaves(rule)} == {"float32"}
        for name in shipped():
            load(name)
        wide = save(lstm(), tmp_path / "wide.safetensors")
    assert same(jax.tree.map(jnp.shape, load(wide)), jax.tree.map(jnp.shape, rule))


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InnerloopError, match="Cannot write"):
        save(lstm(), tmp_path / "file" / "rule.safetensors")


@pytest.mark.parametrize(
    "changed",
    [
        {"depth": 10**9},
        {"depth": 60_000},
        {"hidden": 10**12},
        {"hidden": 65_537},
        {"hidden": True},
        {"hidden": 5.0},
        {"hidden": "5"},
        {"hidden": [5]},
        {"hidden": None},
        {"output_scale": float("nan")},
        {"output_scale": float("inf")},
        {"output_scale": True},
        {"preprocessing": "10"},
        {"preprocessing": 10**400},
        {"key": 1},
        {"state_dtype": "object"},
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused_at_once(path, changed):
    def change(header):
        return {**header, "settings": {**header["settings"], **changed}}

    began = time.perf_counter()
    with pytest.raises(InnerloopError, match="settings make no rule 'lstm'"):
        load(rewritten(path, change_header=change))
    assert time.perf_counter() - began < 5


def test_more_parts_than_arrays_are_refused_at_once(path):
    def change(header):
        part = {"rule": "lstm", "settings": header["settings"]}
        parts = {str(number): part for number in range(5000)}
        return {**header, "rule": "multi", "settings": parts}

    with pytest.raises(InnerloopError, match="settings make no rule 'multi'"):
        load(rewritten(path, change_header=change))


def test_a_header_that_is_nested_too_deep_is_refused(path):
    data = safetensors.numpy.save({"w": np.zeros(3)}, {"innerloop": "[" * 100_000})
    path.write_bytes(data)
    with pytest.raises(InnerloopError, match="not one that innerloop wrote"):
        load(path)


@pytest.mark.parametrize("format", [True, 1.0, "1", "1" * 10_000, "\n\x1b[31m"])
def test_a_format_is_a_number_and_a_message_a_line(path, format):
    with pytest.raises(InnerloopError, match="is of format") as caught:
        load(rewritten(path, change_header=lambda header: {**header, "format": format}))
    assert len(str(caught.value)) < 500 and str(caught.value).isprintable()


def test_a_file_of_too_many_bytes_is_not_read(path, monkeypatch):
    monkeypatch.setattr("innerloop.runtime.storage.LARGEST_FILE", path.stat().st_size - 1)
    with pytest.raises(InnerloopError, match=r"rule.safetensors is larger than \d+ bytes"):
        load(path)


def test_a_file_of_too_many_arrays_is_refused(path):
    arrays = {str(number): np.zeros(1, np.float32) for number in range(1025)}
    with pytest.raises(InnerloopError, match="holds more than 1024 arrays"):
        load(rewritten(path, change_tensors=lambda _: arrays))
