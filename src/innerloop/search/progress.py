"""What a search has done so far, in its folder: it can be stopped at any time, and go on."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RunError
from ..rules import Rule
from ..rules.files import load, save
from ..runtime.files import read_text, write_output

FILE = "search.json"


@dataclasses.dataclass
class Progress:
    """The record of a search.

    `rules` of candidates lie beside it, each in a file of its own.
    """

    folder: Path | None
    entries: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    """For each candidate: what was spent and what it gave, or why it was given up."""
    seconds: float = 0.0
    """Of earlier parts of the search."""

    def note(self, name: str, rule: Rule | None, **told: Any) -> None:
        """Remember what became of a candidate, and its rule."""
        self.entries[name] = {**self.entries.get(name, {}), **told}
        if self.folder is not None and rule is not None:
            save(rule, self.folder / "candidates" / f"{name}.safetensors")
        self.write(self.seconds)

    def write(self, seconds: float) -> None:
        """Write the record."""
        if self.folder is not None:
            told = {"seconds": seconds, "candidates": self.entries}
            write_output(self.folder / FILE, json.dumps(_plain(told), indent=2) + "\n")

    def former(self, name: str) -> Rule | None:
        """The rule that an earlier part of the search left of a candidate."""
        if self.folder is None or name not in self.entries:
            return None
        path = self.folder / "candidates" / f"{name}.safetensors"
        return load(path) if path.is_file() else None


def open_progress(folder: Path | None, *, resume: bool) -> Progress:
    """The record in a folder, empty for a new search.

    Raises:
        RunError: The folder holds a search and `resume` is not set, or holds none and it is.
    """
    if folder is None:
        return Progress(None)
    path = folder / FILE
    if path.is_file() and not resume:
        raise RunError(
            f"{folder} holds a search already; resume it, or name another folder.",
            arguments=("resume", "out"),
        )
    if not resume:
        return Progress(folder)
    try:
        told = json.loads(read_text(path))
        return Progress(folder, dict(told["candidates"]), float(told["seconds"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"There is no search in {folder} to resume.", arguments=("out",)) from error


def _plain(told: Any) -> Any:
    if isinstance(told, dict):
        return {name: _plain(each) for name, each in told.items()}
    if isinstance(told, float) and not np.isfinite(told):
        return None
    return told
