"""The candidates that begin at several places: which they choose, and that it pays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import looked
from innerloop import InnerloopError, TaskFamily, evaluate, registry
from innerloop.search._base import Scene
from innerloop.search.candidates._places import _candidates, _finite, _greedy, _sample


class TwoValleys(TaskFamily):
    """(p² − 1)² + t p from p = 0.9: in one problem of seven the lower valley is the other one."""

    def sample(self, *, key):
        return 0.3 * (jax.random.normal(key) - 1)

    def init(self, problem, *, key):
        return jnp.asarray([0.9])

    def loss(self, params, problem, *, key):
        return jnp.sum((params**2 - 1) ** 2 + problem * params)


@pytest.mark.parametrize("name", ["multistart-bfgs", "multistart-l-bfgs"])
def test_each_problem_ends_in_its_lower_valley(name, key):
    look = looked(coordinates=1, horizon=30)
    rule = registry.members("candidate")[name]().rule(Scene(TwoValleys(), look, {}, key))
    told = {"key": jax.random.key(1), "problems": 256, "marks": (30,)}
    found = evaluate(rule, TwoValleys(), **told).losses[-1]
    alone = evaluate(rule.rule, TwoValleys(), **told).losses[-1]
    assert np.mean(found < alone - 0.01) > 0.1
    assert np.all(found < alone + 0.01)


def test_they_are_for_few_coordinates_without_noise():
    candidates = registry.members("candidate")
    assert candidates["multistart-bfgs"]().suits(looked()) > 0
    assert candidates["multistart-bfgs"]().suits(looked(noisy=True)) == 0
    assert candidates["multistart-bfgs"]().suits(looked(coordinates=1000)) == 0
    assert candidates["multistart-l-bfgs"]().suits(looked(coordinates=1000)) > 0
    assert candidates["multistart-l-bfgs"]().suits(looked(coordinates=10**6)) == 0


def test_places_are_chosen_together_and_no_more_than_help():
    # Place 1 is the best alone; 2 and 3 solve a half each, and say so at first sight.
    first = np.asarray([[9.0] * 4, [5.0] * 4, [0.0, 0.0, 9.0, 9.0], [9.0, 9.0, 0.0, 0.0]])
    last = np.asarray([[9.0] * 4, [3.0] * 4, [0.1, 0.1, 8.0, 8.0], [8.0, 8.0, 0.1, 0.1]])
    weights = np.full(4, 0.25)
    assert _greedy(first, last, weights, 1) == [1]
    assert len(_greedy(first, last, weights, 2)) == 2
    assert set(_greedy(first, last, weights, 9)) == {1, 2, 3}
    assert _greedy(first[:2], last[:2], weights, 9) == [1]


def test_hard_problems_are_kept_and_count_by_how_rare_they_are():
    losses = np.ones(64)
    losses[[7, 40]] = 9.0
    chosen, weights = _sample(losses, 16)
    assert {7, 40} <= set(chosen.tolist()) and len(set(chosen.tolist())) == 16
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ losses[chosen] == pytest.approx(losses.mean())


def test_what_is_not_finite_is_the_worst_and_no_place():
    assert _finite(np.asarray([1.0, np.nan, -3.0, np.inf])).tolist() == [1.0, 30.0, -3.0, 30.0]
    places = _candidates(np.asarray([[1.0], [np.nan], [3.0]]), 2)
    assert places.ravel().tolist() == [2.0, 1.0, 3.0]
    with pytest.raises(InnerloopError, match="finite"):
        _candidates(np.full((2, 1), np.nan), 2)
