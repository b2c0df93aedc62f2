"""Each number comes from the data that it is said to come from.

Every split is marked: what is learned, validated, tuned, gathered or tested shows the mark of the
split that it saw.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop
from helpers import lstm, metrics
from innerloop import OptaxRule, TaskFamily, TrainingSettings, TruncatedBackprop, compare, train
from innerloop.cli import main
from innerloop.comparison import ComparisonSettings, Grid
from innerloop.datasets import ClassImages, Dataset
from innerloop.experiments import Choice
from innerloop.experiments.fewshot import EvaluationSettings, evaluate_learner, train_run
from innerloop.experiments.fewshot.settings import EpisodeShape, FewShotSettings
from innerloop.fewshot import (
    EpisodeSettings,
    MetaLearner,
    Predictor,
    TrainingData,
    describe,
    load,
)
from innerloop.metatrain import RunOptions

MARKS = {"train": 1, "validation": 2, "test": 3}


class MarkedTask(TaskFamily):
    """A constant loss: the split's mark, and a fraction that tells the problems apart."""

    mark: int = eqx.field(static=True, default=0)

    def split(self, part):
        return MarkedTask(MARKS[part])

    def sample(self, *, key):
        return jax.random.uniform(key)

    def init(self, problem, *, key):
        return jnp.zeros(1)

    def loss(self, params, problem, *, key):
        return self.mark + problem + 0 * jnp.sum(params)


def test_a_rule_is_trained_and_validated_on_its_own_split_and_problems(tmp_path):
    settings = TrainingSettings(
        steps=3, validate_every=1, validation_problems=2, log_every=1, checkpoint_every=None
    )
    estimator = TruncatedBackprop(meta_batch_size=2, horizon=1, truncation=1)
    train(MarkedTask(), lstm(), settings=settings, estimator=estimator, out=tmp_path)
    lines = metrics(tmp_path)
    learned = [line["meta_loss"] for line in lines]
    validated = {line["validation"] for line in lines}
    assert {int(loss) for loss in learned} == {MARKS["train"]}
    assert {int(loss) for loss in validated} == {MARKS["validation"]}
    # The same validation problems every time, and none that it was trained on.
    assert len(validated) == 1 and len(set(learned)) == 3
    assert all(abs(loss % 1 - validated.copy().pop() % 1) > 1e-4 for loss in learned)


def test_baselines_are_tuned_on_validation_problems_and_all_are_tested_on_others():
    found = compare(
        OptaxRule(optax.sgd, 0.1),
        MarkedTask(),
        ComparisonSettings(
            problems=2,
            horizon=1,
            validation_problems=2,
            horizon_multiple=1,
            grid=Grid(low=0.1, high=1.0),
            reference=True,
        ),
        baselines={"sgd": optax.sgd},
        others={"other": OptaxRule(optax.sgd, 0.2)},
    )
    (baseline,) = found.baselines
    assert baseline.tuned is not None
    for losses in (baseline.tuned.tried, baseline.tuned.screened):
        assert {int(loss) for loss in losses.values()} == {MARKS["validation"]}
    assert found.reference is not None
    for run in (found.learned, baseline, *found.others, found.reference):
        assert np.all(run.losses.astype(int) == MARKS["test"])
    tested = found.learned.losses[-1].mean() % 1
    assert abs(tested - baseline.tuned.validation % 1) > 1e-4


@innerloop.register("marked-classes")
class MarkedClasses(Dataset):
    """Two classes in each split, whose pixels are the split's mark."""

    def load(self, split):
        pixels = np.full((16, 16, 16, 1), MARKS[split], np.uint8)
        return ClassImages(pixels, (8, 8), (f"{split}-one", f"{split}-two"))


def mark(images):
    return jnp.mean(images.astype(float))


@innerloop.register("witness")
class Witness(MetaLearner):
    """Its meta-loss is the mark of what it learns on, and of four queries so many are wrong."""

    @dataclasses.dataclass(frozen=True)
    class Settings:
        tuned: int = 0

    weight: jax.Array
    gathered: jax.Array

    def __init__(self, shape, backbone, settings=None, *, key):
        super().__init__(shape, backbone, settings, key=key)
        self.weight, self.gathered = jnp.zeros(1), jnp.zeros(())

    def adapt(self, support, way, *, key):
        return Answers()

    def meta_loss(self, episode, way, *, key):
        return mark(episode.query.images) + 0 * jnp.sum(self.weight)

    def finalize(self, source, *, key):
        seen = mark(source.sample(key=key).query.images)
        return eqx.tree_at(lambda learner: learner.gathered, self, seen)

    def tune(self, judge):
        judge({"tuned": 1})
        return {"tuned": 1}


class Answers(Predictor):
    def __call__(self, images, *, transductive=False):
        labels = jnp.arange(4) // 2
        wrong = jnp.arange(4) < mark(images)
        return jax.nn.one_hot(jnp.where(wrong, 1 - labels, labels), 2)


@pytest.fixture(scope="module")
def witness(tmp_path_factory):
    """The folder of a trained witness."""
    folder = tmp_path_factory.mktemp("witness")
    settings = FewShotSettings(
        method=Choice("witness"),
        backbone=Choice("conv4", {"filters": 2, "blocks": 1}),
        data=Choice("marked-classes"),
        episodes=EpisodeShape(way=2, shot=1, queries=2),
        loop=EpisodeSettings(
            steps=2, validate_every=1, validation_problems=2, log_every=1, checkpoint_every=None
        ),
    )
    train_run(settings, RunOptions(out=folder))
    return folder


def test_a_few_shot_learner_is_trained_on_training_classes(witness):
    assert [line["meta_loss"] for line in metrics(witness)] == [MARKS["train"]] * 2


def test_a_few_shot_learner_is_validated_and_tuned_on_validation_classes(witness):
    error = MARKS["validation"] / 4
    assert [line["validation"] for line in metrics(witness)] == [error] * 2
    assert [each["accuracy"] for each in describe(witness)["run"]["tuning"]] == [1 - error]


def test_statistics_are_gathered_on_training_classes(witness):
    assert load(witness).gathered == MARKS["train"]


@pytest.mark.parametrize("split", MARKS)
def test_a_learner_is_tested_on_the_split_that_is_asked_for(witness, split):
    data = TrainingData(name="marked", dataset="marked-classes")
    settings = EvaluationSettings(episodes=2, queries=2, split=split)
    found = evaluate_learner(load(witness), data, settings)
    assert found["accuracy"] == 1 - MARKS[split] / 4 and found["split"] == split


def test_a_learner_is_tested_on_test_classes_unless_asked_otherwise(
    witness, tmp_path, monkeypatch, capsys
):
    right = f"{100 - 25 * MARKS['test']}.00 ± 0.00 %"
    assert EvaluationSettings().split == "test"
    monkeypatch.chdir(tmp_path)
    words = ["fewshot", "evaluate", str(witness), "--episodes", "2", "--queries", "2"]
    monkeypatch.setattr("sys.argv", ["innerloop", *words])
    main()
    assert f"(test classes), 2-way 1-shot: {right}" in capsys.readouterr().out
