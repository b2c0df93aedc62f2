"""Tasks and rules that many tests share."""

import importlib.util
from pathlib import Path

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax

from innerloop import MNIST, LSTMRule, OptaxRule, Quadratic, Task
from innerloop.data import MNISTData
from innerloop.data.cifar10 import CIFAR10Data
from innerloop.rules import LSTMGACRule, NTMBFGSRule, RNNpropRule, TensorwiseRule
from innerloop.tasks import CIFAR10, MNISTFamily, NeuralArt


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


def sinusoid() -> Task:
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
    "lstm-gac": lambda: LSTMGACRule(key=jax.random.key(0), hidden=5, averaged=2),
    "ntm-bfgs": lambda: spoken(NTMBFGSRule(key=jax.random.key(0), hidden=5, averaged=2)),
    "rnnprop": lambda: RNNpropRule(key=jax.random.key(0), hidden=5),
    "tensorwise": lambda: spoken(TensorwiseRule(key=jax.random.key(0), hidden=4)),
    "adam": lambda: OptaxRule(optax.adam, 0.05),
    "sgd": lambda: OptaxRule(optax.sgd, 0.05),
}

COORDINATEWISE = ["lstm", "lstm-raw", "lstm-three-layers", "rnnprop"]
PERMUTABLE = [*COORDINATEWISE, "lstm-gac", "ntm-bfgs", "tensorwise"]


def tree():
    """A parameter tree with a scalar, an empty leaf, and two dtypes."""
    return {
        "matrix": jnp.linspace(-1, 1, 6).reshape(2, 3),
        "scalar": jnp.asarray(0.5, jnp.float32),
        "empty": jnp.zeros((0, 4)),
        "half": jnp.asarray([1.0, -2.0], jnp.bfloat16),
    }
