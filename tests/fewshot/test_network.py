"""The network against one written with XLA's own convolutions and pooling."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from helpers import close, double
from innerloop import InnerloopError
from innerloop.fewshot import Conv4
from innerloop.fewshot._convolve import convolve_and_pool
from innerloop.fewshot.network import BLOCKS

pytestmark = pytest.mark.usefixtures("float64")

# Some hundreds for each of a few sums, and sums of sums: a relative error of 2e-11.
ADDITIONS = 100_000
LAYOUT = ("NHWC", "OHWI", "NHWC")


@pytest.fixture(scope="module")
def network():
    return Conv4(side=19, channels=2, filters=3, classes=4)


@pytest.fixture
def params(network):
    """Random ones, with scales and shifts that matter."""
    leaves, structure = jax.tree.flatten(network.init(key=jax.random.key(0)))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    moved = [
        leaf + 0.1 * jax.random.normal(k, leaf.shape) for leaf, k in zip(leaves, keys, strict=True)
    ]
    return double(jax.tree.unflatten(structure, moved))


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


def theirs(images, kernel, sign):
    """What `convolve_and_pool` does, by XLA's convolution and pooling."""
    units = lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT)
    window = (1, 2, 2, 1)
    largest = lax.reduce_window(units * sign, -jnp.inf, lax.max, window, window, "VALID")
    return largest, (jnp.mean(units, (0, 1, 2)), jnp.var(units, (0, 1, 2)))


@pytest.fixture(params=[(2, 3), (9, 3), (1, 12)], ids=["few", "many", "one"])
def convolved(request, key):
    """Images of so many channels, a kernel of so many filters, their signs, and what is pulled.

    The height of 5 leaves out a row.
    """
    channels, filters = request.param
    shapes = [
        (6, 5, 4, channels),
        (filters, 3, 3, channels),
        (6, 2, 2, filters),
        (filters,),
        (filters,),
    ]
    images, kernel, *pull = (
        jax.random.normal(each, shape)
        for each, shape in zip(jax.random.split(key, len(shapes)), shapes, strict=True)
    )
    sign = jnp.resize(jnp.asarray([1.0, -1.0, 1.0]), filters)
    return images, kernel, sign, (pull[0], (pull[1], pull[2]))


@pytest.mark.parametrize("count", [1, 5, 6])
@pytest.mark.parametrize("images_at_once", [0, 1, 4, None])
def test_a_convolution_is_xlas_own(monkeypatch, convolved, count, images_at_once):
    images, kernel, sign, (to_largest, to_moments) = convolved
    if images_at_once is not None:
        most = images_at_once * 9 * images[0].size
        monkeypatch.setattr("innerloop.fewshot._convolve._PATCHES", most)
    pull = (to_largest[:count], to_moments)

    @jax.jit
    def both(images, kernel):
        found, back = jax.vjp(lambda *inputs: convolve_and_pool(*inputs, sign), images, kernel)
        expected, their_back = jax.vjp(lambda *inputs: theirs(*inputs, sign), images, kernel)
        return (found, back(pull)), (expected, their_back(pull))

    close(*both(images[:count], kernel), additions=ADDITIONS)


def test_its_second_derivatives_are_xlas_own_too(convolved):
    images, kernel, sign, pull = convolved

    def slope(function):
        def loss(kernel):
            found = function(images, kernel, sign)
            return sum(
                jnp.sum(jnp.sin(leaf) * weight)
                for leaf, weight in zip(jax.tree.leaves(found), jax.tree.leaves(pull), strict=True)
            )

        return jax.grad(lambda kernel: jnp.sum(jax.grad(loss)(kernel) ** 2))

    found, expected = (jax.jit(slope(each))(kernel) for each in (convolve_and_pool, theirs))
    close(found, expected, additions=ADDITIONS)


def test_units_that_are_equal_share_the_gradient():
    """Where an image is blank, all units of a square are the largest."""
    images, kernel = jnp.ones((1, 6, 6, 1)), jnp.ones((1, 3, 3, 1))

    def middle(images):
        return convolve_and_pool(images, kernel, jnp.ones(1))[0][0, 1, 1, 0]

    # Each of the four has a quarter: the pixels that all of them see get 1, the corners a quarter.
    shares = jax.grad(middle)(images)[0, :, :, 0]
    expected = np.outer([0.5, 1, 1, 0.5], [0.5, 1, 1, 0.5])
    np.testing.assert_array_equal(shares[1:5, 1:5], expected)


def test_pooling_leaves_out_an_odd_row_or_column():
    units = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 7, 1)))
    identity = jnp.zeros((1, 3, 3, 1)).at[0, 1, 1, 0].set(1)
    pooled = np.asarray(convolve_and_pool(units, identity, jnp.ones(1))[0])
    assert pooled.shape == (2, 2, 3, 1)
    for row in range(2):
        for column in range(3):
            square = units[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            np.testing.assert_array_equal(pooled[:, row, column], square.max((1, 2)))


def reference(params, images):
    units, used = (images.astype(jnp.float32) / 255).astype(float), {}
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
    close(logits(params, images), jax.jit(reference)(params, images), additions=ADDITIONS)


def test_with_statistics_that_are_given_every_image_is_judged_alone(logits, params, images):
    _, statistics = logits(params, images)
    among, used = logits(params, images, statistics)
    others = images.at[1:].set(255 - images[1:])
    np.testing.assert_array_equal(logits(params, others, statistics)[0][0], among[0])
    alone, _ = logits(params, images[:1], statistics)
    close(alone[0], among[0], additions=ADDITIONS)
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
