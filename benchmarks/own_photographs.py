"""How well a learner tells photographs of new classes apart, and how far its probabilities hold.

    python benchmarks/own_photographs.py FOLDER [--learner NAME] [--sets 20] [--shot 5]

FOLDER has a folder of images for each class. Sets of classes are drawn from it; of each class
some images are learned from and the others are queries. As many queries of other classes show
what `--reject` leaves out.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import jax
import numpy as np

from innerloop.fewshot import calibration_error, interval
from innerloop.fewshot.embedding import MetricLearner
from innerloop.fewshot.files import load_with_data
from innerloop.predict.doubts import calibrate, softmax, strangeness
from innerloop.predict.folder import validated
from innerloop.predict.inputs import classes_of
from innerloop.predict.judges import ByEmbedding, Support
from innerloop.predict.reading import ImageReader


@dataclasses.dataclass(frozen=True)
class Asked:
    """The size of what is measured."""

    way: int
    shot: int
    queries: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--learner", default="vgg16-photographs")
    parser.add_argument("--sets", type=int, default=20)
    parser.add_argument("--way", type=int, default=5)
    parser.add_argument("--shot", type=int, default=5)
    parser.add_argument("--queries", type=int, default=15)
    parser.add_argument("--invert", choices=("none", "all", "bright"), default="none")
    parser.add_argument("--classes", type=int, help="the first classes alone")
    given = parser.parse_args()
    learner, _ = load_with_data(given.learner)
    assert isinstance(learner, MetricLearner), "The learner has to compare embeddings."
    folders = list(classes_of(given.folder).values())[: given.classes]
    groups = [files[: given.shot + given.queries] for files in folders]
    files = [file for group in groups for file in group]
    reader = ImageReader(learner.shape.side, learner.shape.channels, given.invert)
    images, _, damaged = reader(files)
    assert not damaged, f"{len(damaged)} images cannot be read."
    labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    everything = Support(files, images, labels, len(groups))
    features = ByEmbedding(learner, everything, False).features
    asked, random = Asked(given.way, given.shot, given.queries), np.random.default_rng(0)
    rows = [one(learner, features, labels, asked, random) for _ in range(given.sets)]
    print(json.dumps(summary(given, rows, asked), indent=2))


def one(learner, features, labels, asked, random):
    """One set of classes: (right, probabilities, labels, strange own queries, strange others)."""
    classes = random.choice(labels.max() + 1, asked.way, replace=False)
    chosen = [random.permutation(np.flatnonzero(labels == each)) for each in classes]
    support = np.concatenate([each[: asked.shot] for each in chosen])
    query = np.concatenate([each[asked.shot : asked.shot + asked.queries] for each in chosen])
    places = np.repeat(np.arange(asked.way, dtype=np.int32), asked.shot)
    truth = np.repeat(np.arange(asked.way), [len(each[asked.shot :]) for each in chosen])
    given = Support([], np.zeros((0, 1, 1, 3), np.uint8), places, asked.way)
    judge = ByEmbedding(learner, given, False, features[support])
    calibration = calibrate(judge, places, validated(learner, asked.shot))
    probabilities = softmax(judge.name(features[query]) / calibration.temperature)
    others = random.permutation(np.flatnonzero(~np.isin(labels, classes)))[: len(query)]
    strange = [strangeness(features[support], places, features[each]) for each in (query, others)]
    far = [None if each is None or not len(each) else np.mean(each > 1) for each in strange]
    return np.mean(probabilities.argmax(1) == truth), probabilities, truth, *far


def summary(given, rows, asked):
    right, probabilities, truth, own, others = zip(*rows, strict=True)
    mean, half = interval(np.asarray(right))
    of_all = np.concatenate(probabilities), np.concatenate(truth)
    return {
        "learner": given.learner,
        "folder": given.folder.name,
        **dataclasses.asdict(asked),
        "sets": given.sets,
        "accuracy": round(float(mean), 4),
        "ci95": round(float(half), 4),
        "least": round(float(min(right)), 4),
        "calibration_error": round(calibration_error(*of_all), 4),
        "rejected_own": None if own[0] is None else round(float(np.mean(own)), 4),
        "rejected_others": None if others[0] is None else round(float(np.mean(others)), 4),
        "device": jax.devices()[0].platform,
    }


if __name__ == "__main__":
    main()
