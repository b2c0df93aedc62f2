"""Meta-learners in files: what is written is read back, and nothing else is."""

import builtins
import json
import pickle

import jax
import numpy as np
import pytest
import safetensors.numpy

import innerloop
from helpers import SHAPE, learner, lstm, same
from innerloop import InnerloopError
from innerloop.fewshot import METHODS, Recipe, load, save
from innerloop.fewshot.files import describe

SETTINGS = {
    "finetune": {"rate": 0.5, "decay": 0.1, "steps": 7},
    "nearest-neighbour": {"distance": "euclidean"},
    "matching-fce": {"reads": 2, "hidden": 4},
    "meta-lstm": {"steps": 2, "hidden": 4, "gates": "layerwise", "forget": "one", "batch": 3},
    "maml": {"second_order": False},
    "lstm": {"hidden": 4},
}


def recipe(method):
    settings = {"filters": 3, **SETTINGS.get(method, {})}
    return Recipe(method=method, data="omniglot", shape=SHAPE, settings=settings)


@pytest.fixture
def path(tmp_path):
    run = {"training": {"steps": 5}}
    return save(learner("protonet"), recipe("protonet"), tmp_path / "learner.safetensors", run=run)


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


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_read_back_whole(monkeypatch, tmp_path, method):
    mine = recipe(method).make(key=jax.random.key(5))
    file = save(mine, recipe(method), tmp_path / "deep" / "learner.safetensors")

    def never(*_, **__):
        raise AssertionError("something was unpickled or run")

    for module, name in ((pickle, "loads"), (pickle, "load"), (pickle, "Unpickler")):
        monkeypatch.setattr(module, name, never)
    monkeypatch.setattr(builtins, "eval", never)
    again, found = load(file)
    monkeypatch.undo()
    assert same(again, mine) and found == recipe(method)


def test_settings_are_those_that_were_given():
    mine = recipe("meta-lstm").make(key=jax.random.key(0))
    assert (mine.steps, mine.batch, mine.network.filters) == (2, 3, 3)
    assert {rule.forget for rule in mine.rule.rules.values()} == {"one"}


def test_a_folder_stands_for_the_learner_in_it(path):
    assert load(path.parent)[1].name == "protonet-omniglot-2w-2s"


def test_the_header_tells_where_a_learner_came_from(path):
    header = describe(path)
    assert header["run"] == {"training": {"steps": 5}} and header["shape"]["classes"] == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h: {**h, "format": 99}, "format 99"),
        (lambda h: {**h, "method": "transformer"}, "no meta-learner that this version knows"),
        (lambda h: {**h, "method": ["protonet"]}, "no meta-learner that this version knows"),
        (lambda h: {**h, "settings": {"filters": 4}}, "do not fit"),
        (lambda h: {**h, "settings": {"width": 5}}, "settings make no protonet"),
        (lambda h: {**h, "settings": [5]}, "settings make no protonet"),
        (lambda h: {**h, "shape": {"way": 5}}, "settings make no protonet"),
        (lambda h: {**h, "shape": {**h["shape"], "side": 1}}, "settings make no protonet"),
        (lambda h: [h], "not one that innerloop wrote"),
    ],
)
def test_another_header_is_refused(path, change, words):
    with pytest.raises(InnerloopError, match=words):
        load(rewritten(path, change_header=change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: {**t, next(iter(t)): np.full_like(t[next(iter(t))], np.nan)}, "not finite"),
        (lambda t: {**t, next(iter(t)): t[next(iter(t))].astype(float)}, "do not fit"),
        (lambda t: {**t, "extra": np.zeros(1, np.float32)}, "do not fit"),
        (lambda t: dict(list(t.items())[1:]), "do not fit"),
    ],
)
def test_other_arrays_are_refused(path, change, words):
    with pytest.raises(InnerloopError, match=words):
        load(rewritten(path, change_tensors=change))


def test_a_truncated_file_is_refused(path):
    content = path.read_bytes()
    for length in (0, 4, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(InnerloopError, match="damaged or truncated"):
            load(path)


def test_a_pickle_is_refused_unread(path):
    path.write_bytes(pickle.dumps({"method": "protonet"}))
    with pytest.raises(InnerloopError, match="no readable safetensors file"):
        load(path)


def test_a_rule_is_no_learner_and_a_learner_no_rule(path, tmp_path):
    rule = innerloop.save(lstm(), tmp_path / "mine.safetensors")
    with pytest.raises(InnerloopError, match="holds no meta-learner"):
        load(rule)
    with pytest.raises(InnerloopError, match="rule"):
        innerloop.load(path)


def test_what_is_nowhere_is_refused(tmp_path):
    with pytest.raises(InnerloopError, match="'lstm-quadratic' is no meta-learner: `innerloop"):
        load("lstm-quadratic")
    with pytest.raises(InnerloopError, match="no file 'protonet' and no shipped meta-learner"):
        load("protonet")
    with pytest.raises(InnerloopError, match=r"folder without a learner\.safetensors"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("method", "settings", "words"),
    [
        ("protonets", {}, "no method 'protonets'. Did you mean 'protonet'"),
        ("protonet", {"width": 5}, "protonet cannot be made"),
        ("meta-lstm", {"gates": "own"}, "gates is 'own'"),
    ],
)
def test_a_recipe_that_makes_nothing_is_refused(method, settings, words):
    with pytest.raises(InnerloopError, match=words):
        Recipe(method=method, data="omniglot", shape=SHAPE, settings=settings).make(
            key=jax.random.key(0)
        )


@pytest.mark.parametrize(
    ("method", "changed"),
    [
        ("finetune", {"rate": float("nan")}),
        ("finetune", {"rate": -1.0}),
        ("finetune", {"decay": -1.0}),
        ("finetune", {"steps": 0}),
        ("finetune", {"steps": 10**9}),
        ("nearest-neighbour", {"distance": "far"}),
        ("matching-fce", {"reads": 0}),
        ("matching-fce", {"reads": "2"}),
        ("matching-fce", {"hidden": 0}),
        ("protonet", {"filters": 10**12}),
        ("protonet", {"filters": True}),
        ("maml", {"second_order": "no"}),
        ("maml", {"key": 0}),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, method, changed):
    path = save(recipe(method).make(key=jax.random.key(0)), recipe(method), tmp_path / "mine")

    def change(header):
        return {**header, "settings": {**header["settings"], **changed}}

    with pytest.raises(InnerloopError, match=f"settings make no {method}"):
        load(rewritten(path, change_header=change))


@pytest.mark.parametrize(
    "changed",
    [
        {"data": 5},
        {"source": 5},
        {"split_seed": 0.5},
        {"split_seed": 2**64},
        {"shape": {"way": True}},
        {"shape": {"shot": float("nan")}},
        {"shape": {"shot": 0}},
        {"shape": {"classes": 10**12}},
    ],
    ids=str,
)
def test_a_recipe_of_other_types_is_refused(path, changed):
    def change(header):
        shape = {**header["shape"], **changed.get("shape", {})}
        return {**header, **changed, "shape": shape}

    with pytest.raises(InnerloopError, match="settings make no protonet"):
        load(rewritten(path, change_header=change))
