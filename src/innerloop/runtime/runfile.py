"""run.toml: what a run was asked, beside its checkpoints."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import FileError, RunError
from .files import read_text, replace_text
from .hosts import is_first
from .settings import to_toml

FILE = "run.toml"
FREE = ("loop.checkpoint_every", "loop.checkpoints_kept", "comparison")
"""What may change from one part of a run to the next: it changes nothing that is learned."""


def remember(path: Path, asked: Any, *, resume: bool) -> None:
    """Write what a run is asked to `path`, or check that a resumed run is asked the same.

    It is to be called by the one run that has the folder, see `folders.only_one`.

    Args:
        path: The file.
        asked: What the run is asked: a dataclass of settings, or nested dicts.
        resume: Whether the run goes on from checkpoints.

    Raises:
        RunError: There is nothing to resume, or the run was begun with another setting.
        FileError: The file cannot be read or written, or is damaged.
    """
    if resume and not path.is_file():
        raise RunError(f"There is no training run in {path.parent} to resume.")
    former: dict[str, Any] = {}
    try:
        if resume:
            former = parse(read_text(path))
        elif is_first():
            replace_text(path, as_text(asked))
    except OSError as error:
        raise FileError(f"Cannot read or write {path} ({error.strerror}).") from error
    except ValueError as error:
        raise FileError(
            f"{path} is damaged; name another folder to begin afresh.", arguments=("out",)
        ) from error
    if resume:
        check_same(former, asked, path.parent)


def as_text(asked: Any) -> str:
    """What a run is asked, as its run.toml has it."""
    return to_toml(asked)


def parse(text: str) -> dict[str, Any]:
    """What a run.toml holds. Raises ValueError where it is no TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def check_same(former: Mapping[str, Any], asked: Any, folder: Path) -> None:
    """Raises `RunError` with the first difference between two descriptions of a run.

    Args:
        former: What the run was begun with, as `parse` gives it.
        asked: What it is asked now.
        folder: The run's, for the message.
    """
    before, now = _flat(former), _flat(parse(as_text(asked)))
    for name in sorted({*before, *now}):
        free = any(name == each or name.startswith(f"{each}.") for each in FREE)
        if before.get(name) != now.get(name) and not free:
            raise RunError(
                f"The run in {folder} was begun with {name} = {before.get(name)}, and is "
                f"resumed with {now.get(name)}; resume it with the settings that it was begun with."
            )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
