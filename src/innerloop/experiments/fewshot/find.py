"""From what a user types to a dataset, and to the recipe for it."""

from pathlib import Path
from typing import Any

from ... import registry
from ...datasets import Dataset
from ...datasets.class_folders import usual_side
from ...datasets.miniimagenet import SIDE
from ...errors import UnknownNameError
from ...fewshot.files import TrainingData
from ..find import is_file, lookup, name_for
from ..make import make
from ..settings import Choice
from . import miniimagenet, omniglot, photographs
from .settings import FewShotSettings

FOLDERS = "class-folders"


def find_data(spec: str, settings: dict[str, Any] | None = None) -> Choice:
    """The dataset that a user calls `spec`.

    Args:
        spec: A registered name, path/to/file.py:NAME, or a folder or zip file with a folder of
            images for each class.
        settings: The dataset's settings.

    Raises:
        UnknownNameError: There is no such dataset, folder or file.
    """
    given = dict(settings or {})
    if is_file(spec):
        return Choice(name_for("dataset", spec), given)
    if spec != FOLDERS and spec in registry.members("dataset"):
        return Choice(spec, given)
    if not Path(spec).exists():
        names = ", ".join(sorted({*registry.members("dataset")} - {FOLDERS}))
        raise UnknownNameError(
            f"There is no data '{spec}': give {names}, or a folder or zip file with a folder of "
            "images for each class.",
            arguments=("data",),
        )
    return Choice(FOLDERS, {"path": spec, **given})


def with_side(data: Choice) -> Choice:
    """The dataset with the side of its images, where it is a folder and nobody gave one."""
    if data.name != FOLDERS or "side" in data.settings:
        return data
    side = usual_side(data.settings["path"])
    return Choice(FOLDERS, {**data.settings, "side": side})


def find_recipe(method: str, data: Choice) -> FewShotSettings:
    """The settings that a method is trained with on a dataset, unless the user says otherwise.

    Raises:
        UnknownNameError: There is no such method.
    """
    lookup("method", method)
    if data.name == "omniglot":
        return omniglot.recipe(method)
    if data.name == "miniimagenet" and data.settings.get("side", SIDE) == SIDE:
        return miniimagenet.recipe(method)
    return photographs.recipe(method, data)


def make_data(choice: Choice, data_dir: str | None = None) -> Dataset:
    """The dataset of a run.

    Args:
        choice: Its name and settings.
        data_dir: The folder that holds the data, for a dataset that is not a user's own.
    """
    return make("dataset", "data", choice, data_dir=data_dir)


def short_name(choice: Choice) -> str:
    """What a learner's name calls its data."""
    if choice.name == FOLDERS:
        return Path(choice.settings["path"]).stem
    return choice.name.rpartition(":")[2]


def describe_data(choice: Choice) -> TrainingData:
    """The data as a learner's file names it, with absolute paths."""
    settings = dict(choice.settings)
    if choice.name == FOLDERS:
        settings["path"] = str(Path(settings["path"]).absolute())
    return TrainingData(name=short_name(choice), dataset=choice.name, settings=settings)
