"""Meta-steps of MAML, to second order, and of the Meta-Learner LSTM."""

import jax
import numpy as np
import pytest
from steps import meta_stepper

from innerloop.datasets.class_images import ClassImages
from innerloop.fewshot import EpisodeSampler
from innerloop.fewshot.methods import Shape, maml, meta_lstm
from innerloop.fewshot.training import EpisodeGradient

WAY, QUERIES = 5, 15
# Method, settings, pixels a side, channels, shot, episodes in a meta-step, rounds.
CASES = {
    "MAML 28×28, 5 steps": ("maml", {"steps": 5}, 28, 1, 1, 8, 5),
    "MAML 28×28, 1 step": ("maml", {"steps": 1}, 28, 1, 1, 8, 8),
    "Meta-Learner LSTM 28×28, 5-shot": ("meta-lstm", {"steps": 8}, 28, 1, 5, 4, 5),
    "Meta-Learner LSTM 84×84, 5-shot": ("meta-lstm", {"steps": 8}, 84, 3, 5, 2, 3),
}


def ours(method, settings, side, channels, shot, episodes):
    images = np.random.default_rng(0).integers(0, 256, (64 * 20, side, side, channels), np.uint8)
    data = ClassImages(images, (20,) * 64, tuple(map(str, range(64))))
    sampler = EpisodeSampler(data, way=WAY, shot=shot, queries=QUERIES)
    shape = Shape(way=WAY, shot=shot, side=side, channels=channels, classes=64)
    make = {"maml": maml, "meta-lstm": meta_lstm}[method]
    learner = make(shape, key=jax.random.key(0), **settings)
    return meta_stepper(learner, sampler, EpisodeGradient(meta_batch_size=episodes, way=WAY))


def peer(method, settings, side, channels, shot, episodes):
    from peers.few_shot import MAML, MetaLearnerLSTM

    make = {"maml": MAML, "meta-lstm": MetaLearnerLSTM}[method]
    return make(side=side, channels=channels, shot=shot, tasks=episodes, **settings).meta_step


@pytest.mark.parametrize("side", ["ours", "PyTorch eager"])
@pytest.mark.parametrize("case", CASES)
def test_episodes(turn, case, side, made, timed, request):
    *work, rounds = CASES[case]
    if (case, side) not in made:
        if side != "ours":
            request.getfixturevalue("torch")
        made[case, side] = (ours if side == "ours" else peer)(*work)
    timed(case, side, made[case, side], rounds=rounds, per=work[-1])
