"""Rules in files: what is written is read back, and nothing else is."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings, strategies as st

from helpers import COORDINATEWISE, RULES, lstm
from innerloop import InnerloopError, OptaxRule, load, save
from innerloop.rules import MultiRule
from innerloop.rules.files import describe, shipped


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
        (lambda h: {**h, "rule": "transformer"}, "kind 'transformer'"),
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
        (lambda t: {**t, "output_bias": np.zeros(1, np.float64)}, "do not fit"),
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
    with pytest.raises(InnerloopError, match="no file 'lstm-quadratics' and no shipped rule"):
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


def test_a_rule_that_files_cannot_hold_is_refused(tmp_path):
    with pytest.raises(InnerloopError, match="OptaxRule cannot be saved"):
        save(OptaxRule(optax.adam, 0.1), tmp_path / "adam.safetensors")


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InnerloopError, match="Cannot write"):
        save(lstm(), tmp_path / "file" / "rule.safetensors")
