"""Output folders, what they remember of the run that writes to them, and whose turn it is."""

import contextlib
import json
import os
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

from ..errors import InnerloopError
from .files import replace_text
from .hosts import is_first

_FREE = ("training.checkpoint_every", "training.checkpoints_kept")
"""What may change from one part of a run to the next: it changes no result."""


def writable(folder: str | Path) -> Path:
    """`folder`, made if need be. Raises `InnerloopError` where nothing can be written to it."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".innerloop-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InnerloopError(
            f"Cannot write to the folder {folder} ({error.strerror}); give another --out."
        ) from error
    return folder


@contextlib.contextmanager
def only_one(folder: Path) -> Generator[None]:
    """While entered, no other training run can enter for the same folder, which must exist.

    The operating system lets go of it when the process ends, however it ends. Raises
    `InnerloopError` where another run has entered.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise InnerloopError(
            f"Another process is training in {folder}; wait for it to end, or give another --out."
        ) from error
    except OSError as error:
        raise InnerloopError(f"Cannot lock the folder {folder} ({error.strerror}).") from error
    try:
        yield
    finally:
        lock.release()


def remember(path: Path, description: dict[str, Any], resume: bool) -> None:
    """Write what a run was asked to `path`, or check that a resumed one is asked the same.

    Raises `InnerloopError` where there is nothing to resume, or with the first difference.
    """
    if resume:
        if not path.is_file():
            raise InnerloopError(f"There is no training run in {path.parent} to resume.")
        try:
            former = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise InnerloopError(
                f"{path} cannot be read; give another --out to start afresh."
            ) from error
        asked = json.loads(json.dumps(description))
        before, now = _flatten(former), _flatten(asked)
        changed = [
            name
            for name in sorted({*before, *now})
            if before.get(name) != now.get(name) and name not in _FREE
        ]
        if changed:
            name = changed[0]
            raise InnerloopError(
                f"The run in {path.parent} was begun with {name} = {before.get(name)}, and this "
                f"command asks for {now.get(name)}; resume it with the settings it was begun with."
            )
    elif is_first() and not (path.parent / "checkpoints").is_dir():
        replace_text(path, json.dumps(description, indent=2) + "\n")


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
