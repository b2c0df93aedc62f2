"""`innerloop show`: a run's report."""

import dataclasses
import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from ._common import say
from ._settings import parse

SUMMARY = "Open the report of a run: report.html in its folder."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Show:
    """Open the report of a run: report.html in its folder.

    Prints the path. A browser is opened where there is a display. A folder without a report gets
    one from its results.json or metrics.jsonl.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The folder of a run."""
    browser: bool = True
    """Open a browser; without it the path is printed alone."""


def main(words: Sequence[str]) -> None:
    """Run the command."""
    asked = parse(Show, words, command="show")
    from ..report import page_of, write_page
    from ..report.page import FILE
    from ..runtime.folders import inside

    path = inside(asked.run, FILE)
    if not path.is_file():
        write_page(page_of(asked.run), asked.run)
    say(str(path))
    if asked.browser and _has_display():
        webbrowser.open(path.resolve().as_uri())


def _has_display() -> bool:
    """Whether a window can be seen; a browser in the terminal would take it over."""
    if sys.platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
