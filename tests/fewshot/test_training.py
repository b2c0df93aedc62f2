"""Training on episodes: it learns, resumes bit for bit, and keeps the best by validation."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import SHAPE, close, episode, learner, metrics, noise, same, sampler, stop_after
from innerloop import InnerloopError
from innerloop.fewshot import (
    BatchSampler,
    EpisodeGradient,
    EpisodeOptions,
    EpisodeSettings,
    MetricLearner,
    TrainingData,
    describe,
    load,
    train,
)
from innerloop.fewshot.files import load_with_data
from innerloop.metatrain import Interrupted

SETTINGS = {
    "steps": 6,
    "meta_batch_size": 2,
    "validate_every": 2,
    "validation_problems": 4,
    "log_every": 1,
    "checkpoint_every": 2,
}


def trained(learner, settings, contrast=0.2, **rest):
    return train(
        learner,
        sampler(0, contrast=contrast),
        sampler(1, contrast=contrast),
        settings=EpisodeSettings(**{**SETTINGS, **settings}),
        **rest,
    )


def logits(learner):
    problem = episode()
    predict = eqx.filter_jit(
        lambda learner: learner.adapt(problem.support, 2, key=jax.random.key(0))
    )
    return predict(learner)(problem.query.images)


def test_a_short_run_learns(tmp_path):
    mine = learner("meta-sgd", steps=1, rate=0.03, second_order=False)
    asked = {"steps": 60, "meta_batch_size": 4, "learning_rate": 1e-2, "checkpoint_every": None}
    asked |= {"validate_every": 20, "validation_problems": 40}
    found = trained(mine, asked, out=tmp_path, contrast=0.4)
    losses = [line["meta_loss"] for line in metrics(tmp_path)]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    assert found.validation < 0.42 and found.skipped == 0 and found.steps == 60
    again = load(tmp_path)
    assert again.settings == mine.settings and same(again, found.rule)
    np.testing.assert_array_equal(logits(again), logits(found.rule))


def test_a_resumed_run_is_bit_for_bit_an_uninterrupted_one(tmp_path, monkeypatch):
    whole = trained(learner("protonet"), {}, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(Interrupted, match="meta-step 3 of 6"):
            trained(learner("protonet"), {}, out=tmp_path / "parts")
    parts = trained(learner("protonet"), {}, out=tmp_path / "parts", resume=True)
    assert same(parts.rule, whole.rule) and parts.validation == whole.validation
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")
    files = [(tmp_path / name / "learner.safetensors").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]


def test_the_file_holds_the_best_by_validation(tmp_path, monkeypatch):
    seen, accuracies = [], [0.2, 0.9, 0.5]

    def judged(learner, problems, *, key, episodes):
        # A copy: the next meta-step may reuse the memory.
        seen.append(jax.tree.map(np.array, learner))
        return np.full(episodes, accuracies[len(seen) - 1])

    monkeypatch.setattr("innerloop.fewshot.training.evaluate", judged)
    found = trained(learner("protonet"), {}, out=tmp_path)
    assert len(seen) == 3 and not same(seen[1], seen[2])
    assert same(found.rule, seen[1]) and same(load(tmp_path), seen[1])
    assert found.validation == pytest.approx(0.1)
    # What is kept is ready for use: its statistics have been gathered.
    assert any(np.any(mean != 0) for mean, _ in found.rule.statistics.values())


def test_every_meta_step_sees_fresh_episodes(key):
    mine, problems = learner("protonet"), sampler(contrast=0.2)
    estimator = EpisodeGradient(meta_batch_size=2, way=2)
    state, losses = estimator.init(mine, problems, key=key), set()
    estimate = eqx.filter_jit(estimator.estimate)
    for _ in range(3):
        _, state, found = estimate(mine, problems, state)
        losses.add(float(found["meta_loss"]))
    assert len(losses) == 3


def test_training_may_draw_more_classes_than_are_told_apart(tmp_path):
    found = train(
        learner("protonet"),
        sampler(0, way=3),
        sampler(1),
        settings=EpisodeSettings(**{**SETTINGS, "steps": 2, "checkpoint_every": None}),
        out=tmp_path,
    )
    assert found.skipped == 0
    assert all(
        np.isfinite(line["meta_loss"]) and line["diverged"] == 0 for line in metrics(tmp_path)
    )


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_meta_gradient_longer_than_clip_counts_as_one_of_that_length(optimizer):
    made = EpisodeSettings(optimizer=optimizer, clip=0.5, steps=10).meta_optimizer()
    params, unit = jnp.zeros(2), jnp.asarray([0.6, 0.8])

    def third_step(length):
        """After two of that length; SGD's first step is of no length, as it warms up."""
        state = made.init(params)
        for _ in range(2):
            _, state = made.update(length * unit, state, params)
        return made.update(0.1 * unit, state, params)[0]

    close(third_step(1000.0), third_step(0.5), additions=20)
    assert not np.allclose(third_step(0.1), third_step(0.5))


def test_a_rule_can_be_given_a_rate_of_its_own():
    mine = learner("meta-sgd")
    ones = jax.tree.map(jnp.ones_like, mine)
    optimizer = EpisodeSettings(learning_rate=0.1, rule_learning_rate=0.5).meta_optimizer()
    updates, _ = optimizer.update(ones, optimizer.init(mine), mine)
    # Adam's first step is as long as its learning rate.
    assert all(np.allclose(leaf, -0.5, rtol=1e-3) for leaf in jax.tree.leaves(updates.rule))
    assert all(np.allclose(leaf, -0.1, rtol=1e-3) for leaf in jax.tree.leaves(updates.params))


def test_a_learner_that_learns_no_rule_has_no_rate_for_it():
    with pytest.raises(InnerloopError, match=r"rule_learning_rate is 0.5, but MAML learns no rule"):
        trained(learner("maml"), {"rule_learning_rate": 0.5})


def test_what_a_learner_is_not_trained_on_is_refused():
    with pytest.raises(InnerloopError, match="NearestNeighbour is trained on batches; source"):
        trained(learner("nearest-neighbour"), {})
    batches = BatchSampler(noise(), batch=4)
    with pytest.raises(InnerloopError, match="MAML is trained on episodes; source draws batches"):
        train(learner("maml"), batches, sampler())


def test_what_cannot_be_saved_is_refused_before_the_first_meta_step(tmp_path):
    class Nameless(MetricLearner):
        def compare(self, support, labels, query, way):
            return query @ support.T

    mine = Nameless(SHAPE, learner("protonet").backbone, key=jax.random.key(0))
    with pytest.raises(InnerloopError, match="Nameless cannot be saved, as it has no name"):
        trained(mine, {}, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_meta_steps_a_learner_is_taken_as_it_is_tuned_and_written(tmp_path):
    mine, options = learner("finetune", steps=1), EpisodeOptions(data=TrainingData(name="noise"))
    batches = BatchSampler(noise(), batch=4)
    settings = EpisodeSettings(steps=0, validation_problems=1)
    found = train(mine, batches, sampler(), settings=settings, out=tmp_path, options=options)
    again, data = load_with_data(tmp_path)
    assert found.steps == 0 and same(found.rule.params, mine.params) and data.name == "noise"
    assert same(again, found.rule.for_use())
    tried = describe(tmp_path)["run"]["tuning"]
    assert found.validation == 1 - max(each["accuracy"] for each in tried)
