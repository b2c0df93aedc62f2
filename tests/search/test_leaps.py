"""The candidates that leap: what they are trained for, and that it pays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import looked
from innerloop import TaskFamily, registry
from innerloop.evaluation import evaluate
from innerloop.search._base import Scene
from innerloop.search.training import Training

HESSIAN = jnp.diag(jnp.asarray([1.0, 10.0, 100.0]))


class Valley(TaskFamily):
    """Quadratics with one Hessian: the first gradient says where the solution is."""

    def sample(self, *, key):
        return jax.random.normal(key, (3,))

    def init(self, problem, *, key):
        return jnp.zeros(3)

    def loss(self, params, problem, *, key):
        apart = params - problem
        return 0.5 * apart @ HESSIAN @ apart + 1e-6


@pytest.mark.parametrize("name", ["leap-bfgs", pytest.param("leap-adam", marks=pytest.mark.slow)])
def test_leaps_solve_what_the_first_gradient_tells(name, key):
    scene = Scene(Valley(), looked(), {"adam": 0.1, "bfgs": 0.1}, key)
    training = Training(registry.members("candidate")[name](), scene)
    turns = iter(range(400))
    # Every look at the clock is a second, so that the number of meta-steps is always the same.
    training.advance(300.0, lambda: False, lambda: float(next(turns)))
    losses = evaluate(training.rule, Valley(), key=key, problems=16, marks=(20,)).losses
    assert training.steps > 50
    assert np.mean(losses[2]) < 0.2 * np.mean(losses[0])


def test_leaps_are_for_problems_that_fit():
    candidates = registry.members("candidate")
    assert candidates["leap-bfgs"]().suits(looked()) > 0
    assert candidates["leap-bfgs"]().suits(looked(noisy=True)) == 0
    assert candidates["leap-bfgs"]().suits(looked(coordinates=1000)) == 0
    assert candidates["leap-adam"]().suits(looked(coordinates=1000, noisy=True)) > 0
    assert candidates["leap-adam"]().suits(looked(coordinates=10**6)) == 0
