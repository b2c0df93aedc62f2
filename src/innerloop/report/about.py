"""What a report says of the run that it shows."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..runtime.names import fit_text

Section = dict[str, Any]
"""A part of a page: its `kind`, its `title`, and what assets/sections.js draws of that kind."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class About:
    """What a run was asked, for the end of its report."""

    title: str = ""
    """What the page is called; empty for the page's own choice."""
    command: str = ""
    """The command line that makes the run again."""
    settings: str = ""
    """All settings of the run, as run.toml has them."""

    def sections(self, versions: Mapping[str, Any] | None = None) -> list[Section]:
        """The command, the settings and the versions, where each is known."""
        found: list[Section] = []
        if self.command:
            found.append(text_section("Command", self.command))
        if self.settings:
            found.append({**text_section("Settings", self.settings), "folded": True})
        if versions:
            rows = [[fit_text(name), fit_text(each)] for name, each in versions.items()]
            columns = ["package", "version"]
            found.append({"kind": "table", "title": "Versions", "columns": columns, "rows": rows})
        return found


def text_section(title: str, text: str) -> Section:
    """A section of text that is shown as it is."""
    return {"kind": "text", "title": title, "text": fit_text(text, lines=True)}


def number(value: Any, digits: int = 4) -> str:
    """A number as a cell shows it; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"
