"""Training and evaluating few-shot methods by name, as the commands do."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import jax

from ... import keys
from ...comparison.results import versions
from ...datasets import ClassImages
from ...errors import InnerloopError, SettingsError
from ...fewshot._base import MetaLearner, Shape
from ...fewshot.batches import BatchSampler
from ...fewshot.confusion import EPISODES, Confusion, confusion
from ...fewshot.episode import EpisodeSampler
from ...fewshot.evaluation import check_finite, evaluate, interval
from ...fewshot.files import TrainingData, load, method_of, name_of
from ...fewshot.init_from import init_from
from ...fewshot.teacher import Teacher
from ...fewshot.training import EpisodeOptions, train
from ...metatrain import RunOptions, Trained
from ...report import About, fewshot_page, write_page
from ...report.saved import settings_text
from ...report.training import METRICS, read_metrics, training_sections
from ...runtime.files import write_output
from ...runtime.folders import inside, writable
from ...runtime.invocation import command
from ...runtime.settings import Range, Seed, check, from_dict
from ..find import lookup
from ..make import make
from ..run import report_training
from ..settings import Choice
from .find import FOLDERS, describe_data, find_data, make_data, short_name
from .settings import FewShotSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How a learner is tested."""

    episodes: Annotated[int, Range(at_least=2)] = 600
    """Fresh episodes; an interval needs at least 2."""
    queries: Annotated[int, Range(at_least=1)] = 15
    """Images of each class to answer for."""
    split: Literal["train", "validation", "test"] = "test"
    """Which classes: those of test, validation or train."""
    transductive: bool = False
    """Normalise all queries of an episode by their common statistics."""
    seed: Seed = 0
    """Another seed, other episodes."""

    def __post_init__(self):
        check(self)


def train_run(
    settings: FewShotSettings, options: RunOptions, *, data_dir: str | None = None
) -> Trained:
    """Train the method of a run.

    The run's settings are written to run.toml in its folder. Resuming it with other settings is
    refused.

    Args:
        settings: What is trained on what, and how.
        options: Where the run writes, and how it reports.
        data_dir: The folder that holds the data.

    Raises:
        InnerloopError: A part of the run cannot be made; and what `innerloop.fewshot.train`
            raises.
    """
    _check(settings)
    data = make_data(settings.data, data_dir)
    _check_way(settings, data.count_classes())
    images, held_out = data.load("train"), data.load("validation")
    learner = make_method(settings, images)
    if settings.init_from is not None:
        learner = init_from(learner, settings.init_from)
    asked = settings.episodes
    trained = train(
        learner,
        _source(settings, learner, images),
        EpisodeSampler(held_out, way=asked.way, shot=asked.shot, queries=asked.queries),
        settings=settings.loop,
        seed=settings.seed,
        options=EpisodeOptions(
            **{
                field.name: getattr(options, field.name)
                for field in dataclasses.fields(RunOptions)
                if field.name != "description"
            },
            description=settings,
            data=describe_data(settings.data),
        ),
    )
    report_training(settings, options, f"{settings.method.name} on {short_name(settings.data)}")
    return trained


def make_method(settings: FewShotSettings, images: ClassImages) -> MetaLearner:
    """The untrained learner of a run, for images of this size.

    Raises:
        InnerloopError: The backbone or the method cannot be made.
    """
    _, height, width, channels = images.images.shape
    if height != width:
        raise InnerloopError(f"Images are {width}×{height}; a backbone takes square ones.")
    shape = Shape(
        way=settings.episodes.way,
        shot=settings.episodes.shot,
        side=height,
        channels=channels,
        classes=len(images.counts),
    )
    backbone = make("backbone", "backbone", settings.backbone, side=height, channels=channels)
    cls = lookup("method", settings.method.name)
    given = from_dict(cls.Settings, settings.method.settings, within="method.")
    return cls(shape, backbone, given, key=jax.random.key(settings.seed))


def _check(settings: FewShotSettings) -> None:
    """What can be refused before any image is read."""
    if not settings.loop.steps and settings.init_from is None:
        accepted = "at least 1 where init_from names no learner to take as it is"
        raise SettingsError("steps", 0, accepted)
    if settings.teacher is not None and settings.method.name != "joint":
        raise SettingsError(
            "teacher", settings.teacher, "left out: joint alone learns from another learner"
        )


def _check_way(settings: FewShotSettings, classes: Any) -> None:
    way = settings.episodes.way
    if classes is not None and min(classes.values()) < way:
        raise InnerloopError(
            f"{short_name(settings.data)} has {sum(classes.values())} classes, "
            f"{classes['train']} for training, {classes['validation']} for validation and "
            f"{classes['test']} for testing, and {way}-way episodes need {way} in each. Add "
            "classes, choose a smaller way, or say which are which by folders train, validation "
            "and test.",
            arguments=("way",),
        )


def _source(
    settings: FewShotSettings, learner: MetaLearner, images: ClassImages
) -> EpisodeSampler | BatchSampler:
    """What the learner is trained on."""
    asked, augment = settings.episodes, settings.augment
    way = asked.training_way
    if way is not None and (learner.trained_on == "batches" or learner.way is not None):
        taken = "all" if learner.trained_on == "batches" else learner.way
        accepted = f"left out: a learner of this method is trained with {taken} classes"
        raise SettingsError("training_way", way, accepted)
    if learner.trained_on == "batches":
        return _batches(settings, learner, images)
    way = asked.way if way is None else min(way, len(images.counts))
    return EpisodeSampler(images, way=way, shot=asked.shot, queries=asked.queries, augment=augment)


def _batches(settings: FewShotSettings, learner: MetaLearner, images: ClassImages) -> BatchSampler:
    asked, teacher = settings.episodes, None
    if settings.teacher is not None:
        teacher = Teacher(load(settings.teacher), images)
    return BatchSampler(
        images,
        batch=asked.batch_size,
        each=asked.batch_each,
        augment=settings.augment,
        teacher=teacher,
    )


def evaluate_learner(
    learner: MetaLearner,
    trained_on: TrainingData,
    settings: EvaluationSettings | None = None,
    *,
    data: str | None = None,
    data_dir: str | None = None,
) -> dict[str, Any]:
    """A learner's accuracy on fresh episodes, as results.json has it.

    Args:
        learner: The learner.
        trained_on: What it learned on.
        settings: Which episodes, and how many.
        data: A dataset's name, or a folder or zip file of class folders; None for what it
            learned on, whose classes are split as they were in training.
        data_dir: The folder that holds the data.

    Raises:
        InnerloopError: The images are of another size than the learner's, or cannot be read; or
            the learner's logits are not finite in an episode.
    """
    settings, shape = settings or EvaluationSettings(), learner.shape
    images = images_for(learner, trained_on, settings.split, data=data, data_dir=data_dir)
    sampler = EpisodeSampler(images, way=shape.way, shot=shape.shot, queries=settings.queries)
    key = keys.test_episodes(jax.random.key(settings.seed))
    accuracies = evaluate(
        learner,
        sampler,
        key=key,
        episodes=settings.episodes,
        transductive=settings.transductive,
    )
    check_finite(accuracies, name_of(learner, trained_on))
    accuracy, half = interval(accuracies)
    return {
        "method": method_of(learner),
        "data": trained_on.name if data is None else short_name(find_data(data)),
        "way": shape.way,
        "shot": shape.shot,
        "query": settings.queries,
        "episodes": settings.episodes,
        "accuracy": accuracy,
        "ci95": half,
        "inner_steps": learner.inner_steps,
        "transductive": settings.transductive,
        "seed": settings.seed,
        "split": settings.split,
    }


def images_for(
    learner: MetaLearner,
    trained_on: TrainingData,
    split: Literal["train", "validation", "test"] = "test",
    *,
    data: str | None = None,
    data_dir: str | None = None,
) -> ClassImages:
    """The images of one split, of the size that a learner learned on; see `evaluate_learner`."""
    shape = learner.shape
    if data is not None:
        choice = find_data(data)
    elif trained_on.dataset == FOLDERS:
        # A file names no folder to read.
        raise InnerloopError(
            f"{name_of(learner, trained_on)} learned on images of a folder, and a file does not "
            "say which folder is read: name the images to test it on.",
            arguments=("data",),
        )
    elif trained_on.dataset is not None:
        choice = Choice(trained_on.dataset, trained_on.settings)
    else:
        raise InnerloopError(
            f"{name_of(learner, trained_on)} does not say which data it learned on; name some.",
            arguments=("data",),
        )
    if choice.name == FOLDERS:
        size = {"side": shape.side, "grey": shape.channels == 1}
        choice = Choice(FOLDERS, {**choice.settings, **size})
    images = make_data(choice, data_dir).load(split)
    if images.images.shape[1:] != (shape.side, shape.side, shape.channels):
        height, width, channels = images.images.shape[1:]
        raise InnerloopError(
            f"{short_name(choice)} has images of {width}×{height}×{channels}; "
            f"{name_of(learner, trained_on)} learned on "
            f"{shape.side}×{shape.side}×{shape.channels}."
        )
    return images


def confusion_of(
    learner: MetaLearner,
    trained_on: TrainingData,
    settings: EvaluationSettings,
    *,
    data: str | None = None,
    data_dir: str | None = None,
) -> Confusion:
    """Which classes a learner confuses, on the first episodes of `evaluate_learner`'s."""
    return confusion(
        learner,
        images_for(learner, trained_on, settings.split, data=data, data_dir=data_dir),
        key=keys.test_episodes(jax.random.key(settings.seed)),
        episodes=min(EPISODES, settings.episodes),
        queries=settings.queries,
        transductive=settings.transductive,
    )


def write_results(results: Any, folder: Path, *, confused: Confusion | None = None) -> None:
    """`results` as results.json in `folder`, and report.html beside it.

    Args:
        results: One row, or a list of rows.
        folder: Where to write.
        confused: Which classes the first of the learners confuses, where that was measured.
    """
    text = json.dumps(results, indent=2, allow_nan=False) + "\n"
    write_output(writable(folder) / "results.json", text)
    more = training_sections(read_metrics(folder)) if inside(folder, METRICS).is_file() else []
    about = About(command=command(), settings=settings_text(folder))
    rows = results if isinstance(results, list) else [results]
    page = fewshot_page(rows, confused, about=about, more=more, versions=versions())
    write_page(page, folder)
