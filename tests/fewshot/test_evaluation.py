"""Accuracies over episodes, and how sure they are."""

import jax.numpy as jnp
import numpy as np
import pytest

from helpers import SHAPE, coded, learner, sampler
from innerloop.fewshot import EpisodeSampler, Labelled, MetaLearner, Predictor, evaluate, interval
from innerloop.runtime.devices import problem_mesh


@pytest.fixture(scope="module")
def mine():
    return learner("protonet")


def test_accuracies_are_shares_of_the_queries(mine, key):
    found = evaluate(mine, sampler(queries=3), key=key, episodes=8)
    assert found.shape == (8,) and np.all((found >= 0) & (found <= 1))
    np.testing.assert_allclose(found * 6, np.round(found * 6), atol=1e-5)
    np.testing.assert_array_equal(found, evaluate(mine, sampler(queries=3), key=key, episodes=8))


def test_the_number_of_devices_changes_nothing(mine, key):
    one, two = (
        evaluate(mine, sampler(), key=key, episodes=8, mesh=problem_mesh(8, devices))
        for devices in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


class Brightest(MetaLearner):
    """Answers with the class whose code, the first channel, an image has."""

    def adapt(self, support, way, *, key):
        return Brightness(support)


class Brightness(Predictor):
    support: Labelled

    def __call__(self, images, *, transductive=False):
        codes = [part[:, 0, 0, 0].astype(float) for part in (images, self.support.images)]
        near = -jnp.abs(codes[0][:, None] - codes[1][None])
        # By their own statistics, all are named after the first class.
        return near[:, ::2] * (0 if transductive else 1)


def test_the_answers_are_held_against_the_queries(key):
    problems = EpisodeSampler(coded(4, 4, 4), way=2, shot=2, queries=2)
    mine = Brightest(SHAPE, learner("protonet").backbone, key=key)
    for transductive, accuracy in ((False, 1), (True, 0.5)):
        found = evaluate(mine, problems, key=key, episodes=4, transductive=transductive)
        assert found.tolist() == [accuracy] * 4


def test_the_interval_by_hand():
    mean, half = interval(np.asarray([0.2, 0.4, 0.6, 0.8]))
    assert mean == pytest.approx(0.5)
    assert half == pytest.approx(1.96 * (0.2 / 3) ** 0.5 / 2)
