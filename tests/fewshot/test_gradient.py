"""Gradient meta-learners: what an episode leaves behind, and what reaches back through it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import close, double, episode, learner, same
from innerloop import InnerloopError
from innerloop.fewshot import _base
from innerloop.fewshot.head import logits
from innerloop.rules import MetaLSTMRule

KEY = jax.random.key(3)
# All is float64 but the images, which a program may round once to float32 and another not.
TOLERANCE = {"additions": 1000, "dtype": "float32"}
KINDS = {
    "meta-lstm": lambda **settings: learner("meta-lstm", **{"steps": 3, "hidden": 4, **settings}),
    "layerwise": lambda **settings: learner(
        "meta-lstm", **{"steps": 3, "hidden": 4, "gates": "layerwise", **settings}
    ),
    "meta-sgd": lambda **settings: learner("meta-sgd", **{"steps": 3, **settings}),
    "lstm": lambda **settings: learner("lstm", **{"steps": 3, "hidden": 4, **settings}),
    "maml": lambda **settings: learner("maml", **{"steps": 3, **settings}),
}


@eqx.filter_jit
def adapt(learner, episode, key=KEY):
    return learner.adapt(episode.support, 2, key=key)


@eqx.filter_jit
def run(learner, episode, key=KEY):
    return learner.run(episode.support, 2, key=key)


@eqx.filter_jit
def meta_loss(learner, episode):
    return learner.meta_loss(episode, 2, key=KEY)


@eqx.filter_jit
def meta_gradient(learner, episode):
    return eqx.filter_grad(lambda learner: learner.meta_loss(episode, 2, key=KEY))(learner)


@pytest.fixture(scope="module")
def mine():
    """A learner whose gates are open enough for its steps to be seen."""
    found = KINDS["meta-lstm"]()
    return eqx.tree_at(lambda found: found.rule.gate_bias, found, jnp.asarray([0.0, 4.0]))


def test_nothing_of_an_episode_is_left_for_the_next(mine):
    one, other = (episode(seed) for seed in (0, 1))

    @eqx.filter_jit
    def in_order(episodes):
        def of(each):
            predict = mine.adapt(each.support, 2, key=KEY)
            return predict, predict(each.query.images)

        return jax.lax.map(of, jax.tree.map(lambda *leaves: jnp.stack(leaves), *episodes))

    there, back = in_order((one, other)), in_order((other, one))
    assert same(there, jax.tree.map(lambda leaf: leaf[::-1], back))
    assert not same(there, back)
    first = adapt(mine, one)
    adapt(mine, other)
    assert same(adapt(mine, one), first)


def test_queries_are_normalised_by_the_support_set_under_the_final_parameters(mine):
    predict, problem = adapt(mine, episode()), episode()
    _, expected = mine.backbone.features(predict.params, problem.support.images)
    # Means over the pixels of four images.
    close(predict.statistics, expected, additions=4 * 16 * 16)


def test_queries_are_judged_alone_unless_by_their_own_statistics(mine):
    predict, images = eqx.filter_jit(adapt(mine, episode())), episode().query.images
    others = images.at[1:].set(255 - images[1:])
    np.testing.assert_array_equal(predict(others)[0], predict(images)[0])
    whole = [predict(each, transductive=True)[0] for each in (others, images)]
    assert not np.allclose(*whole, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_reaches_all_that_is_learned(kind):
    gradient = meta_gradient(KINDS[kind](), episode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        fixed = kind == "maml" and leaf.ndim == 0
        assert np.all(np.isfinite(leaf))
        assert np.any(leaf != 0) != fixed, jax.tree_util.keystr(path)


def test_what_is_not_learned_gets_no_gradient():
    gradient = meta_gradient(KINDS["meta-lstm"](learn_init=False), episode())
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(gradient.params))
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient.rule))
    # MAML's rate, were it learned.
    gradient = meta_gradient(KINDS["maml"](learn_rate=True), episode())
    assert gradient.rule.learning_rate != 0


def loud(learner):
    """The learner in float64, with a rule that heeds the loss, the parameters and its gates."""
    rule = learner.rule
    if isinstance(rule, MetaLSTMRule):
        weights = (30 * rule.layer.weight, 30 * rule.gate_weight, jnp.asarray([-1.0, 4.0]))
        learner = eqx.tree_at(
            lambda learner: (
                learner.rule.layer.weight,
                learner.rule.gate_weight,
                learner.rule.gate_bias,
            ),
            learner,
            weights,
        )
    return double(learner)


def slope(function, at, direction, distance=1e-6):
    ahead, behind = (
        function(jax.tree.map(lambda leaf, d, s=step: leaf + s * d, at, direction))
        for step in (distance, -distance)
    )
    return (ahead - behind) / (2 * distance)


def directions(arrays):
    """Random ones: in the initialisation alone, and in the rule alone."""
    random = np.random.default_rng(0)
    still = jax.tree.map(jnp.zeros_like, arrays)
    for part in (lambda tree: tree.params, lambda tree: tree.rule):
        moved = jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape)), part(arrays))
        yield eqx.tree_at(part, still, moved)


def dot(one, other):
    return sum(
        float(jnp.vdot(a, b)) for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True)
    )


@pytest.mark.parametrize("kind", ["meta-lstm", "meta-sgd"])
def test_second_order_agrees_with_finite_differences(kind):
    with jax.enable_x64(True):
        mine, problem = loud(KINDS[kind](second_order=True, steps=2)), episode()
        arrays, static = eqx.partition(mine, eqx.is_inexact_array)
        gradient = meta_gradient(mine, problem)
        for direction in directions(arrays):
            expected = slope(
                lambda arrays: meta_loss(eqx.combine(arrays, static), problem), arrays, direction
            )
            assert abs(expected) > 1e-4
            np.testing.assert_allclose(dot(gradient, direction), expected, rtol=1e-4)


def cross_entropy(backbone, params, images, labels):
    values = jax.nn.log_softmax(logits(backbone, params, images)[0])
    return -jnp.mean(values[jnp.arange(len(labels)), labels])


@pytest.mark.parametrize("kind", ["meta-lstm", "lstm"])
def test_first_order_agrees_with_finite_differences_under_frozen_gradients(kind):
    """With the inner losses and gradients held at what they were, the rest is differentiated."""
    with jax.enable_x64(True):
        mine, problem = loud(KINDS[kind]()), episode()
        support, query = problem.support, problem.query
        arrays, static = eqx.partition(mine, eqx.is_inexact_array)

        @jax.jit
        def seen(params):
            return jax.value_and_grad(
                lambda params: cross_entropy(mine.backbone, params, support.images, support.labels)
            )(params)

        @jax.jit
        def replayed(arrays, held):
            rule, params = eqx.combine(arrays, static).rule, arrays.params
            state = rule.init(params)
            for loss, grads in held:
                updates, state = rule.update(grads, state, params, value=loss)
                params = jax.tree.map(jnp.add, params, updates)
            loss = cross_entropy(mine.backbone, params, query.images, query.labels)
            return loss, params

        held = []
        for _ in range(3):
            held.append(seen(replayed(arrays, tuple(held))[1]))
        held = tuple(held)
        np.testing.assert_allclose(meta_loss(mine, problem), replayed(arrays, held)[0], rtol=1e-6)
        gradient = meta_gradient(mine, problem)
        for direction in directions(arrays):
            expected = slope(lambda arrays: replayed(arrays, held)[0], arrays, direction)
            assert abs(expected) > 1e-6
            np.testing.assert_allclose(dot(gradient, direction), expected, rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 3])
def test_mamls_first_order_gradient_is_that_of_the_queries_at_the_end(float64, steps):
    mine, problem = double(KINDS["maml"](steps=steps, second_order=False)), episode()
    end = run(mine, problem)[0].params
    query = problem.query
    expected = jax.jit(
        jax.grad(lambda params: cross_entropy(mine.backbone, params, query.images, query.labels))
    )(end)
    close(meta_gradient(mine, problem).params, expected, **TOLERANCE)


@pytest.mark.parametrize("kind", ["layerwise", "lstm"])
def test_the_rules_state_after_every_step_is_told(float64, kind):
    problem = episode()
    (end, states), (first, only) = (
        run(double(KINDS[kind](steps=steps)), problem) for steps in (3, 1)
    )
    assert same(jax.tree.map(lambda leaf: leaf[-1], states), end.state)
    assert same(jax.tree.map(lambda leaf: leaf[0], only), first.state)
    assert [leaf.shape for leaf in jax.tree.leaves(states)] == [
        (3, *leaf.shape) for leaf in jax.tree.leaves(end.state)
    ]
    close(jax.tree.map(lambda leaf: leaf[:1], states), only, **TOLERANCE)
    assert all(np.any(leaf[0] != leaf[1]) for leaf in jax.tree.leaves(states))


def test_so_many_steps_are_taken_as_were_asked_for(float64, mine):
    mine, problem = double(mine), episode()
    support = problem.support
    params, state = mine.params, mine.rule.init(mine.params)
    seen = jax.jit(
        jax.value_and_grad(
            lambda params: cross_entropy(mine.backbone, params, support.images, support.labels)
        )
    )
    for _ in range(3):
        loss, grads = seen(params)
        updates, state = mine.rule.update(grads, state, params, value=loss)
        params = jax.tree.map(jnp.add, params, updates)
    close(run(mine, problem)[0].params, params, **TOLERANCE)


def test_a_learned_initialisation_is_where_every_episode_begins_and_a_random_one_is_not(mine):
    random = mine.with_settings(learn_init=False)
    for each, alike in ((mine, True), (random, False)):
        one, other = (run(each, episode(), jax.random.key(seed))[0] for seed in (0, 1))
        assert same(one.params, other.params) == alike
    again = run(random, episode(), jax.random.key(1))[0]
    assert same(again.params, other.params)


def test_a_step_may_see_a_part_of_the_support_set(mine):
    def end(batch, seed=0):
        found = run(mine.with_settings(batch=batch), episode(), jax.random.key(seed))
        return found[0].params

    assert not same(end(2), end(None)) and not same(end(2), end(2, seed=1))
    assert same(end(4), end(None))


def test_as_many_classes_as_it_tells_apart_and_no_others():
    with pytest.raises(InnerloopError, match="tells 2 classes apart; these are 3"):
        KINDS["maml"]().adapt(episode().support, 3, key=KEY)


@pytest.mark.parametrize("settings", [{"steps": 0}, {"batch": 0}])
def test_settings_out_of_range_are_refused(mine, settings):
    with pytest.raises(InnerloopError, match=next(iter(settings))):
        mine.with_settings(**settings)


@pytest.mark.parametrize("statistics", ["query", "support"])
def test_queries_of_training_are_normalised_as_asked(float64, statistics):
    mine, problem = double(learner("maml", query_statistics=statistics)), episode()
    predict, own = mine.adapt(problem.support, 2, key=KEY), statistics == "query"
    asked = predict(problem.query.images, transductive=own)
    other = predict(problem.query.images, transductive=not own)
    expected, wrong = (_base.cross_entropy(each, problem.query.labels) for each in (asked, other))
    close(meta_loss(mine, problem), expected, **TOLERANCE)
    assert not np.isclose(wrong, expected, rtol=1e-4)


@pytest.fixture(scope="module")
def on_head():
    """Learners whose inner loop changes the output layer alone, with and without the embedding."""
    return {
        learned: KINDS["maml"](adapt="head", learn_embedding=learned, second_order=False)
        for learned in (True, False)
    }


def test_the_head_alone_is_adapted(on_head):
    for each in on_head.values():
        ended = run(each, episode(0))[0].params
        assert list(ended) == ["head"]
        assert not jnp.array_equal(ended["head"]["weight"], each.params["head"]["weight"])


def test_steps_on_the_head_are_those_of_a_linear_layer_on_features_of_length_one(on_head):
    made, seen = on_head[True], episode(0)
    features, labels = made.embed(seen.support.images), seen.support.labels
    close(jnp.mean(features**2, 1), jnp.ones(len(features)), **TOLERANCE)
    head = made.params["head"]
    for _ in range(3):
        slope = jax.grad(
            lambda head: _base.cross_entropy(features @ head["weight"].T + head["bias"], labels)
        )(head)
        head = jax.tree.map(lambda p, g: p - 0.1 * g, head, slope)
    close(run(made, seen)[0].params["head"], head, **TOLERANCE)


def test_an_embedding_that_is_not_learned_has_no_gradient(on_head):
    for learned, each in on_head.items():
        found = meta_gradient(each, episode(1))
        assert any(map(jnp.any, jax.tree.leaves(found.params["head"])))
        moves = any(bool(jnp.any(leaf)) for leaf in jax.tree.leaves(found.params["block1"]))
        assert moves == learned
        assert not any(map(jnp.any, jax.tree.leaves(found.statistics)))


@pytest.mark.parametrize("kind", ["maml", "meta-lstm"])
def test_a_shared_row_takes_any_number_of_classes_in_any_order(kind):
    made = KINDS[kind](adapt="head", head="shared")
    assert made.way is None and made.params["head"]["weight"].shape[0] == 1
    seen = episode(0)
    found = run(made, seen)[0].params["head"]["weight"]
    assert found.shape[0] == 2
    labels = 1 - seen.support.labels
    turned = eqx.tree_at(lambda seen: seen.support.labels, seen, labels)
    close(run(made, turned)[0].params["head"]["weight"], found[::-1], **TOLERANCE)
    more = eqx.filter_jit(lambda made: made.run(seen.support, 5, key=KEY))(made)[0]
    assert more.params["head"]["weight"].shape[0] == 5
