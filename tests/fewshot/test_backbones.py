"""Backbones against networks written with XLA's own convolutions and pooling."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from helpers import close, double
from innerloop import InnerloopError
from innerloop.fewshot import Conv4, ResNet12, make_backbone
from innerloop.fewshot.head import init_head, logits as all_logits
from innerloop.fewshot.making import settings_of_backbone
from innerloop.kernels.episode_convolution import convolve_and_pool

# In float64, some hundreds for each of a few sums, and sums of sums: a relative error of 2e-11.
ADDITIONS = 100_000
LAYOUT = ("NHWC", "OHWI", "NHWC")
BLOCKS = ("block1", "block2", "block3", "block4")
CLASSES = 4


@pytest.fixture(scope="module")
def network():
    return Conv4(side=19, channels=2, filters=3)


@pytest.fixture
def params(float64, network):
    """Random ones, with scales and shifts that matter."""
    params = {**network.init(key=jax.random.key(0)), "head": init_head(network.width, CLASSES)}
    return double(moved(params))


def moved(params):
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    return jax.tree.unflatten(
        structure,
        [
            leaf + 0.1 * jax.random.normal(k, leaf.shape)
            for leaf, k in zip(leaves, keys, strict=True)
        ],
    )


@pytest.fixture(scope="module")
def images():
    values = np.random.default_rng(0).integers(0, 256, (6, 19, 19, 2))
    return jnp.asarray(values, jnp.uint8)


@pytest.fixture(scope="module")
def logits(network):
    return eqx.filter_jit(lambda *given: all_logits(network, *given))


def test_it_has_as_many_parameters_as_published_less_the_biases_of_the_convolutions():
    network = Conv4(side=84, channels=3)
    shapes = jax.eval_shape(lambda: network.init(key=jax.random.key(0)))
    head = init_head(network.width, 5)
    sizes = [leaf.size for leaf in jax.tree.leaves((shapes, head))]
    assert sum(sizes) == 32_901 - 4 * 32 == 32_773
    assert head["weight"].shape == (5, network.width) == (5, 800)


def test_it_begins_with_the_variance_of_he_and_all_classes_alike():
    params = Conv4(side=16, channels=32).init(key=jax.random.key(0))
    assert tuple(params) == BLOCKS
    for name in BLOCKS:
        assert np.var(params[name]["kernel"]) == pytest.approx(2 / (9 * 32), rel=0.1)
        assert np.all(params[name]["scale"] == 1) and np.all(params[name]["shift"] == 0)
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(init_head(32, 50)))


def test_pooling_leaves_out_an_odd_row_or_column():
    units = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 7, 1)), jnp.float32)
    identity = jnp.zeros((1, 3, 3, 1)).at[0, 1, 1, 0].set(1)
    pooled = np.asarray(convolve_and_pool(units, identity, jnp.ones(1))[0])
    assert pooled.shape == (2, 2, 3, 1)
    for row in range(2):
        for column in range(3):
            square = units[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            np.testing.assert_array_equal(pooled[:, row, column], square.max((1, 2)))


def scaled(images):
    """From 0 to 1, and rounded to float32 as a backbone does it."""
    return (images.astype(jnp.float32) / 255).astype(float)


def reference(params, images, *, blocks=BLOCKS, pooled=BLOCKS):
    """(features, statistics)."""
    units, used = scaled(images), {}
    for name in blocks:
        block = params[name]
        units = lax.conv_general_dilated(
            units, block["kernel"], (1, 1), "SAME", dimension_numbers=LAYOUT
        )
        used[name] = (jnp.mean(units, (0, 1, 2)), jnp.var(units, (0, 1, 2)))
        units = (units - used[name][0]) / jnp.sqrt(used[name][1] + 1e-3)
        units = jax.nn.relu(units * block["scale"] + block["shift"])
        if name in pooled:
            units = maximum(units)
    return units, used


def maximum(units):
    return lax.reduce_window(units, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def test_the_logits_are_those_of_four_blocks_and_a_linear_layer(logits, params, images):
    units, used = jax.jit(reference)(params, images)
    head = params["head"]
    expected = units.reshape(len(images), -1) @ head["weight"].T + head["bias"]
    close(logits(params, images), (expected, used), additions=ADDITIONS)


def test_with_the_mean_the_last_block_is_not_pooled(float64, images):
    network = Conv4(side=19, channels=2, filters=3, pool="mean")
    params = double(moved(network.init(key=jax.random.key(0))))
    units, used = jax.jit(lambda *given: reference(*given, pooled=BLOCKS[:3]))(params, images)
    assert units.shape == (6, 2, 2, 3) and network.width == 3
    found = eqx.filter_jit(network.features)(params, images)
    close(found, (units.mean((1, 2)), used), additions=ADDITIONS)


def test_reduced_images_are_the_means_of_squares(float64):
    network = Conv4(side=34, channels=2, filters=3, reduce=2)
    coarse = Conv4(side=17, channels=2, filters=3)
    params = double(moved(coarse.init(key=jax.random.key(0))))
    images = jax.random.randint(jax.random.key(1), (4, 17, 17, 2), 0, 256).astype(jnp.uint8)
    fine = jnp.repeat(jnp.repeat(images, 2, axis=1), 2, axis=2)
    found = eqx.filter_jit(network.features)(params, fine)
    assert network.width == coarse.width
    close(found, eqx.filter_jit(coarse.features)(params, images), additions=ADDITIONS)


def residual(params, images):
    """ResNet-12 as its papers draw it."""
    units = scaled(images)

    def convolve(units, layer, number):
        units = lax.conv_general_dilated(
            units, layer[f"kernel{number}"], (1, 1), "SAME", dimension_numbers=LAYOUT
        )
        units = (units - units.mean((0, 1, 2))) / jnp.sqrt(units.var((0, 1, 2)) + 1e-5)
        return units * layer[f"scale{number}"] + layer[f"shift{number}"]

    def leaky(units):
        return jnp.where(units > 0, units, 0.1 * units)

    for layer in params.values():
        inside = leaky(convolve(leaky(convolve(units, layer, 1)), layer, 2))
        units = maximum(leaky(convolve(inside, layer, 3) + convolve(units, layer, 0)))
    return units.mean((1, 2))


def test_resnet_12_is_that_of_its_papers(images):
    network = ResNet12(side=19, channels=2, widths=(3, 4, 5, 6))
    params = moved(network.init(key=jax.random.key(0)))
    features, used = eqx.filter_jit(network.features)(params, images)
    assert features.shape == (6, network.width) and tuple(params) == network.layers
    # In float32: sums of up to 54 numbers in each of twelve convolutions.
    close(features, jax.jit(residual)(params, images), additions=12 * 54)
    alone, _ = network.features(params, images[:1], used)
    close(alone[0], features[0], additions=12 * 54)


def test_resnet_12_has_as_many_parameters_as_published():
    """12.4 million (Lee et al. 2019), with widths of 64, 160, 320 and 640."""
    network = ResNet12(side=84, channels=3)
    shapes = jax.eval_shape(lambda: network.init(key=jax.random.key(0)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 12_424_320


@pytest.mark.parametrize(
    ("name", "settings"),
    [("conv4", {"filters": 5, "pool": "mean"}), ("resnet12", {"widths": [2, 3]})],
)
def test_a_backbone_is_made_again_from_its_settings(name, settings):
    network = make_backbone(name, settings, side=16, channels=1)
    found = settings_of_backbone(network)
    assert settings.items() <= found.items() and "side" not in found
    assert make_backbone(name, found, side=16, channels=1) == network
    with pytest.raises(InnerloopError, match="side"):
        make_backbone(name, {"side": 3}, side=16, channels=1)


def test_another_pooling_is_refused():
    with pytest.raises(InnerloopError, match="pool is 'max'; it must be flatten or mean"):
        make_backbone("conv4", {"pool": "max"}, side=16, channels=1)


@pytest.mark.parametrize("network", [Conv4(side=16, channels=1), ResNet12(side=16, channels=1)])
def test_statistics_that_stand_in_are_mean_0_and_variance_1(network):
    found = network.init_statistics()
    params = network.init(key=jax.random.key(0))
    images = jnp.zeros((1, 16, 16, 1), jnp.uint8)
    real = jax.eval_shape(lambda: network.features(params, images)[1])
    assert jax.tree.structure(found) == jax.tree.structure(real)
    assert all(np.all(mean == 0) and np.all(variance == 1) for mean, variance in found.values())


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
    [
        ({"side": 15}, "at least 16 pixels"),
        ({"side": 7, "pool": "mean"}, "at least 8 pixels"),
        ({"channels": 0}, "channels"),
        ({"filters": 0}, "filters"),
        ({"reduce": 0}, "reduce"),
        ({"side": 31, "reduce": 2}, "at least 32 pixels"),
    ],
)
def test_sizes_out_of_range_are_refused(sizes, words):
    with pytest.raises(InnerloopError, match=words):
        Conv4(**{"side": 16, "channels": 1, "filters": 2, **sizes})
    with pytest.raises(InnerloopError, match="at least 16 pixels"):
        ResNet12(side=15, channels=1)
