"""The Meta-Learner LSTM's gates as they are recorded, written and drawn."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from helpers import close, double, learner as make_learner
from innerloop import InnerloopError
from innerloop.datasets.class_images import ClassImages
from innerloop.fewshot import EpisodeSampler, Shape, TrainingData, save
from innerloop.fewshot.head import logits
from innerloop.inspection.gates import Gates, LayerGates, record_gates, write_gates
from innerloop.plots.gates import draw_gates, gates_figure

LAYERS = ["block1", "block2", "block3", "block4", "head"]
STEPS = 2
TOLERANCE = {"additions": 1000, "dtype": "float32"}  # Gates and images are float32.


SHAPE = Shape(way=3, shot=1, side=16, channels=1, classes=6)


def make(method="meta-lstm", **settings):
    steps = {"steps": STEPS} if method in ("meta-lstm", "lstm") else {}
    return make_learner(method, shape=SHAPE, filters=4, blocks=4, **{**steps, **settings})


@pytest.fixture(scope="module")
def sampler():
    images = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 1)).astype(np.uint8)
    data = ClassImages(images, (4, 4, 4), ("a", "b", "c"))
    return EpisodeSampler(data, way=3, shot=1, queries=1)


def by_hand(learner, support):
    """The rule's state after each step, one step after another and none of the inner loop."""
    rule, params = learner.rule, learner.params
    state, states = rule.init(params), []

    def loss(params):
        values, _ = logits(learner.backbone, params, support.images)
        return -jnp.mean(jax.nn.log_softmax(values)[jnp.arange(3), support.labels])

    step = jax.jit(lambda p, s: rule.update(jax.grad(loss)(p), s, p, value=loss(p)))
    for _ in range(learner.inner_steps):
        updates, state = step(params, state)
        params = jax.tree.map(jnp.add, params, updates)
        states.append(state)
    return params, jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def test_states_of_a_run_are_those_of_its_steps(float64, sampler, key):
    # A rule whose states the loop holds in another layout.
    learner = double(make("lstm", steps=3))
    support = sampler.sample(key=key).support
    loop, states = jax.jit(lambda: learner.run(support, 3, key=key))()
    params, expected = by_hand(learner, support)
    close(states, expected, **TOLERANCE)
    close(loop.params, params, **TOLERANCE)


@pytest.mark.parametrize("gates", [pytest.param("shared", marks=pytest.mark.slow), "layerwise"])
def test_each_layer_has_the_gates_of_its_own_coordinates(float64, sampler, key, gates):
    learner = double(make(gates=gates))
    # Gates of a coordinate follow its parameter, which tells one layer from another.
    learner = jax.tree.map(lambda leaf: 30 * leaf if leaf.shape == (2, 22) else leaf, learner)
    recorded = record_gates(learner, sampler, key=key, episodes=1)
    assert list(recorded.input) == list(recorded.forget) == LAYERS

    episode_key, _, _ = jax.random.split(jax.random.split(key, 1)[0], 3)
    support = sampler.sample(key=episode_key).support
    states = by_hand(learner, support)[1]
    start = 0
    for layer in LAYERS:
        size = sum(leaf.size for leaf in learner.params[layer].values())
        if gates == "shared":
            found = jax.nn.sigmoid(states.gates[:, :, start : start + size])
        else:
            found = jax.nn.sigmoid(states.inner_states[layer].inner_state.gates)
        start += size
        for row, values in enumerate((recorded.input[layer], recorded.forget[layer])):
            assert values.mean.shape == (STEPS,) and values.quantiles.shape == (3, STEPS)
            close(values.mean, found[:, row].mean(1), **TOLERANCE)
            wanted = np.percentile(found[:, row], (10, 50, 90), axis=1)
            close(values.quantiles, wanted, **TOLERANCE)


@pytest.mark.slow
def test_episodes_are_pooled_and_large_layers_are_sampled(sampler, key):
    learner = make()
    whole = record_gates(learner, sampler, key=key, episodes=4)
    some = record_gates(learner, sampler, key=key, episodes=4, most=10)  # The head has 15.
    for layer in LAYERS:
        assert not np.array_equal(some.input[layer].mean, whole.input[layer].mean)
        np.testing.assert_allclose(some.input[layer].mean, whole.input[layer].mean, rtol=0.02)


def test_without_forgetting_the_forget_gate_is_one(sampler, key):
    recorded = record_gates(make(forget="one"), sampler, key=key, episodes=2)
    assert all(np.all(values.quantiles == 1) for values in recorded.forget.values())
    assert all(np.all(values.quantiles < 0.1) for values in recorded.input.values())


@pytest.mark.parametrize(
    ("method", "words"), [("maml", "a MAML"), ("protonet", "a PrototypicalNetwork")]
)
def test_other_learners_have_no_gates(sampler, key, method, words):
    with pytest.raises(InnerloopError, match=f"Only the Meta-Learner LSTM.*{words}"):
        record_gates(make(method), sampler, key=key)


def test_no_episodes_are_refused(sampler, key):
    with pytest.raises(InnerloopError, match="episodes is 0"):
        record_gates(make(), sampler, key=key, episodes=0)


def test_gates_that_are_no_numbers_are_refused(sampler, key):
    learner = jax.tree.map(lambda leaf: leaf * jnp.nan, make())
    with pytest.raises(InnerloopError, match="The input gates of block1 are no finite"):
        record_gates(learner, sampler, key=key, episodes=1)


def some_gates(lowest):
    def layer(value):
        rows = np.array([[0.5], [1], [2]]) * value * np.linspace(1, 2, STEPS)
        return LayerGates(mean=rows[1], quantiles=rows)

    return Gates(
        episodes=2,
        forget={name: layer(0.2) for name in LAYERS},
        input={name: layer(lowest * 2**place) for place, name in enumerate(LAYERS)},
    )


def test_gates_are_written(tmp_path):
    gates = some_gates(0.01)
    path = write_gates(gates, tmp_path / "gates.json", learner="me")
    content = json.loads(path.read_text())
    assert content["learner"] == "me" and content["episodes"] == 2
    assert list(content["input"]) == LAYERS
    head = content["forget"]["head"]
    assert head["p10"] == gates.forget["head"].quantiles[0].tolist()
    assert head["p90"] == gates.forget["head"].quantiles[2].tolist()
    assert head["mean"] == head["median"] == gates.forget["head"].mean.tolist()
    with pytest.raises(InnerloopError, match="Cannot write"):
        write_gates(gates, tmp_path / "nowhere" / "gates.json")


@pytest.mark.parametrize(("lowest", "scale"), [(0.01, "log"), (0.0, "linear")])
def test_gates_are_drawn(tmp_path, lowest, scale):
    gates = some_gates(lowest).quantiles()
    left, right = gates_figure(*gates, title="Mine").axes
    assert "forget" in left.get_title() and "input" in right.get_title()
    labels = ["block 1", "block 2", "block 3", "block 4", "head"]
    assert [line.get_label() for line in left.lines] == labels
    assert list(left.lines[0].get_xdata()) == [1, 2]
    assert right.get_yscale() == scale
    with Image.open(draw_gates(*gates, tmp_path / "gates.png", title="Mine")) as picture:
        assert picture.width > 1000


def test_the_command_writes_a_picture_and_numbers(monkeypatch, capsys, tmp_path):
    from innerloop.cli import main

    random = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        for split in ("train", "validation", "test"):
            place = tmp_path / "shapes" / split / f"{name} of {split}"
            place.mkdir(parents=True)
            for number in range(2):
                pixels = random.integers(0, 256, (16, 16)).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    save(make(), tmp_path / "mine.safetensors", data=TrainingData(name="drawings"))
    command = "innerloop fewshot gates mine.safetensors --data shapes --episodes 2 --out looked"
    monkeypatch.setattr("sys.argv", command.split())
    main()
    out = capsys.readouterr().out
    assert "block4   forget gate 0.99" in out and "Written to looked" in out
    assert (tmp_path / "looked" / "gates.png").stat().st_size > 10_000
    content = json.loads((tmp_path / "looked" / "gates.json").read_text())
    assert content["learner"] == "meta-lstm-drawings-3w-1s" and content["episodes"] == 2
