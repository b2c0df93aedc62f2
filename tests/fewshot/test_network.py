"""The network against one written with XLA's own convolutions and pooling."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from innerloop import InnerloopError
from innerloop.fewshot import Conv4
from innerloop.fewshot.network import BLOCKS
from innerloop.kernels.episode_convolution import convolve_and_pool

LAYOUT = ("NHWC", "OHWI", "NHWC")


@pytest.fixture(scope="module")
def network():
    return Conv4(side=19, channels=2, filters=3, classes=4)


@pytest.fixture(scope="module")
def params(network):
    """Random ones, with scales and shifts that matter."""
    leaves, structure = jax.tree.flatten(network.init(key=jax.random.key(0)))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    moved = [
        leaf + 0.1 * jax.random.normal(k, leaf.shape) for leaf, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(structure, moved)


@pytest.fixture(scope="module")
def images():
    values = np.random.default_rng(0).integers(0, 256, (6, 19, 19, 2))
    return jnp.asarray(values, jnp.uint8)


@pytest.fixture(scope="module")
def logits(network):
    return eqx.filter_jit(network.logits)


def test_it_has_as_many_parameters_as_published_less_the_biases_of_the_convolutions():
    network = Conv4(side=84, channels=3, filters=32, classes=5)
    shapes = jax.eval_shape(lambda: network.init(key=jax.random.key(0)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 32_901 - 4 * 32 == 32_773
    assert shapes["head"]["weight"].shape == (5, network.width) == (5, 800)


def test_without_classes_it_has_no_linear_layer():
    network = Conv4(side=16, channels=1, filters=2)
    shapes = jax.eval_shape(lambda: network.init(key=jax.random.key(0)))
    assert set(shapes) == set(BLOCKS)


def test_it_begins_with_the_variance_of_he_and_all_classes_alike():
    params = Conv4(side=16, channels=32, filters=32, classes=50).init(key=jax.random.key(0))
    for name in BLOCKS:
        assert np.var(params[name]["kernel"]) == pytest.approx(2 / (9 * 32), rel=0.1)
        assert np.all(params[name]["scale"] == 1) and np.all(params[name]["shift"] == 0)
    assert params["head"]["weight"].shape == (50, 32)
    assert np.all(params["head"]["weight"] == 0) and np.all(params["head"]["bias"] == 0)


def test_pooling_leaves_out_an_odd_row_or_column():
    units = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 7, 1)), jnp.float32)
    identity = jnp.zeros((1, 3, 3, 1)).at[0, 1, 1, 0].set(1)
    pooled = np.asarray(convolve_and_pool(units, identity, jnp.ones(1))[0])
    assert pooled.shape == (2, 2, 3, 1)
    for row in range(2):
        for column in range(3):
            square = units[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            np.testing.assert_array_equal(pooled[:, row, column], square.max((1, 2)))


def reference(params, images):
    units, used = images / 255, {}
    for name in BLOCKS:
        block = params[name]
        units = lax.conv_general_dilated(
            units, block["kernel"], (1, 1), "SAME", dimension_numbers=LAYOUT
        )
        used[name] = (jnp.mean(units, (0, 1, 2)), jnp.var(units, (0, 1, 2)))
        units = (units - used[name][0]) / jnp.sqrt(used[name][1] + 1e-3)
        units = jax.nn.relu(units * block["scale"] + block["shift"])
        units = lax.reduce_window(units, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    head = params["head"]
    return units.reshape(len(images), -1) @ head["weight"].T + head["bias"], used


def test_the_logits_are_those_of_four_blocks_and_a_linear_layer(logits, params, images):
    expected = jax.jit(reference)(params, images)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
        logits(params, images),
        expected,
    )


def test_with_statistics_that_are_given_every_image_is_judged_alone(logits, params, images):
    _, statistics = logits(params, images)
    among, used = logits(params, images, statistics)
    others = images.at[1:].set(255 - images[1:])
    np.testing.assert_array_equal(logits(params, others, statistics)[0][0], among[0])
    alone, _ = logits(params, images[:1], statistics)
    np.testing.assert_allclose(alone[0], among[0], rtol=1e-4, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, used, statistics)


def test_with_their_own_statistics_images_are_judged_together(logits, params, images):
    others = images.at[1:].set(255 - images[1:])
    assert not np.allclose(logits(params, others)[0][0], logits(params, images)[0][0], atol=1e-3)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [({"side": 15}, "at least 16 pixels"), ({"channels": 0}, "channels"), ({"filters": 0}, "filt")],
)
def test_sizes_out_of_range_are_refused(sizes, words):
    with pytest.raises(InnerloopError, match=words):
        Conv4(**{"side": 16, "channels": 1, "filters": 2, **sizes})
