"""The page of a run's folder, from the files that are in it."""

import json
import tomllib
from pathlib import Path
from typing import Any

from ..errors import FileError
from ..runtime.files import read_text
from ..runtime.folders import inside
from ..runtime.runfile import FILE as RUN_FILE
from .about import About
from .comparison import comparison_page
from .fewshot import fewshot_page
from .reproduction import reproduction_page
from .search import search_page
from .training import METRICS, read_metrics, training_page, training_sections


def page_of(folder: Path) -> dict[str, Any]:
    """The page of a run that has no report.html yet, from results.json or metrics.jsonl.

    Args:
        folder: A folder that a command wrote into. results.json has no curves, so the page of a
            comparison has none either.

    Raises:
        FileError: The folder has neither file, or one that is damaged.
    """
    about = About(settings=settings_text(folder))
    results = inside(folder, "results.json")
    if not results.is_file():
        if not inside(folder, METRICS).is_file():
            raise FileError(f"{folder} has no report.html, no results.json and no {METRICS}.")
        return training_page(read_metrics(folder), steps=steps_of(folder), about=about)
    more = training_sections(read_metrics(folder)) if inside(folder, METRICS).is_file() else []
    try:
        read = json.loads(read_text(results))
        if isinstance(read, list):
            return fewshot_page(read, about=about, more=more)
        if "panels" in read:
            return reproduction_page(read, about=about)
        if "accuracy" in read:
            return fewshot_page([read], about=about, more=more)
        if "validation" in read:
            return search_page(read, about=about)
        return comparison_page(read, about=about, more=more)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FileError(f"{results} is damaged, or of another version.") from error


def settings_text(folder: Path) -> str:
    """The text of a run's run.toml, or nothing where there is none."""
    path = inside(folder, RUN_FILE)
    try:
        return read_text(path) if path.is_file() else ""
    except (OSError, ValueError):
        return ""


def steps_of(folder: Path) -> int | None:
    """How many meta-steps a run is to make, as its run.toml says."""
    try:
        steps = tomllib.loads(settings_text(folder))["loop"]["steps"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return steps if isinstance(steps, int) else None
