"""Tasks and rules that many tests share."""

import dataclasses
import importlib.util
import json
import os
import signal
from pathlib import Path

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax

from innerloop import MNIST, LSTMRule, OptaxRule, Quadratic, TaskFamily
from innerloop.datasets import MNISTData
from innerloop.datasets.cifar10 import CIFAR10Data
from innerloop.datasets.class_images import ClassImages
from innerloop.datasets.grey8 import Grey8
from innerloop.fewshot import Conv4, EpisodeSampler, Shape, make_learner
from innerloop.rules import (
    LSTMGACRule,
    MetaLSTMRule,
    NTMBFGSRule,
    PerTensorRule,
    RNNpropRule,
    ScheduledGeneralRule,
)
from innerloop.rules.general import GeneralRule
from innerloop.search.look import Look
from innerloop.tasks import CIFAR10, MNISTFamily, NeuralArt
from innerloop.tasks.communities import Communities
from innerloop.tasks.convolution8 import Convolution8
from innerloop.tasks.factorisation import Factorisation
from innerloop.tasks.images8 import Images8
from innerloop.tasks.logistic import Logistic
from innerloop.tasks.mixture import Mixture
from innerloop.tasks.mnist_autoencoder import MNISTAutoencoder
from innerloop.tasks.mnist_convolution import MNISTConvolution
from innerloop.tasks.mnist_mlp import MNISTMLP
from innerloop.tasks.mnist_softmax import MNISTSoftmax
from innerloop.tasks.mnist_vae import MNISTVAE
from innerloop.tasks.point_sets import PointSets
from innerloop.tasks.poisson import Poisson
from innerloop.tasks.random_projection import RandomProjection
from innerloop.tasks.rescaled import Rescaled
from innerloop.tasks.teacher_student import TeacherStudent
from innerloop.tasks.text_lstm import TextLSTM
from innerloop.tasks.text_transformer import TextTransformer
from innerloop.tasks.tiny_transformer import TinyTransformer
from innerloop.tasks.wave_image import WaveImage


def looked(**changes) -> Look:
    """What a search saw of a small smooth task without noise."""
    seen = Look(
        coordinates=3,
        shapes=("(3,)",),
        noisy=False,
        smooth=True,
        positive=True,
        gradient_seconds=1e-4,
        loss=50.0,
        reached=0.1,
        horizon=20,
    )
    return dataclasses.replace(seen, **changes)


def small_mnist(monkeypatch, **settings) -> MNIST:
    """The MNIST task on a few random images, with no files."""
    random = np.random.default_rng(0)

    def images(count):
        return random.integers(0, 256, (count, 28, 28)).astype(np.uint8)

    def labels(count):
        return random.integers(0, 10, count).astype(np.uint8)

    data = MNISTData(images(64), labels(64), images(32), labels(32))
    # The loaded arrays are smaller than the published ones, which is what the hook checks.
    monkeypatch.setattr("innerloop.tasks.mnist.load_mnist", lambda data_dir: data)
    return MNIST(**settings)


def small_cifar10(monkeypatch, **settings) -> CIFAR10:
    """The CIFAR-10 task with few filters on a few random images, with no files."""
    random = np.random.default_rng(0)

    def images(count):
        return random.integers(0, 256, (count, 32, 32, 3)).astype(np.uint8)

    labels = np.tile(np.arange(10, dtype=np.uint8), 4)
    data = CIFAR10Data(images(40), labels, images(40), labels)
    monkeypatch.setattr("innerloop.tasks.cifar10.load_cifar10", lambda data_dir: data)
    return CIFAR10(**{"filters": 4, "batch": 8, "held_out": 8, **settings})


def on_mnist(make, **settings):
    """A function that makes a task of MNIST's on a few random images, with no files."""

    def made(monkeypatch):
        small_mnist(monkeypatch)
        return make(side=7, batch=8, **settings)

    return made


def small_family(monkeypatch, **settings) -> MNISTFamily:
    small_mnist(monkeypatch)  # Puts the few images in place of the files.
    return MNISTFamily(**{"width": 6, **settings})


def small_art(monkeypatch, **settings) -> NeuralArt:
    """Neural art with a random network and random images, with no files."""
    random = np.random.default_rng(0)

    def network(layers, data_dir=None):
        shapes = [(4, 3, 3, 3), (4, 3, 3, 4), (6, 3, 3, 4)][:layers]
        return [
            (random.normal(0, 0.3, shape).astype(np.float32), np.zeros(shape[0], np.float32))
            for shape in shapes
        ]

    def photographs(part, size, data_dir):
        count = {"train": 6, "validation": 3, "test": 4}[part]
        values = np.random.default_rng(len(part)).integers(0, 256, (count, 3, size, size))
        return values.astype(np.uint8)

    def painting(name, side, data_dir):
        return random.uniform(0, 1, (side, side, 3)).astype(np.float32)

    monkeypatch.setattr("innerloop.tasks.neural_art.load_vgg16", network)
    monkeypatch.setattr("innerloop.tasks.neural_art._photographs", photographs)
    monkeypatch.setattr("innerloop.tasks.neural_art.load_painting", painting)
    return NeuralArt(**{"size": 16, "factor": 1.0, **settings})


def few_grey8(monkeypatch):
    """A few random images in place of the datasets of 8×8 pixels."""
    random = np.random.default_rng(0)

    def load(source, data_dir):
        images = random.integers(0, 256, (20, 8, 8)).astype(np.uint8)
        return Grey8(images, np.tile(np.arange(10, dtype=np.uint8), 2))

    monkeypatch.setattr("innerloop.tasks.images8.load_grey8", load)


def small_images8(monkeypatch) -> Images8:
    few_grey8(monkeypatch)
    return Images8(hidden=(5, 5), batch=8)


def small_convolution8(monkeypatch) -> Convolution8:
    few_grey8(monkeypatch)
    return Convolution8(filters=3, batch=8)


def sinusoid() -> TaskFamily:
    path = Path(__file__).parent.parent / "examples" / "sinusoid.py"
    spec = importlib.util.spec_from_file_location("sinusoid_example", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Sinusoid()


TASKS = {
    "quadratic": lambda monkeypatch: Quadratic(),
    "quadratic-3": lambda monkeypatch: Quadratic(3),
    "mnist": small_mnist,
    "mnist-relu-20-20": lambda monkeypatch: small_mnist(
        monkeypatch, hidden=(20, 20), activation="relu"
    ),
    "mnist-family": lambda monkeypatch: small_family(monkeypatch, scaling=0.5),
    "cifar10": small_cifar10,
    "cifar2": lambda monkeypatch: small_cifar10(monkeypatch, labels=(3, 7)),
    "neural-art": small_art,
    "sinusoid": lambda monkeypatch: sinusoid(),
    "images8": small_images8,
    "convolution8": small_convolution8,
    "teacher-student": lambda monkeypatch: TeacherStudent(hidden=6),
    "random-projection": lambda monkeypatch: RandomProjection(hidden=6),
    "logistic": lambda monkeypatch: Logistic(),
    "tiny-transformer": lambda monkeypatch: TinyTransformer(symbols=4, width=4, batch=4),
    "mnist-mlp": on_mnist(MNISTMLP, hidden=(5, 4), activation="tanh"),
    "mnist-mlp-plain": on_mnist(MNISTMLP, hidden=(5,), activation="tanh", normalise=False),
    "mnist-autoencoder": on_mnist(MNISTAutoencoder, hidden=(6, 3, 6)),
    "mnist-vae": on_mnist(MNISTVAE, hidden=6, code=2),
    "mnist-softmax": on_mnist(MNISTSoftmax),
    "mnist-convolution": on_mnist(MNISTConvolution, filters=2),
    "text-transformer": lambda monkeypatch: TextTransformer(width=4, length=5, batch=3, layers=2),
    "text-lstm": lambda monkeypatch: TextLSTM(width=4, length=5, batch=3),
    "poisson": lambda monkeypatch: Poisson(hidden=4, points=8),
    "point-sets": lambda monkeypatch: PointSets(points=6, hidden=4, batch=5),
    "communities": lambda monkeypatch: Communities(nodes=12, features=3, hidden=3),
    "factorisation": lambda monkeypatch: Factorisation(rows=6, columns=5, batch=8),
    "wave-image": lambda monkeypatch: WaveImage(hidden=5, batch=8),
    "rescaled": lambda monkeypatch: Rescaled(Quadratic(3), decades=0.5),
    "mixture": lambda monkeypatch: Mixture(families=(Quadratic(3), Logistic()), decades=0.5),
}


def lstm(seed=0, **settings) -> LSTMRule:
    return LSTMRule(key=jax.random.key(seed), **{"hidden": 5, **settings})


def spoken(rule):
    """`rule` with small random numbers added to every leaf, where it begins with zeros."""
    vector, back = jax.flatten_util.ravel_pytree(rule)
    return back(vector + 0.05 * jax.random.normal(jax.random.key(1), vector.shape))


RULES = {
    "lstm": lambda: lstm(),
    "lstm-raw": lambda: lstm(preprocessing=None),
    "lstm-three-layers": lambda: lstm(depth=3, output_scale=0.01),
    "lstm-bfloat16": lambda: lstm(state_dtype="bfloat16"),
    "lstm-gac": lambda: LSTMGACRule(key=jax.random.key(0), hidden=5, averaged=2),
    "meta-lstm": lambda: spoken(MetaLSTMRule(key=jax.random.key(0), hidden=5)),
    "ntm-bfgs": lambda: spoken(NTMBFGSRule(key=jax.random.key(0), hidden=5, averaged=2)),
    "rnnprop": lambda: RNNpropRule(key=jax.random.key(0), hidden=5),
    "tensorwise": lambda: spoken(PerTensorRule(key=jax.random.key(0), hidden=4)),
    "general": lambda: spoken(GeneralRule(key=jax.random.key(0), hidden=4)),
    "general-orthogonal": lambda: spoken(
        GeneralRule(key=jax.random.key(0), hidden=4, orthogonalise=True)
    ),
    "scheduled-general": lambda: ScheduledGeneralRule.around(RULES["general"]()),
    "adam": lambda: OptaxRule(optax.adam, 0.05),
    "sgd": lambda: OptaxRule(optax.sgd, 0.05),
}

COORDINATEWISE = ["lstm", "lstm-raw", "lstm-three-layers", "lstm-bfloat16", "rnnprop"]
PERMUTABLE = [*COORDINATEWISE, "lstm-gac", "meta-lstm", "ntm-bfgs", "tensorwise", "general"]
SEES_THE_LOSS = ["meta-lstm"]


def tree():
    """A parameter tree with a scalar, an empty leaf, and two dtypes."""
    return {
        "matrix": jnp.linspace(-1, 1, 6).reshape(2, 3),
        "scalar": jnp.asarray(0.5, jnp.float32),
        "empty": jnp.zeros((0, 4)),
        "half": jnp.asarray([1.0, -2.0], jnp.bfloat16),
    }


def metrics(folder):
    """The lines of metrics.jsonl, without the one number that a clock gives."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: number for name, number in line.items() if name != "seconds"} for line in lines]


def stop_after(monkeypatch, steps):
    """Send Ctrl-C once `steps` meta-steps have been logged."""
    from innerloop.runtime.metrics import Log

    advance, seen = Log.advance, []

    def counting(self):
        seen.append(None)
        if len(seen) == steps:
            os.kill(os.getpid(), signal.SIGINT)
        return advance(self)

    monkeypatch.setattr(Log, "advance", counting)


def unchecked(cls, **given):
    """Settings past `__init__`, whose types the tests check, but not where there is no hook."""
    settings = object.__new__(cls)
    for field in dataclasses.fields(cls):
        object.__setattr__(settings, field.name, given.get(field.name, getattr(cls(), field.name)))
    (getattr(settings, "__check_init__", None) or settings.__post_init__)()
    return settings


SHAPE = Shape(way=2, shot=2, side=16, channels=1, classes=4)


def learner(method, seed=0, *, shape=SHAPE, filters=3, blocks=1, **settings):
    """The few-shot method with one block of three filters, for images of 16 × 16 pixels.

    One block of the four takes a fraction of the time.
    """
    backbone = Conv4(side=shape.side, channels=shape.channels, filters=filters, blocks=blocks)
    return make_learner(method, shape, backbone, settings, key=jax.random.key(seed))


def noise(classes=4, each=6, side=16, channels=1, seed=0, contrast=0.6) -> ClassImages:
    """Classes of random images, each a pattern of its own (of that contrast) with noise upon it."""
    random = np.random.default_rng(seed)
    patterns = contrast * random.uniform(0, 255, (classes, 1, side, side, channels))
    shape = (classes, each, side, side, channels)
    images = patterns + (1 - contrast) * random.uniform(0, 255, shape)
    images = images.reshape(-1, side, side, channels).astype(np.uint8)
    return ClassImages(images, (each,) * classes, tuple(map(str, range(classes))))


def coded(*counts) -> ClassImages:
    """Classes of so many images, whose channels are the class and the image's number in it."""
    codes = [(number, i) for number, count in enumerate(counts) for i in range(count)]
    images = np.broadcast_to(np.asarray(codes, np.uint8)[:, None, None], (len(codes), 2, 2, 2))
    return ClassImages(images, counts, tuple(map(str, range(len(counts)))))


def sampler(seed=0, contrast=0.6, **settings) -> EpisodeSampler:
    """Of two-way, two-shot episodes with two queries a class."""
    data = noise(seed=seed, contrast=contrast)
    return EpisodeSampler(data, **{"way": 2, "shot": 2, "queries": 2, **settings})


def episode(seed=0):
    return sampler().sample(key=jax.random.key(seed))


def same(one, other) -> bool:
    """Whether two trees are the same, bit for bit."""
    return jax.tree.structure(one) == jax.tree.structure(other) and jax.tree.all(
        jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), one, other)
    )


def double(tree):
    return jax.tree.map(
        lambda leaf: leaf.astype("float64") if eqx.is_inexact_array(leaf) else leaf, tree
    )


def coarsest(tree):
    """The dtype of the tree's floats that has the fewest digits."""
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(tree) if eqx.is_inexact_array(leaf)]
    return max(dtypes, key=lambda dtype: jnp.finfo(dtype).eps)


def close(actual, expected, *, additions, dtype=None, largest=0.0):
    """Assert that two trees are the same but for the rounding of floats.

    A sum of n terms is off by at most n/2 · eps · the sum of their sizes (Higham, Accuracy and
    Stability of Numerical Algorithms, 2002, section 4.2), and both sides are sums. How exact a
    number is follows from the largest ones that went into it, not from its own size.

    Args:
        actual: tree of arrays; the coarsest dtype on either side of a leaf sets its eps.
        expected: tree of the same structure and shapes.
        additions: how many additions, or other roundings, lie on the way to one number.
        dtype: what was computed in, where that is coarser than the numbers.
        largest: how large the numbers were that were added, where their sum is smaller.
    """
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        if not jnp.issubdtype(jnp.asarray(b).dtype, jnp.inexact):
            np.testing.assert_array_equal(a, b)
            continue
        dtypes = [jnp.asarray(a).dtype, jnp.asarray(b).dtype, dtype or "float64"]
        eps = max(float(jnp.finfo(each).eps) for each in dtypes)
        a, b = (np.asarray(leaf, np.float64) for leaf in (a, b))
        size = np.abs(b).max(initial=largest)
        np.testing.assert_allclose(a, b, rtol=0, atol=additions * eps * size)
