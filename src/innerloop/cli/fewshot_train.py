"""`innerloop fewshot train`: train a few-shot method on episodes of images."""

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..errors import UnknownNameError
from ..runtime.names import fit_component
from ._common import Config, TrainingPlace, prepare, say
from ._settings import Flat, is_given, leading, named, parse, settings_type

SUMMARY = "Train a few-shot method on episodes, and keep the best by validation."
_DOC = """Train a few-shot method (`innerloop fewshot list`), and keep the best by validation.

Ctrl-C saves a checkpoint and stops; the same command with --resume goes on. The defaults are
those of the method on the data: `innerloop fewshot train maml --data miniimagenet --help` shows
them."""
_FLAT = ("episodes", "augment", "loop")
"""The parts of a run's settings whose options have no prefix."""
_SPEC = "NAME|FILE.py:NAME"


def main(words: Sequence[str]) -> None:
    """Run the command; JAX is imported here."""
    from ..experiments.fewshot import train_run
    from ..experiments.fewshot.find import short_name

    named_one = leading(words) or is_given(words, "--config") or {"-h", "--help"} & set(words)
    if not named_one:
        raise UnknownNameError(
            "Name a method: innerloop fewshot train METHOD. `innerloop fewshot list` shows all; "
            "joint is the one for photographs."
        )
    settings = _defaults(words)
    asked: Any = parse(arguments_type(settings), words, command="fewshot train")
    place: TrainingPlace = asked.place
    prepare(place.devices, place.hosts)
    settings = _settings_from(asked, settings)
    episodes = settings.episodes
    short = f"{short_name(settings.data)}-{episodes.way}w-{episodes.shot}s"
    folder = place.out or Path("runs") / fit_component(f"{settings.method.name}-{short}")
    options = place.options(folder, "fewshot train", words)
    trained = train_run(settings, options, data_dir=place.data)
    if trained.skipped:
        say(f"{trained.skipped} meta-steps were skipped: their gradient was not finite.")
    test = ["innerloop", "fewshot", "evaluate", str(folder), *_own_data(settings, words)]
    say(
        f"Accuracy on validation episodes: {100 * (1 - trained.validation):.2f} %, "
        f"after {trained.steps} meta-steps and {trained.seconds:.0f} s.\n"
        f"The best learner is in {folder}/learner.safetensors. Test it:\n"
        f"  {shlex.join(test)}"
    )


def _own_data(settings: Any, words: Sequence[str]) -> list[str]:
    """The option for data that do not come with innerloop, which a learner's file cannot name."""
    from ..experiments.fewshot.find import FOLDERS
    from ..experiments.find import is_file

    given = named(words, "--data")["--data"]
    if settings.data.name == FOLDERS:
        return ["--data", given or settings.data.settings["path"]]
    return ["--data", given] if given and is_file(given) else []


def arguments_type(settings: Any) -> type:
    """The dataclass that tyro parses, with the values of `settings` as defaults."""
    from ..experiments.find import lookup

    of_method = lookup("method", settings.method.name).Settings
    method = settings_type(of_method, settings.method.settings, within="method.")
    backbone = _options(lookup("backbone", settings.backbone.name), settings.backbone, "backbone.")
    data = _options(lookup("dataset", settings.data.name), settings.data, "data.")
    # Types without checks: what is wrong is to be a sentence of ours.
    flat = {
        name: settings_type(type(part), vars(part), within="")
        for name in _FLAT
        for part in (getattr(settings, name),)
    }
    text = tyro.conf.arg
    fields: list[Any] = [
        ("target", Annotated[tyro.conf.Positional[str | None], text(
            help="The method: its name, or path/to/file.py:NAME for one of your own. It may be "
            "left out with --config.", metavar="METHOD")], None),
        ("backbone_name", Annotated[str, text(
            name="backbone", help="The network that embeds images.", metavar=_SPEC,
        )], settings.backbone.name),
        ("data_name", Annotated[str, text(
            name="data", help="A dataset's name, a folder or zip file with a folder of images "
            "for each class, or path/to/file.py:NAME.", metavar="DATA",
        )], settings.data.name),
        ("config", Annotated[Config, text(
            help="Settings of a run, as a run's folder has them in run.toml. Other options "
            "change them.")], None),
        ("init_from", Annotated[str | None, text(
            help="The learner to begin with: a shipped learner's name, a file, or a run's "
            "folder, of any method with the same backbone.", metavar="LEARNER",
        )], settings.init_from),
        ("teacher", Annotated[str | None, text(
            help="A learner whose opinions of the images `joint` learns beside the labels: a "
            "shipped learner's name, a file, or a run's folder.", metavar="LEARNER",
        )], settings.teacher),
        ("seed", Annotated[int, text(
            help="The same seed gives the same numbers on the same machine.", metavar="N",
        )], settings.seed),
        ("place", Annotated[TrainingPlace, Flat], TrainingPlace()),
        *((name, Annotated[part, Flat], part()) for name, part in flat.items()),
        ("method", method, method()),
        ("backbone", backbone, backbone()),
        ("data", data, data()),
    ]  # fmt: skip
    return dataclasses.make_dataclass(
        "Train",
        [(name, hint, _field(default)) for name, hint, default in fields],
        frozen=True,
        kw_only=True,
        namespace={"__doc__": _DOC},
    )


def _defaults(words: Sequence[str]) -> Any:
    """The settings of a run by the words that name things."""
    from ..experiments import Choice
    from ..experiments.fewshot import FewShotSettings
    from ..experiments.fewshot.find import find_data, find_recipe, with_side
    from ..experiments.find import name_for
    from ..runtime.settings import from_toml

    options, targets = (
        named(words, "--backbone", "--data", "--config", "--data.side"),
        leading(words),
    )
    read: Any = from_toml(FewShotSettings, options["--config"]) if options["--config"] else None
    side = options["--data.side"]
    given = {"side": int(side)} if side and side.isdecimal() else {}
    data = with_side(find_data(options["--data"], given)) if options["--data"] else None
    if read is None:
        method = name_for("method", targets[0]) if targets else "meta-lstm"
        read = find_recipe(method, data or Choice("omniglot"))
    elif targets and (method := name_for("method", targets[0])) != read.method.name:
        read = dataclasses.replace(read, method=Choice(method))
    if data is not None and data.name != read.data.name:
        read = dataclasses.replace(read, data=data)
    if options["--backbone"]:
        backbone = name_for("backbone", options["--backbone"])
        if backbone != read.backbone.name:
            read = dataclasses.replace(read, backbone=Choice(backbone))
    return read


def _settings_from(asked: Any, settings: Any) -> Any:
    """The run's settings: `settings`, with what was asked in place of its values."""
    from ..experiments import Choice

    return dataclasses.replace(
        settings,
        method=Choice(settings.method.name, _values(asked.method)),
        backbone=Choice(settings.backbone.name, _values(asked.backbone)),
        data=Choice(settings.data.name, _values(asked.data)),
        **{name: type(getattr(settings, name))(**_values(getattr(asked, name))) for name in _FLAT},
        seed=asked.seed,
        init_from=asked.init_from,
        teacher=asked.teacher,
    )


def _options(make: Any, choice: Any, within: str) -> Any:
    """The settings of a class as options, without the size of images, which these have."""
    found = settings_type(make, choice.settings, within=within)
    place = ("channels", "side") if within == "backbone." else ()
    fields = [each for each in dataclasses.fields(found) if each.name not in place]
    return dataclasses.make_dataclass(
        "Settings",
        [(each.name, each.type, _field(each.default)) for each in fields],
        frozen=True,
        kw_only=True,
        namespace={"__doc__": found.__doc__},
    )


def _field(default: Any) -> Any:
    """A field with this default, which may be of a class that a dataclass takes for mutable."""
    if default is None or isinstance(default, (bool, int, float, str, tuple)):
        return dataclasses.field(default=default)
    return dataclasses.field(default_factory=lambda: default)


def _values(settings: Any) -> dict[str, Any]:
    return {each.name: getattr(settings, each.name) for each in dataclasses.fields(settings)}
