"""What metric learners share: distances, and statistics of meta-training."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import SHAPE, episode, learner, noise, sampler
from innerloop import InnerloopError
from innerloop.fewshot import BatchSampler
from innerloop.fewshot.embedding import cosine, squared_distances

EMBEDDINGS = ["protonet", "matching", "matching-fce", "nearest-neighbour", "finetune"]
JOINT = ["nearest-neighbour", "finetune"]


def problem(method):
    """What the method's meta-loss is of."""
    if method not in JOINT:
        return episode()
    return BatchSampler(noise(SHAPE.classes), batch=8).sample(key=jax.random.key(0))


def test_distances_by_hand():
    one, other = jnp.asarray([[3.0, 4.0], [0.0, 0.0]]), jnp.asarray([[3.0, 0.0], [-6.0, -8.0]])
    np.testing.assert_allclose(squared_distances(one, other), [[16, 225], [9, 100]])
    np.testing.assert_allclose(cosine(one, other), [[0.6, -1], [0, 0]], atol=1e-6)


def test_the_slope_of_a_cosine_is_finite_at_zero():
    slope = jax.grad(lambda rows: jnp.sum(cosine(rows, jnp.ones((1, 2)))))(jnp.zeros((1, 2)))
    assert np.all(np.isfinite(slope))


def test_a_prototype_is_a_mean_and_the_nearest_wins():
    support = jnp.asarray([[0.0, 0.0], [4.0, 0.0], [2.0, 2.0], [0.0, 6.0]])
    labels, query = jnp.asarray([0, 1, 0, 1]), jnp.asarray([[1.0, 1.0], [2.0, 4.0]])
    logits = learner("protonet").compare(support, labels, query, 2)
    # The prototypes are (1, 1) and (2, 3).
    np.testing.assert_allclose(logits, [[0, -5], [-10, -1]], atol=1e-5)
    halved = learner("protonet", scale=0.5).compare(support, labels, query, 2)
    np.testing.assert_allclose(halved, logits / 2, atol=1e-5)


def test_distances_are_not_turned_around():
    with pytest.raises(InnerloopError, match="scale is -1"):
        learner("protonet", scale=-1.0)


@pytest.mark.parametrize("method", ["protonet", "nearest-neighbour"])
def test_gathered_statistics_are_the_average_over_fifty_problems(key, method):
    mine = learner(method)
    problems = sampler() if method == "protonet" else BatchSampler(noise(), batch=8)

    @eqx.filter_jit
    def by_hand(key):
        drawn = problems.sample(key=key)
        parts = [drawn.support, drawn.query] if method == "protonet" else [drawn]
        images = jnp.concatenate([part.images for part in parts])
        return mine.backbone.features(mine.params, images)[1]

    each = [by_hand(one) for one in jax.random.split(key, 50)]
    expected = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *each)
    gathered = mine.finalize(problems, key=key)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        gathered.statistics,
        expected,
    )
    jax.tree.map(np.testing.assert_array_equal, gathered.params, mine.params)


@pytest.mark.parametrize("method", EMBEDDINGS)
def test_a_gradient_reaches_all_that_is_learned_and_no_statistics(method, key):
    # A little way into training: at the start a linear layer of 0 stops what is behind it.
    mine = jax.tree.map(
        lambda leaf: leaf + 0.01 * jax.random.normal(key, leaf.shape), learner(method)
    )
    seen = problem(method)
    gradient = eqx.filter_jit(eqx.filter_grad(lambda mine: mine.meta_loss(seen, 2, key=key)))(mine)
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(gradient.statistics))
    learned = eqx.tree_at(lambda gradient: gradient.statistics, gradient, None)
    for path, leaf in jax.tree_util.tree_leaves_with_path(learned):
        assert np.any(leaf != 0) and np.all(np.isfinite(leaf)), jax.tree_util.keystr(path)


@pytest.mark.parametrize("method", EMBEDDINGS)
def test_queries_are_judged_alone_unless_by_their_own_statistics(method, key):
    mine = learner(method)
    mine = eqx.tree_at(
        lambda mine: mine.statistics,
        mine,
        {
            name: (mean + 0.1, 2 * var)
            for name, (mean, var) in mine.backbone.init_statistics().items()
        },
    )
    support, images = episode().support, episode().query.images
    others = images.at[1:].set(255 - images[1:])

    @eqx.filter_jit
    def predict(images, transductive):
        return mine.adapt(support, 2, key=key)(images, transductive=transductive)

    np.testing.assert_array_equal(predict(others, False)[0], predict(images, False)[0])
    assert not np.array_equal(predict(others, True)[0], predict(images, True)[0])
