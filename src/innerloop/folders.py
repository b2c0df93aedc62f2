"""Output folders, and what they remember of the run that writes to them."""

import json
import os
import uuid
from pathlib import Path
from typing import Any

from .errors import InnerloopError


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
        changed = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
        if changed:
            name = changed[0]
            raise InnerloopError(
                f"The run in {path.parent} was begun with {name} = {before.get(name)}, and this "
                f"command asks for {now.get(name)}; resume it with the settings it was begun with."
            )
    elif not (path.parent / "checkpoints").is_dir():
        path.write_text(json.dumps(description, indent=2) + "\n")


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
