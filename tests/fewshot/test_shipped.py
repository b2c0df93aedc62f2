"""The meta-learners that come with the package."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop.datasets import load_omniglot
from innerloop.fewshot import Labelled
from innerloop.fewshot.files import load_with_data, method_of, name_of, shipped

SLOW = {
    "meta-lstm-miniimagenet-5w-1s",
    "meta-lstm-miniimagenet-5w-5s",
}


CHARACTERS_ONLY = {"meta-lstm-head-omniglot-5w-1s", "meta-lstm-head-omniglot-20w-1s"}
"""Their large steps upon whitened features are for characters: of five and of twenty patterns that
look like none they know three and fifteen again."""


def drawings(shape):
    """A character of each class, of alphabets that no learner of Omniglot saw."""
    data = load_omniglot("test", rotations=False)
    chosen = np.asarray(data.starts)[:: len(data.starts) // shape.way][: shape.way]
    return jnp.asarray(data.images[chosen])


def patterns(shape):
    """A coarse pattern of each class: noise, pixel by pixel, looks the same to a network of images.

    One image a class, whatever it was trained for: the fewer, the faster. Photographs are large,
    and their patterns are of more parts.
    """
    random = np.random.default_rng(0)
    parts = 6 if shape.side % 6 == 0 else 4
    coarse = random.integers(0, 226, (shape.way, parts, parts, shape.channels))
    side = shape.side // parts
    images = np.kron(coarse, np.ones((1, side, side, 1), int))
    return jnp.asarray((images + random.integers(0, 30, images.shape)).astype(np.uint8))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in shipped()],
)
def test_a_shipped_learner_loads_under_its_name_and_adapts(name):
    learner, data = load_with_data(name)
    shape, method = learner.shape, method_of(learner)
    # What sets several of a method apart stands in the middle.
    assert name.startswith(method) and name.endswith(name_of(learner, data).removeprefix(method))
    labels = jnp.arange(shape.way, dtype=jnp.int32)
    shown = [] if name in CHARACTERS_ONLY else [patterns(shape)]
    if data.name == "omniglot":
        shown.append(drawings(shape))
    for images in shown:
        predict = learner.adapt(Labelled(images, labels), shape.way, key=jax.random.key(0))
        # What it has just learned from it should know again.
        assert np.mean(np.argmax(predict(images), axis=1) == labels) > 0.9
