"""Meta-gradients against finite differences, and against each other."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import double, lstm, sinusoid, small_cifar10, unchecked
from innerloop import InnerLoop, OptaxRule, Quadratic, Rule, unroll
from innerloop.errors import SettingsError
from innerloop.kernels import chunks
from innerloop.metatrain import TruncatedBackprop
from innerloop.metatrain.estimators._adjoint import by_adjoint, by_autodiff
from innerloop.metatrain.estimators._coordinatewise import by_coordinates
from innerloop.metatrain.objectives import OBJECTIVES
from innerloop.rules import MultiRule

WINDOW = 5


class DecayedRule(Rule):
    """A rule that sees everything: parameters, loss, and its own state."""

    rate: jax.Array
    decay: jax.Array
    mixing: jax.Array

    def init(self, params):
        return jax.tree.map(jnp.zeros_like, params)

    def update(self, grads, state, params=None, *, value=None, **extra):
        assert params is not None and value is not None
        state = jax.tree.map(lambda m, g: self.mixing * m + g, state, grads)
        scale = self.rate / (1 + value)
        updates = jax.tree.map(lambda m, p: -scale * m - self.decay * p, state, params)
        return updates, state


def decayed():
    return DecayedRule(jnp.asarray(0.5), jnp.asarray(0.01), jnp.asarray(0.5))


RULES = {
    "lstm": lambda: lstm(preprocessing=None, output_scale=1.0),
    "lstm-preprocessed": lambda: lstm(output_scale=1.0),
    "decayed": decayed,
}


def cosine(one, other):
    one, other = (jnp.concatenate([jnp.ravel(x) for x in jax.tree.leaves(t)]) for t in (one, other))
    return float(jnp.vdot(one, other) / jnp.linalg.norm(one) / jnp.linalg.norm(other))


def norm(tree):
    return float(jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree))))


def assert_trees_close(one, other, rtol):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        scale = float(jnp.max(jnp.abs(b))) or 1.0
        np.testing.assert_allclose(a / scale, b / scale, atol=rtol)


@pytest.fixture(params=RULES)
def setting(request, key):
    """(rule, task, loops in mid-run) in float64."""
    with jax.enable_x64(True):
        rule, task = double(RULES[request.param]()), Quadratic(4)
        loop = InnerLoop.init(rule, task, jax.random.split(key, 3))
        loop = double(loop)
        loop, _ = unroll(rule, task, loop, 2)
        yield rule, task, loop


def slope(function, rule, key, distance=1e-5):
    """(finite difference, direction) of `function` of the rule along a random direction."""
    leaves, structure = jax.tree.flatten(rule)
    keys = jax.random.split(key, len(leaves))
    direction = jax.tree.unflatten(
        structure,
        [
            jax.random.normal(k, leaf.shape, leaf.dtype)
            for k, leaf in zip(keys, leaves, strict=True)
        ],
    )

    def at(step):
        return function(jax.tree.map(lambda leaf, d: leaf + step * d, rule, direction))

    return (at(distance) - at(-distance)) / (2 * distance), direction


def dot(gradient, direction):
    products = jax.tree.map(lambda g, d: jnp.vdot(g, d), gradient, direction)
    return sum(jax.tree.leaves(products))


def test_second_order_agrees_with_finite_differences_of_the_unroll(setting, key):
    rule, task, loop = setting
    uniform = OBJECTIVES["uniform"]

    def meta_loss(rule):
        return jnp.mean(unroll(rule, task, loop, WINDOW)[1])

    _, gradient, _ = by_autodiff(rule, task, loop, WINDOW, uniform, 100, second_order=True)
    expected, direction = slope(meta_loss, rule, key)
    np.testing.assert_allclose(dot(gradient, direction), expected, rtol=1e-5)


def test_first_order_agrees_with_finite_differences_under_frozen_gradients(setting, key):
    """With ∇_t and the loss held at what they were, only the rule's own path is left."""
    rule, task, loop = setting
    uniform = OBJECTIVES["uniform"]
    _, seen = unroll(rule, task, loop, WINDOW, record=lambda moment, arrival: moment)

    def loss_at(params, number):
        def one(params, problem, key, step):
            return task.loss(params, problem, key=jax.random.fold_in(key, step))

        return jax.vmap(one)(params, loop.problem, loop.key, loop.step + number + 1)

    def meta_loss(rule):
        params, state, total = loop.params, loop.state, 0.0
        for number in range(WINDOW):
            grads, loss = jax.tree.map(lambda x, n=number: x[n], (seen.grads, seen.loss))
            updates, state = jax.vmap(lambda g, s, p, v: rule.update(g, s, p, value=v))(
                grads, state, params, loss
            )
            params = params + updates
            total += jnp.mean(loss_at(params, number))
        return total / WINDOW

    _, gradient, _ = by_autodiff(rule, task, loop, WINDOW, uniform, 100)
    expected, direction = slope(meta_loss, rule, key)
    np.testing.assert_allclose(dot(gradient, direction), expected, rtol=1e-5)


def test_first_and_second_order_differ(setting):
    rule, task, loop = setting
    arguments = (rule, task, loop, WINDOW, OBJECTIVES["uniform"], 100)
    _, first, _ = by_autodiff(*arguments)
    _, second, _ = by_autodiff(*arguments, second_order=True)
    difference = jax.tree.map(lambda a, b: a - b, first, second)
    # A thousand times what either may be off from its own finite differences.
    assert norm(difference) > 1e-2 * norm(second)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_adjoint_is_the_automatic_gradient(setting, objective):
    rule, task, loop = setting
    arguments = (rule, task, loop, WINDOW, OBJECTIVES[objective], 7)
    value, gradient, after = by_adjoint(*arguments)
    expected_value, expected, expected_after = by_autodiff(*arguments)
    np.testing.assert_allclose(value, expected_value, rtol=1e-12)
    assert_trees_close(gradient, expected, rtol=1e-10)
    np.testing.assert_allclose(after.params, expected_after.params, rtol=1e-12)


def test_sampling_every_coordinate_is_the_adjoint(key):
    with jax.enable_x64(True):
        rule, task = double(lstm()), Quadratic(4)
        loop = double(InnerLoop.init(rule, task, jax.random.split(key, 3)))
        arguments = (task, loop, WINDOW, OBJECTIVES["uniform"], 100)
        _, gradient, _ = by_coordinates(rule, *arguments, per_leaf=4)
        _, expected, _ = by_adjoint(rule, *arguments)
        assert_trees_close(gradient, expected, rtol=1e-10)


def test_sampling_every_coordinate_of_every_part_is_the_adjoint(key, monkeypatch):
    rule, task = MultiRule({"conv": lstm(0), "dense": lstm(1)}), small_cifar10(monkeypatch)
    loop = InnerLoop.init(rule, task, jax.random.split(key, 2))
    arguments = (task, loop, 2, OBJECTIVES["uniform"], 100)
    value, gradient, _ = by_coordinates(rule, *arguments, per_leaf=10**6)
    expected_value, expected, _ = by_adjoint(rule, *arguments)
    np.testing.assert_allclose(value, expected_value, rtol=1e-6)
    assert jax.tree.structure(gradient) == jax.tree.structure(expected)
    assert_trees_close(gradient, expected, rtol=1e-3)


@pytest.mark.parametrize("at_once", [1, 3, 5, 8, 12])
def test_all_coordinates_a_group_at_a_time_are_the_adjoint(key, monkeypatch, at_once):
    monkeypatch.setattr(chunks, "CACHED_COORDINATES", at_once)
    with jax.enable_x64(True):
        rule, task = double(lstm()), Quadratic(4)
        loop = double(InnerLoop.init(rule, task, jax.random.split(key, 3)))
        loop, _ = unroll(rule, task, loop, 2)
        arguments = (task, loop, WINDOW, OBJECTIVES["uniform"], 100)
        value, gradient, after = by_coordinates(rule, *arguments)
        expected_value, expected, expected_after = by_adjoint(rule, *arguments)
        np.testing.assert_allclose(value, expected_value, rtol=1e-12)
        assert_trees_close(gradient, expected, rtol=1e-10)
        np.testing.assert_allclose(after.params, expected_after.params, rtol=1e-12)


@pytest.mark.parametrize("second_order", [False, True])
def test_a_group_of_problems_at_a_time_is_all_of_them(key, monkeypatch, second_order):
    rule, task = lstm(output_scale=1.0), Quadratic(4)
    estimator = TruncatedBackprop(
        meta_batch_size=6, horizon=6, truncation=3, second_order=second_order
    )
    state = estimator.init(rule, task, key=key)
    expected, whole, metrics = estimator.estimate(rule, task, state)
    monkeypatch.setattr(chunks, "CACHED_COORDINATES", 8)
    assert chunks.problem_chunk(6, 4) == 2
    gradient, after, also = estimator.estimate(rule, task, state)
    assert_trees_close(gradient, expected, rtol=1e-5)
    np.testing.assert_allclose(after.loop.params, whole.loop.params, rtol=1e-5)
    np.testing.assert_allclose(also["meta_loss"], metrics["meta_loss"], rtol=1e-6)


def test_a_state_in_half_precision_gives_nearly_the_same_meta_gradient(key):
    gradients = []
    for state_dtype in (None, "bfloat16"):
        rule = lstm(output_scale=1.0, state_dtype=state_dtype)
        estimator = TruncatedBackprop(meta_batch_size=8, horizon=20, truncation=10)
        state = estimator.init(rule, Quadratic(4), key=key)
        gradients.append(eqx.filter_jit(estimator.estimate)(rule, Quadratic(4), state)[0])
    assert cosine(*gradients) > 0.99
    assert 0.95 < norm(gradients[1]) / norm(gradients[0]) < 1.05


def test_groups_are_whole(monkeypatch):
    monkeypatch.setattr(chunks, "CACHED_COORDINATES", 100)
    sizes = [(64, 10), (7, 30), (7, 100), (3, 10**6), (97, 10), (5, 1)]
    assert [chunks.problem_chunk(*size) for size in sizes] == [8, 1, 1, 1, 1, 5]
    assert [chunks.coordinate_chunk(n) for n in (7, 100, 150)] == [7, 100, 100]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert chunks.problem_chunk(64, 10) == 64 and chunks.coordinate_chunk(150) == 150


def test_horizons_are_drawn_from_the_whole_range(key):
    estimator = TruncatedBackprop(
        meta_batch_size=256, horizon=60, min_horizon=20, truncation=10, stagger=False
    )
    state = estimator.init(OptaxRule(optax.sgd, 0.01), Quadratic(), key=key)
    counts = np.bincount(np.asarray(state.until), minlength=61)
    assert set(np.flatnonzero(counts)) == {20, 30, 40, 50, 60}
    assert counts[20] > counts[60]
    _, after, _ = estimator.estimate(OptaxRule(optax.sgd, 0.01), Quadratic(), state)
    assert np.array_equal(after.until, state.until)


def test_no_problem_outweighs_the_others_when_each_is_clipped(key):
    rule, task = lstm(preprocessing=None, output_scale=1.0), Quadratic(4)
    settings = {"meta_batch_size": 4, "horizon": 6, "truncation": 3}
    free = TruncatedBackprop(**settings, clip_each=1e9)
    state = free.init(rule, task, key=key)
    plain, _, _ = TruncatedBackprop(**settings).estimate(rule, task, state)
    unclipped, _, _ = free.estimate(rule, task, state)
    assert_trees_close(unclipped, plain, rtol=1e-4)
    clipped, _, metrics = TruncatedBackprop(**settings, clip_each=1e-3).estimate(rule, task, state)
    assert 1e-4 < norm(clipped) <= 1e-3 and np.isfinite(metrics["meta_loss"])
    # A problem whose gradient is not finite is left out, and the others still count.
    wild = eqx.tree_at(lambda s: s.loop.grads, state, state.loop.grads.at[0].set(jnp.inf))
    kept, _, _ = TruncatedBackprop(**settings, clip_each=1e-3).estimate(rule, task, wild)
    assert np.isfinite(norm(kept)) and norm(kept) > 0


def test_sampled_coordinates_give_the_gradient_on_average(key):
    rule, task = lstm(), sinusoid()
    loop = InnerLoop.init(rule, task, jax.random.split(key, 2))

    def estimate(key):
        keys = jax.random.split(key, 2)
        # The problems stay; only the keys that choose the coordinates change. The loss's
        # minibatch hangs on the same keys, so the loop's own losses are replaced with them.
        moved = eqx.tree_at(lambda loop: loop.key, loop, keys)
        arguments = (task, moved, 3, OBJECTIVES["uniform"], 100)
        _, sampled, _ = by_coordinates(rule, *arguments, per_leaf=8)
        _, full, _ = by_adjoint(rule, *arguments)
        return sampled, full

    sampled, full = jax.jit(jax.vmap(estimate))(jax.random.split(key, 400))
    mean = lambda tree: jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), tree)  # noqa: E731
    assert cosine(mean(sampled), mean(full)) > 0.99
    norms = [float(jnp.linalg.norm(t.output_weight)) for t in (mean(sampled), mean(full))]
    assert 0.9 < norms[0] / norms[1] < 1.1


def test_problems_are_replaced_at_the_horizon_and_when_they_diverge(key):
    estimator = TruncatedBackprop(meta_batch_size=4, horizon=6, truncation=3, stagger=True)
    rule, task = OptaxRule(optax.sgd, 0.01), Quadratic()
    state = estimator.init(rule, task, key=key)
    assert state.until.tolist() == [6, 3, 6, 3]
    _, after, _ = estimator.estimate(rule, task, state)
    assert after.loop.step.tolist() == [3, 0, 3, 0]
    changed = np.any(np.asarray(after.loop.problem.w != state.loop.problem.w), axis=(1, 2))
    assert changed.tolist() == [False, True, False, True]
    wild = eqx.tree_at(lambda rule: rule.learning_rate, rule, jnp.asarray(1e30))
    _, after, metrics = estimator.estimate(wild, task, state)
    assert float(metrics["diverged"]) == 1.0
    assert after.loop.step.tolist() == [0, 0, 0, 0] and np.all(np.isfinite(after.loop.loss))


@pytest.mark.parametrize(
    ("settings", "argument"),
    [
        ({"horizon": 100, "truncation": 30}, "truncation"),
        ({"meta_batch_size": 0}, "meta_batch_size"),
        ({"min_horizon": 10}, "min_horizon"),
        ({"min_horizon": 200}, "min_horizon"),
        ({"clip_each": 0.0}, "clip_each"),
        ({"objective": "best"}, "objective"),
    ],
)
def test_settings_out_of_range_are_refused(settings, argument):
    with pytest.raises(SettingsError) as raised:
        unchecked(TruncatedBackprop, **settings)
    assert raised.value.argument == argument
