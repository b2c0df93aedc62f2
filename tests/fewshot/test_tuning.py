"""What is chosen on validation episodes, by searches whose optimum is known."""

import json
import math

import jax
import numpy as np
import pytest

from helpers import SHAPE, coded, learner, same
from innerloop import InnerloopError
from innerloop.fewshot import EpisodeSampler, Recipe, tuning


def recipe(method):
    return Recipe(method=method, data="omniglot", shape=SHAPE, settings={"filters": 3})


def tuned(method, monkeypatch, accuracy):
    """With `accuracy` of a learner in place of episodes: (learner, tuned, recipe, tried)."""
    monkeypatch.setattr(tuning, "evaluate", lambda learner, *_, **__: np.full(4, accuracy(learner)))
    mine = learner(method, filters=3)
    problems = EpisodeSampler(coded(4, 4, 4), way=2, shot=2, queries=2)
    found = tuning.tuned(mine, recipe(method), problems, key=jax.random.key(0), episodes=4)
    return mine, *found


@pytest.mark.parametrize("best", [1e-4, 0.02, 0.3, 25.0])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_fine_tuning_finds_its_rate_and_decay_wherever_they_are(monkeypatch, best, decay):
    def accuracy(learner):
        return -abs(math.log(learner.rate / best)) - 10 * abs(learner.decay - decay)

    mine, found, changed, tried = tuned("finetune", monkeypatch, accuracy)
    assert abs(math.log(found.rate / best)) <= 0.5 * math.log(10**0.5) + 1e-2
    assert found.decay == decay and same(found.params, mine.params)
    assert changed.settings == {"filters": 3, "rate": found.rate, "decay": decay}
    assert len({tuple(each["settings"].values()) for each in tried}) == len(tried)


@pytest.mark.parametrize("best", ["cosine", "euclidean"])
def test_the_nearest_neighbour_chooses_its_distance(monkeypatch, best):
    _, found, changed, tried = tuned(
        "nearest-neighbour", monkeypatch, lambda mine: mine.distance == best
    )
    assert found.distance == changed.settings["distance"] == best and len(tried) == 2


def test_a_setting_without_an_accuracy_is_worse_than_any(monkeypatch):
    def accuracy(learner):
        return math.nan if learner.rate > 0.05 else learner.rate

    _, found, _, tried = tuned("finetune", monkeypatch, accuracy)
    assert 0.01 <= found.rate <= 0.05
    assert {None} < {each["accuracy"] for each in tried}
    assert json.dumps(tried, allow_nan=False)


@pytest.mark.parametrize("method", ["finetune", "nearest-neighbour"])
def test_where_no_setting_has_an_accuracy_there_is_none_to_choose(monkeypatch, method):
    with pytest.raises(InnerloopError, match=r"None of the \d+ settings"):
        tuned(method, monkeypatch, lambda learner: math.nan)


def test_other_methods_are_left_alone(monkeypatch):
    mine, found, changed, tried = tuned("protonet", monkeypatch, lambda mine: 1 / 0)
    assert found is mine and changed == recipe("protonet") and tried == []
