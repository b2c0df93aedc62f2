"""Beginning where another learner ended."""

import jax
import numpy as np
import pytest

from helpers import SHAPE, learner, same
from innerloop import InnerloopError
from innerloop.fewshot import Recipe, save
from innerloop.fewshot.init_from import started


@pytest.fixture
def saved(tmp_path):
    """Save a learner of another seed: (learner, path)."""

    def make(method, **settings):
        found = learner(method, seed=1, filters=3, **settings)
        recipe = Recipe(
            method=method, data="omniglot", shape=SHAPE, settings={"filters": 3, **settings}
        )
        return found, save(found, recipe, tmp_path / "start.safetensors")

    return make


def test_an_initialisation_begins_at_an_embedding_and_keeps_its_own_output_layer(saved):
    source, path = saved("protonet")
    fresh = learner("maml", filters=3)
    begun = started(fresh, path)
    for block in source.params:
        assert same(begun.initial[block], source.params[block])
    assert same(begun.initial["head"], fresh.initial["head"])


def test_an_embedding_begins_at_an_initialisation(saved):
    source, path = saved("meta-lstm", hidden=4)
    begun = started(learner("protonet", filters=3), path)
    assert all(same(begun.params[block], source.initial[block]) for block in begun.params)


def test_the_same_method_begins_at_all_of_it(saved):
    source, path = saved("meta-lstm", hidden=4)
    begun = started(learner("meta-lstm", filters=3, hidden=4, steps=1), path)
    assert same((begun.initial, begun.rule), (source.initial, source.rule))
    assert begun.steps == 1


def test_a_rule_that_does_not_fit_is_left_as_it_is(saved):
    source, path = saved("meta-lstm", hidden=4)
    fresh = learner("meta-lstm", filters=3, hidden=2)
    begun = started(fresh, path)
    assert same(begun.initial, source.initial) and same(begun.rule, fresh.rule)


def test_joint_classes_are_not_the_classes_of_an_episode(saved):
    source, path = saved("nearest-neighbour")
    fresh = learner("maml", filters=3)
    assert source.params["head"]["bias"].shape != fresh.initial["head"]["bias"].shape
    assert same(started(fresh, path).initial["head"], fresh.initial["head"])


def test_another_network_is_refused_with_its_numbers(saved):
    _, path = saved("protonet")
    with pytest.raises(InnerloopError, match="a protonet with 3 filters on images of 16×16×1"):
        started(learner("maml", filters=4), path)


def test_nothing_else_than_arrays_changes(saved):
    _, path = saved("protonet")
    fresh = learner("maml", filters=3)
    begun = started(fresh, path)
    assert jax.tree.structure(begun) == jax.tree.structure(fresh)
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(fresh)]
    assert [np.shape(leaf) for leaf in jax.tree.leaves(begun)] == shapes
