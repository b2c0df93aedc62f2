"""Beginning where another learner ended."""

import jax
import numpy as np
import pytest

from helpers import learner, same
from innerloop import InnerloopError
from innerloop.fewshot import save
from innerloop.fewshot.init_from import init_from


@pytest.fixture
def saved(tmp_path):
    """Save a learner of another seed: (learner, path)."""

    def make(method, **settings):
        found = learner(method, seed=1, **settings)
        return found, save(found, tmp_path / "start.safetensors")

    return make


def test_an_initialisation_begins_at_an_embedding_and_keeps_its_own_output_layer(saved):
    source, path = saved("protonet")
    fresh = learner("maml")
    begun = init_from(fresh, path)
    for block in source.params:
        assert same(begun.params[block], source.params[block])
    assert same(begun.params["head"], fresh.params["head"])


def test_an_embedding_begins_at_an_initialisation(saved):
    source, path = saved("meta-lstm", hidden=4)
    begun = init_from(learner("protonet"), path)
    assert all(same(begun.params[block], source.params[block]) for block in begun.params)


def test_the_same_method_begins_at_all_of_it(saved):
    source, path = saved("meta-lstm", hidden=4)
    begun = init_from(learner("meta-lstm", hidden=4, steps=1), path)
    assert same((begun.params, begun.rule), (source.params, source.rule))
    assert begun.inner_steps == 1


def test_a_rule_that_does_not_fit_is_left_as_it_is(saved):
    source, path = saved("meta-lstm", hidden=4)
    fresh = learner("meta-lstm", hidden=2)
    begun = init_from(fresh, path)
    assert same(begun.params, source.params) and same(begun.rule, fresh.rule)


def test_joint_classes_are_not_the_classes_of_an_episode(saved):
    source, path = saved("nearest-neighbour")
    fresh = learner("maml")
    assert source.head["bias"].shape != fresh.params["head"]["bias"].shape
    assert same(init_from(fresh, path).params["head"], fresh.params["head"])


def test_another_network_is_refused_with_its_numbers(saved):
    _, path = saved("protonet")
    with pytest.raises(
        InnerloopError, match="filters=3.* a protonet's, and this learner's is Conv4.*filters=4"
    ):
        init_from(learner("maml", filters=4), path)


def test_nothing_else_than_arrays_changes(saved):
    _, path = saved("protonet")
    fresh = learner("maml")
    begun = init_from(fresh, path)
    assert jax.tree.structure(begun) == jax.tree.structure(fresh)
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(fresh)]
    assert [np.shape(leaf) for leaf in jax.tree.leaves(begun)] == shapes
