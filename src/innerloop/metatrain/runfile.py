"""run.toml: what a run was asked, beside its checkpoints."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import FileError, RunError
from ..runtime.files import replace_text
from ..runtime.hosts import is_first
from ..runtime.settings import to_toml

FREE = ("loop.checkpoint_every", "loop.checkpoints_kept", "comparison")
"""What may change from one part of a run to the next: it changes nothing that is learned."""


def remember(path: Path, description: Any, *, resume: bool) -> None:
    """Write what a run is asked to `path`, or check that a resumed run is asked the same.

    It is to be called while the run's folder is locked.

    Args:
        path: The file.
        description: What the run is asked: a dataclass of settings, or nested dicts.
        resume: Whether the run goes on from checkpoints.

    Raises:
        RunError: There is nothing to resume, or the run was begun with another setting.
        FileError: The file cannot be read or written.
    """
    text = to_toml(description)
    try:
        if not resume:
            if is_first():
                replace_text(path, text)
            return
        if not path.is_file():
            raise RunError(f"There is no training run in {path.parent} to resume.")
        before = _flat(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise FileError(f"Cannot read or write {path} ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, RunError):
            raise
        raise FileError(
            f"{path} is damaged; name another folder to begin afresh.", arguments=("out",)
        ) from error
    now = _flat(tomllib.loads(text))
    for name in sorted({*before, *now}):
        free = any(name == each or name.startswith(f"{each}.") for each in FREE)
        if before.get(name) != now.get(name) and not free:
            raise RunError(
                f"The run in {path.parent} was begun with {name} = {before.get(name)}, and is "
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
