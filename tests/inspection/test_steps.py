"""What a rule proposes, beside SGD and Adam on the same gradients."""

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import optax
import pytest

from helpers import lstm
from innerloop import InnerLoop, InnerloopError, OptaxRule, Quadratic, TaskFamily
from innerloop.inspection.steps import draw_inspection, inspect

SGD = OptaxRule(optax.sgd, 0.01)


@pytest.fixture(scope="module")
def of_sgd():
    return inspect(SGD, Quadratic(3), steps=6, seed=1)


def test_sgd_steps_against_the_gradient(of_sgd):
    assert of_sgd.gradients.shape == (6, 3) and of_sgd.losses.shape == (6,)
    np.testing.assert_allclose(of_sgd.steps["learned"], -0.01 * of_sgd.gradients, atol=1e-6)
    np.testing.assert_allclose(of_sgd.steps["SGD"], of_sgd.steps["learned"], atol=2e-6)
    assert of_sgd.rates["SGD"] == pytest.approx(0.01, rel=1e-4)


def test_adam_is_replayed_on_the_same_gradients(of_sgd):
    adam = optax.adam(of_sgd.rates["Adam"])
    state, steps = adam.init(jnp.zeros(3)), []
    for gradient in of_sgd.gradients:
        step, state = adam.update(jnp.asarray(gradient), state)
        steps.append(step)
    np.testing.assert_allclose(of_sgd.steps["Adam"], np.stack(steps), rtol=1e-4)


def test_all_steps_are_as_large_over_the_run(of_sgd):
    sizes = [np.sqrt(np.mean(steps**2)) for steps in of_sgd.steps.values()]
    assert list(of_sgd.steps) == ["learned", "SGD", "Adam"]
    np.testing.assert_allclose(sizes, sizes[0], rtol=1e-4)


def test_the_losses_are_those_where_the_gradients_were_taken(of_sgd):
    loop = InnerLoop.init(SGD, Quadratic(3), jax.random.split(jax.random.key(1), 1))
    np.testing.assert_allclose(of_sgd.losses[0], loop.loss[0], rtol=1e-5)
    np.testing.assert_allclose(of_sgd.gradients[0], loop.grads[0], rtol=1e-4)
    assert of_sgd.losses[-1] < of_sgd.losses[0]


def test_a_seed_is_a_problem(of_sgd):
    again, other = (inspect(SGD, Quadratic(3), steps=6, seed=seed) for seed in (1, 2))
    assert np.array_equal(again.gradients, of_sgd.gradients)
    assert not np.allclose(other.gradients[0], of_sgd.gradients[0])


class Parted(TaskFamily):
    """Problems that are another size in the test split."""

    def sample(self, *, key):
        raise AssertionError("this is not the test split")

    def init(self, problem, *, key):
        raise AssertionError("this is not the test split")

    def loss(self, params, problem, *, key):
        raise AssertionError("this is not the test split")

    def split(self, part):
        return Quadratic(2) if part == "test" else self


def test_the_problem_is_of_the_test_split():
    assert inspect(SGD, Parted(), steps=2).gradients.shape == (2, 2)


@pytest.mark.parametrize("steps", [1, 0, -3])
def test_fewer_than_two_steps_are_refused(steps):
    with pytest.raises(InnerloopError, match=f"steps is {steps}; it must be at least 2"):
        inspect(SGD, Quadratic(3), steps=steps)


@pytest.mark.parametrize(
    ("rate", "steps"), [(1e10, 10), (1e18, 2)], ids=["at once", "only when squared"]
)
def test_a_rule_that_diverges_is_refused(rate, steps):
    with pytest.raises(InnerloopError, match=f"not finite within {steps}; give fewer --steps"):
        inspect(OptaxRule(optax.sgd, rate), Quadratic(3), steps=steps)


def test_a_rule_that_stands_still_is_shown_too(tmp_path):
    still = inspect(OptaxRule(optax.sgd, 0.0), Quadratic(3), steps=2)
    assert still.rates == {"SGD": 0.0, "Adam": 0.0}
    assert draw_inspection(still, tmp_path / "still.png", title="still").is_file()


def test_the_picture_is_written(of_sgd, tmp_path):
    path = draw_inspection(of_sgd, tmp_path / "inspect.png", title="SGD")
    picture = matplotlib.image.imread(path)
    assert path == tmp_path / "inspect.png"
    assert picture.shape[0] > 500 and picture.shape[1] > 1500 and picture[..., :3].std() > 0.05


def test_a_learned_rule_on_one_coordinate_is_drawn(tmp_path):
    found = inspect(lstm(), Quadratic(1), steps=4)
    assert found.gradients.shape == (4, 1) and np.abs(found.steps["learned"]).max() > 0
    assert draw_inspection(found, tmp_path / "one.png", title="one").is_file()
