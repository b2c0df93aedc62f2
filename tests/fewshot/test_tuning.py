"""What is chosen on validation episodes, by searches whose optimum is known."""

import json
import math

import jax
import numpy as np
import pytest

from helpers import learner, same, sampler
from innerloop import InnerloopError
from innerloop.fewshot.tuning import tune


@pytest.mark.parametrize("best", [1e-4, 0.02, 0.3, 25.0])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_fine_tuning_finds_its_rate_and_decay_wherever_they_are(best, decay):
    def judge(settings):
        return -abs(math.log(settings["rate"] / best)) - 10 * abs(settings["decay"] - decay)

    found = learner("finetune").tune(judge)
    assert abs(math.log(found["rate"] / best)) <= 0.5 * math.log(10**0.5) + 1e-2
    assert found["decay"] == decay


@pytest.mark.parametrize("best", ["cosine", "euclidean"])
def test_the_nearest_neighbour_chooses_its_distance(best):
    found = learner("nearest-neighbour").tune(lambda settings: settings["distance"] == best)
    assert found == {"distance": best}


def test_the_best_on_episodes_is_kept_with_what_was_tried():
    mine = learner("nearest-neighbour")
    found, tried = tune(mine, sampler(), key=jax.random.key(0), episodes=4)
    assert {each["settings"]["distance"] for each in tried} == {"cosine", "euclidean"}
    best = max(tried, key=lambda each: each["accuracy"])
    assert found.settings.distance == best["settings"]["distance"]
    assert same(found.params, mine.params)


def test_settings_are_judged_once():
    mine = learner("finetune", steps=1)
    _, tried = tune(mine, sampler(), key=jax.random.key(0), episodes=1)
    assert len({tuple(each["settings"].values()) for each in tried}) == len(tried)


def tune_by(accuracy, method, monkeypatch):
    """`tune`, where learners have the accuracies that a function of them says."""
    monkeypatch.setattr(
        "innerloop.fewshot.tuning.evaluate",
        lambda mine, *_, episodes, **__: np.full(episodes, accuracy(mine)),
    )
    return tune(learner(method), sampler(), key=jax.random.key(0), episodes=2)


def test_a_setting_without_an_accuracy_is_worse_than_any(monkeypatch):
    def accuracy(mine):
        return math.nan if mine.settings.rate > 0.05 else mine.settings.rate

    found, tried = tune_by(accuracy, "finetune", monkeypatch)
    assert 0.01 <= found.settings.rate <= 0.05
    assert {None} < {each["accuracy"] for each in tried}
    assert json.dumps(tried, allow_nan=False)


@pytest.mark.parametrize("method", ["finetune", "nearest-neighbour"])
def test_where_no_setting_has_an_accuracy_there_is_none_to_choose(monkeypatch, method):
    with pytest.raises(InnerloopError, match=r"None of the \d+ settings"):
        tune_by(lambda mine: math.nan, method, monkeypatch)


def test_other_methods_are_left_alone():
    mine = learner("protonet")
    assert tune(mine, sampler(), key=jax.random.key(0), episodes=4) == (mine, [])
