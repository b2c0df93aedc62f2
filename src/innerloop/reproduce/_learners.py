"""The meta-learners of a reproduction: shipped, or trained again as the shipped ones were."""

import dataclasses
from pathlib import Path
from typing import Any

from ..experiments import Choice
from ..experiments.fewshot import EpisodeShape, FewShotSettings, train_run
from ..fewshot._base import MetaLearner
from ..fewshot.augment import Augmentation
from ..fewshot.files import FILE, TrainingData, describe, load_with_data, shipped, shipped_file
from ..fewshot.training import EpisodeSettings
from ..metatrain import RunOptions
from ..runtime.files import write_output
from ..runtime.folders import inside
from ..runtime.settings import from_dict
from ._base import ReproductionOptions


def learner_for(name: str, options: ReproductionOptions) -> tuple[MetaLearner, TrainingData]:
    """(the shipped learner of that name or one trained as it was, what it learned on).

    A learner is trained into `options.out`/learners, where it is not there yet; so is first the
    learner that it begins from.
    """
    return load_with_data(shipped_file(name) if options.shipped else _trained(name, options))


def _trained(name: str, options: ReproductionOptions) -> Path:
    folder = inside(options.out, "learners", name)
    finished = inside(folder, "finished")
    if inside(folder, FILE).is_file() and finished.is_file():
        return folder
    settings = settings_of(name)
    if settings.init_from in shipped():
        source = str(_trained(settings.init_from, options))
        settings = dataclasses.replace(settings, init_from=source)
    options.report(f"training {name}")
    resume = inside(folder, "checkpoints").is_dir()
    run = RunOptions(out=folder, resume=resume, progress=True)
    train_run(settings, run, data_dir=options.data_dir)
    write_output(finished, "")
    return folder


def settings_of(name: str) -> FewShotSettings:
    """The settings that a shipped learner was trained with."""
    header = describe(shipped_file(name))
    run, shape = header["run"], header["shape"]
    episodes = {**run["episodes"], "way": shape["way"], "shot": shape["shot"]}
    return FewShotSettings(
        method=Choice(header["method"], header["settings"]),
        backbone=Choice(header["backbone"]["name"], header["backbone"]["settings"]),
        data=Choice(header["data"]["dataset"], header["data"]["settings"]),
        episodes=from_dict(EpisodeShape, episodes),
        augment=Augmentation(**run["augment"]),
        loop=from_dict(EpisodeSettings, _known(run["loop"])),
        seed=run["seed"],
        init_from=run["init_from"],
        teacher=run.get("teacher"),
    )


def _known(loop: dict[str, Any]) -> dict[str, Any]:
    fields = {field.name for field in dataclasses.fields(EpisodeSettings)}
    return {name: value for name, value in loop.items() if name in fields}
