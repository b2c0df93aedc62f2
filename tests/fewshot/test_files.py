"""Meta-learners in files: what is written is read back, and nothing else is."""

import builtins
import dataclasses
import json
import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import innerloop
from helpers import SHAPE, learner, lstm, same
from innerloop import InnerloopError, registry
from innerloop.errors import FileError
from innerloop.fewshot import (
    Backbone,
    MetricLearner,
    TrainingData,
    describe,
    load,
    make_learner,
    save,
)
from innerloop.fewshot.files import check_savable, load_with_data, name_of
from innerloop.fewshot.memory import support_bytes

SETTINGS = {
    "finetune": {"rate": 0.5, "decay": 0.1, "steps": 7},
    "nearest-neighbour": {"distance": "euclidean"},
    "matching-fce": {"reads": 2, "hidden": 4},
    "meta-lstm": {"steps": 2, "hidden": 4, "gates": "layerwise", "forget": "one", "batch": 3},
    "maml": {"second_order": False},
    "lstm": {"hidden": 4},
}
DATA = TrainingData(name="mine", dataset="class-folders", settings={"path": "mine", "seed": 3})
OWN = sorted(
    name
    for name, cls in registry.members("method").items()
    if cls.__module__.startswith("innerloop.")
)


@pytest.fixture
def path(tmp_path):
    run = {"loop": {"steps": 5}}
    return save(learner("protonet"), tmp_path / "learner.safetensors", data=DATA, run=run)


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


@pytest.mark.parametrize("method", OWN)
def test_every_method_is_read_back_whole(monkeypatch, tmp_path, method):
    mine = learner(method, seed=5, **SETTINGS.get(method, {}))
    file = save(mine, tmp_path / "deep" / "learner.safetensors", data=DATA)

    def never(*_, **__):
        raise AssertionError("something was unpickled or run")

    for module, name in ((pickle, "loads"), (pickle, "load"), (pickle, "Unpickler")):
        monkeypatch.setattr(module, name, never)
    monkeypatch.setattr(builtins, "eval", never)
    again, data = load_with_data(file)
    monkeypatch.undo()
    assert same(again, mine.for_use()) and data == DATA
    assert again.settings == mine.settings and again.backbone == mine.backbone


def test_what_only_training_reads_is_not_saved(tmp_path):
    mine = learner("nearest-neighbour")
    file = save(mine, tmp_path / "learner.safetensors")
    assert mine.head is not None and load(file).head is None
    assert not any("head" in name for name in safetensors.numpy.load(file.read_bytes()))


def test_a_folder_stands_for_the_learner_in_it(path):
    assert name_of(*load_with_data(path.parent)) == "protonet-mine-2w-2s"


def test_the_header_tells_where_a_learner_came_from(path):
    header = describe(path)
    assert header["run"] == {"loop": {"steps": 5}} and header["shape"]["classes"] == 4
    assert header["backbone"] == {
        "name": "conv4",
        "settings": {"filters": 3, "pool": "flatten", "blocks": 1, "reduce": 1},
    }


class Unnamed(Backbone):
    """A backbone that is not registered."""

    width = layers = property(lambda self: 1)

    def init(self, *, key):
        return {}

    def features(self, params, images, statistics=None):
        return images[:, 0, 0], {}


@innerloop.register("of-the-tests")
class OfTheTests(MetricLearner):
    """Its arrays are of a size that no setting tells."""

    extra: jax.Array

    def __init__(self, shape, backbone, settings=None, *, key, size=1):
        super().__init__(shape, backbone, settings, key=key)
        self.extra = jnp.zeros(size)

    def compare(self, support, labels, query, way):
        return query @ support.T


def test_a_learner_that_could_not_be_loaded_is_not_saved(tmp_path):
    backbone = Unnamed(side=16, channels=1)
    mine = make_learner("maml", SHAPE, learner("maml").backbone, key=jax.random.key(0))
    unnamed = eqx.tree_at(lambda mine: mine.backbone, mine, backbone)
    with pytest.raises(InnerloopError, match="Unnamed cannot be saved, as it has no name"):
        save(unnamed, tmp_path / "mine")
    backbone = learner("protonet").backbone
    check_savable(OfTheTests(SHAPE, backbone, key=jax.random.key(0)))
    with pytest.raises(InnerloopError, match="it has other arrays"):
        check_savable(OfTheTests(SHAPE, backbone, key=jax.random.key(0), size=2))


@pytest.mark.parametrize("kind", ["method", "backbone"])
def test_a_class_that_is_not_registered_here_is_named(path, kind):
    def change(header):
        if kind == "method":
            return {**header, "method": "theirs"}
        return {**header, "backbone": {**header["backbone"], "name": "theirs"}}

    with pytest.raises(InnerloopError, match=f"needs the {kind} 'theirs', which is not registered"):
        load(rewritten(path, change_header=change))


def test_an_embedding_is_shared_and_only_what_differs_is_in_the_file(tmp_path):
    whole = load("protonet-omniglot-20w-1s")
    file = save(whole, tmp_path / "mine", embedding="conv4-64-omniglot")
    names = set(safetensors.numpy.load(file.read_bytes()))
    assert names and all(name.startswith("statistics") for name in names)
    assert same(load(file), whole)
    rewritten(file, change_header=lambda header: {**header, "embedding": "../embeddings/x"})
    with pytest.raises(InnerloopError, match="needs the embedding"):
        load(file)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h: {**h, "format": 99}, "format 99"),
        (lambda h: {**h, "method": ["protonet"]}, "holds no meta-learner"),
        (lambda h: {**h, "backbone": 5}, "needs the backbone 'None'"),
        (lambda h: {**h, "backbone": {"name": "conv4", "settings": {"blocks": 2}}}, "do not fit"),
        (lambda h: {**h, "backbone": {"name": "conv4", "settings": {"x": 2}}}, "make no protonet"),
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
        (lambda t: {**t, next(iter(t)): t[next(iter(t))].astype(np.int32)}, "do not fit"),
        (lambda t: {**t, "extra": np.zeros(1, np.float32)}, "do not fit"),
        (lambda t: dict(list(t.items())[1:]), "do not fit"),
    ],
)
def test_other_arrays_are_refused(path, change, words):
    with pytest.raises(InnerloopError, match=words):
        load(rewritten(path, change_tensors=change))


@pytest.mark.parametrize("asked", [{"side": 8192, "shot": 100}, {"way": 8192, "shot": 8192}])
def test_a_header_that_asks_for_more_memory_than_there_is_is_refused(path, asked):
    def change(header):
        return {**header, "shape": {**header["shape"], **asked}}

    with pytest.raises(FileError, match=r"needs about [\d,]+ GiB of memory .* has [\d.,]+ GiB"):
        load(rewritten(path, change_header=change))


def test_the_memory_of_a_support_set_follows_from_its_shapes():
    small, large, many = (
        support_bytes(learner("protonet", shape=dataclasses.replace(SHAPE, **asked)))
        for asked in ({}, {"side": 32}, {"shot": 6})
    )
    assert 3.5 * small < large < 4.5 * small and many == 3 * small
    # At least the images as floats, and what three filters make of them.
    assert small > 4 * (16 * 16 + 3 * 16 * 16) * SHAPE.way * SHAPE.shot


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
        ("protonet", {"width": 5}, "no setting 'width'"),
        ("meta-lstm", {"gates": "own"}, "gates is 'own'"),
    ],
)
def test_what_makes_no_learner_is_refused(method, settings, words):
    with pytest.raises(InnerloopError, match=words):
        learner(method, **settings)


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
    path = save(learner(method, **SETTINGS.get(method, {})), tmp_path / "mine")

    def change(header):
        return {**header, "settings": {**header["settings"], **changed}}

    with pytest.raises(InnerloopError, match=f"settings make no {method}"):
        load(rewritten(path, change_header=change))


@pytest.mark.parametrize(
    "changed",
    [
        {"data": 5},
        {"data": {"name": 5}},
        {"data": {"dataset": 5}},
        {"data": {"settings": 0.5}},
        {"data": {"source": "elsewhere"}},
        {"shape": {"way": True}},
        {"shape": {"shot": float("nan")}},
        {"shape": {"shot": 0}},
        {"shape": {"classes": 10**12}},
    ],
    ids=str,
)
def test_a_header_of_other_types_is_refused(path, changed):
    def change(header):
        shape = {**header["shape"], **changed.get("shape", {})}
        return {**header, **changed, "shape": shape}

    with pytest.raises(InnerloopError, match="settings make no protonet"):
        load(rewritten(path, change_header=change))
