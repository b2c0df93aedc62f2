"""The tasks of the benchmark: what each of them promises beyond what all tasks do."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import on_mnist
from innerloop.datasets.text import SYMBOLS, load_text
from innerloop.errors import InnerloopError
from innerloop.tasks.check import check_task
from innerloop.tasks.communities import Communities
from innerloop.tasks.factorisation import Factorisation
from innerloop.tasks.mnist_mlp import MNISTMLP
from innerloop.tasks.mnist_vae import MNISTVAE
from innerloop.tasks.pendulum import Pendulum
from innerloop.tasks.point_sets import PointSets
from innerloop.tasks.poisson import Poisson
from innerloop.tasks.text_lstm import TextLSTM
from innerloop.tasks.text_transformer import TextTransformer


def begin(task, key=0):
    sample_key, init_key = jax.random.split(jax.random.key(key))
    problem = task.sample(key=sample_key)
    return problem, task.init(problem, key=init_key)


def test_the_text_has_every_symbol_and_nothing_else():
    text = load_text()
    assert len(text) > 40_000
    assert set(np.unique(text)) == set(range(len(SYMBOLS)))


@pytest.mark.parametrize("make", [TextTransformer, TextLSTM])
def test_a_model_of_text_begins_at_even_chances_and_never_sees_the_next_character(make):
    task = make(width=4, length=6, batch=8)
    _, params = begin(task)
    pieces = jax.random.randint(jax.random.key(1), (1, 6), 0, len(SYMBOLS))
    changed = pieces.at[0, 3].set((pieces[0, 3] + 1) % len(SYMBOLS))
    before, after = (np.asarray(task.logits(params, each))[0] for each in (pieces, changed))
    np.testing.assert_array_equal(before[:3], after[:3])
    assert np.all(np.any(before[3:] != after[3:], axis=-1))
    loss = task.loss(params, None, key=jax.random.key(0))
    assert abs(float(loss) - np.log(len(SYMBOLS))) < 1.2


def test_poissons_equation_is_solved_by_its_solution(float64):
    # tanh is the identity near 0: a network whose solution is near 0 has the residual of f alone.
    task = Poisson(hidden=3)
    problem, params = begin(task)
    none = jax.tree.map(jnp.zeros_like, params)
    loss = task.loss(none, problem, key=jax.random.key(0))
    points = jax.random.uniform(jax.random.key(0), (task.points,))
    waves = jnp.pi * jnp.arange(1, task.waves + 1)
    right = jnp.sin(points[:, None] * waves) @ problem
    np.testing.assert_allclose(loss, jnp.mean(right**2))
    # u = x² is x·tanh's slope for small weights: u'' = 2 is what the residual sees.
    small = 1e-4
    (first, bias), (second, _), (last, last_bias) = none
    first = first.at[0, 0].set(small)
    bias = bias.at[0].set(1.0)
    second = second.at[0, 0].set(1.0)
    last = last.at[0, 0].set(1.0)
    network = [(first, bias), (second, jnp.zeros(3)), (last, last_bias)]
    x = np.linspace(0.1, 0.9, 5)
    value = lambda x: np.tanh(np.tanh(small * x + 1.0))  # noqa: E731
    step = 1e-2
    curvature = (value(x + step) - 2 * value(x) + value(x - step)) / step**2
    assert np.all(np.abs(curvature) < 1e-6)
    flat = task.loss(network, problem, key=jax.random.key(0))
    ends = task.boundary * np.mean(value(np.asarray([0.0, 1.0])) ** 2)
    np.testing.assert_allclose(flat - ends, jnp.mean(right**2), rtol=1e-6)


def test_a_set_has_no_order():
    task = PointSets(points=6, hidden=4, batch=1)
    places = task._points(jnp.asarray(0), jax.random.key(0))
    assert places.shape == (6, 2)
    # A triangle lies within its circle, and a corner is nearer to it than an edge.
    triangle = PointSets(points=400, noise=1e-6)._points(jnp.asarray(0), jax.random.key(1))
    radii = np.linalg.norm(triangle, axis=1)
    assert 1.8 < radii.max() / radii.min() < 2.01
    circle = PointSets(points=50, noise=1e-6)._points(jnp.asarray(3), jax.random.key(1))
    np.testing.assert_allclose(np.ptp(np.linalg.norm(circle, axis=1)), 0, atol=1e-4)


def test_a_graph_is_symmetric_and_its_loss_has_no_noise():
    task = Communities(nodes=24, features=4, hidden=3)
    check_task(task)
    problem, params = begin(task)
    np.testing.assert_array_equal(problem.links, problem.links.T)
    losses = [float(task.loss(params, problem, key=jax.random.key(each))) for each in (0, 1)]
    assert losses[0] == losses[1]
    # The halves hold every community, and are different nodes.
    assert losses[0] != float(task.held_out_loss(params, problem, key=jax.random.key(0)))


def test_a_matrix_that_is_its_product_leaves_the_noise():
    task = Factorisation(rows=8, columns=7, rank=2, factors=2, noise=1e-4, batch=64)
    left, right = (
        jax.random.normal(jax.random.key(each), (size, 2)) for each, size in ((0, 8), (1, 7))
    )
    params = {
        "rows": left,
        "columns": right,
        "row_effects": jnp.ones(8),
        "column_effects": jnp.zeros(7),
    }
    loss = task.loss(params, left @ right.T + 1, key=jax.random.key(0))
    assert float(loss) < 1e-10


def test_the_estimate_of_evolution_strategies_is_near_the_slope_of_the_smoothed_cost():
    task = Pendulum(hidden=3, pairs=2000, deviation=0.02, starts=2, steps=8)
    _, params = begin(task)
    key = jax.random.key(3)
    loss, estimate = jax.value_and_grad(task.loss)(params, None, key=key)
    starts = task._starts(jax.random.split(key)[1])
    cost, slope = jax.value_and_grad(task.cost)(params, starts)
    np.testing.assert_allclose(loss, cost, rtol=1e-2)
    one, other = (jax.flatten_util.ravel_pytree(each)[0] for each in (estimate, slope))
    cosine = one @ other / jnp.linalg.norm(one) / jnp.linalg.norm(other)
    assert cosine > 0.9
    assert 0.8 < jnp.linalg.norm(one) / jnp.linalg.norm(other) < 1.25
    check_task(Pendulum(hidden=3, pairs=2, steps=4))


def test_the_bound_of_an_autoencoder_begins_at_even_chances(monkeypatch):
    task = on_mnist(MNISTVAE)(monkeypatch)
    _, params = begin(task)
    loss = float(task.loss(params, None, key=jax.random.key(0)))
    assert abs(loss - 49 * np.log(2)) < 3


@pytest.mark.parametrize(
    "make",
    [
        lambda: TextTransformer(width=5, heads=2),
        lambda: TextLSTM(width=0),
        lambda: Pendulum(deviation=0.0),
        lambda: MNISTMLP(activation="cube"),
        lambda: MNISTMLP(hidden=(0,)),
    ],
)
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(InnerloopError):
        make()
