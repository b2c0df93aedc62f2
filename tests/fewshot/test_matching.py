"""Matching networks: a vote by likeness, with and without the light of the whole support set."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import learner

LABELS = jnp.asarray([0, 1, 2, 0, 1, 2])


@pytest.fixture
def support(key):
    return jax.random.normal(key, (6, learner("matching").backbone.width))


@pytest.fixture
def query(support):
    return jax.random.normal(jax.random.key(1), (4, support.shape[1]))


def test_the_vote_by_hand(support, query):
    mine = learner("matching")
    one, other = (np.asarray(rows, float) for rows in (query, support))
    likeness = one @ other.T / np.outer(*(np.linalg.norm(rows, axis=1) for rows in (one, other)))
    votes = np.exp(10 * likeness)
    expected = (votes[:, :3] + votes[:, 3:]) / votes.sum(1, keepdims=True)
    logits = mine.compare(support, LABELS, query, 3)
    np.testing.assert_allclose(jnp.exp(logits), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", ["matching", "matching-fce"])
def test_the_probabilities_sum_to_one(method, support, query):
    logits = learner(method).compare(support, LABELS, query, 3)
    np.testing.assert_allclose(jnp.exp(logits).sum(1), 1, atol=1e-4)


def test_the_nearest_has_most_of_the_vote(support):
    logits = learner("matching").compare(support, LABELS, 2 * support[:3], 3)
    assert logits.argmax(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("method", ["matching", "protonet"])
def test_the_order_of_the_support_set_does_not_matter(method, support, query):
    mine, order = learner(method), jnp.asarray([4, 2, 0, 5, 3, 1])
    np.testing.assert_allclose(
        mine.compare(support[order], LABELS[order], query, 3),
        mine.compare(support, LABELS, query, 3),
        rtol=1e-4,
        atol=1e-5,
    )


CONTEXTS = pytest.mark.parametrize("hidden", [None, 4])


@CONTEXTS
def test_with_full_context_an_embedding_depends_on_the_whole_support_set(hidden, support, query):
    context = learner("matching-fce", hidden=hidden).context
    embed = jax.jit(context.__call__)
    ours, queries = embed(support, query)
    assert ours.shape == support.shape and queries.shape == query.shape
    # Through either direction: the first sees the last, and the last the first.
    for changed, other in ((0, -1), (-1, 0)):
        others, other_queries = embed(support.at[changed].add(1.0), query)
        assert not np.allclose(others[other], ours[other], atol=1e-6)
        assert not np.allclose(other_queries, queries, atol=1e-6)


@CONTEXTS
def test_with_full_context_queries_are_still_judged_alone(hidden, support, query):
    embed = jax.jit(learner("matching-fce", hidden=hidden).context.__call__)
    one, other = embed(support, query), embed(support, query.at[1:].add(1.0))
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1][0], other[1][0])


def test_narrow_lstms_between_identities_are_the_published_ones(support, query):
    published = learner("matching-fce").context
    features = support.shape[1]
    between = eqx.tree_at(
        lambda context: (context.narrow, context.widen),
        published,
        (jnp.eye(features), jnp.eye(features)),
        is_leaf=lambda leaf: leaf is None,
    )
    for ours, theirs in zip(between(support, query), published(support, query), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_narrow_lstms_are_all_learned(key, support, query):
    mine = learner("matching-fce", hidden=4)

    @eqx.filter_grad
    def gradient(context):
        one, other = context(support, query)
        return jnp.sum(one**2) + jnp.sum(other**3)

    for leaf in jax.tree.leaves(gradient(mine.context)):
        assert jnp.any(leaf != 0)
