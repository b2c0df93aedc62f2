"""A whole benchmark: from rules and a suite to results.json, a picture and a report."""

import importlib.metadata
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from ..rules import Rule
from ..rules.check import check_rule
from ..runtime.files import write_output
from ..runtime.folders import inside, only_one, writable
from ..runtime.settings import to_dict
from .entrants import Entrant, entrants_of
from .measuring import Bar, Entry, Measured, count, measure
from .settings import REFERENCE, BenchmarkSettings
from .suites import Suite

RESULTS, REPORT, PICTURE, CELLS = "results.json", "report.md", "benchmark.png", "cells"


def run_benchmark(
    rules: Mapping[str, Rule],
    suite: Suite,
    settings: BenchmarkSettings,
    out: str | Path,
    *,
    data_dir: str | Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Run rules and baselines on a suite, and write what came out.

    Every run is kept in a file of its own in the folder, so that a benchmark that was stopped goes
    on where it was. Entrants, seeds and horizons may be added later.

    Args:
        rules: The learned rules by name.
        suite: The suite.
        settings: The sizes.
        out: The folder to write into: results.json, benchmark.png, report.md and cells/.
        data_dir: The folder that holds data, for suites that need any.
        progress: Show a bar.

    Returns:
        What results.json holds.

    Raises:
        InnerloopError: A rule is none, a task cannot be made, or nothing can be written.
        Interrupted: A signal asked for the end; what is done is kept.
    """
    if settings.seeds < suite.seeds:
        raise SettingsError("seeds", settings.seeds, f"a whole number of at least {suite.seeds}")
    for name, rule in rules.items():
        check_rule(rule, name=f"The rule '{name}'")
    entries = suite.entries(data_dir)
    entrants = entrants_of(
        rules, settings, second_order=suite.one_problem, over_adam=suite.over_adam
    )
    folder = writable(out)
    began = time.perf_counter()
    with only_one(folder):
        measured = _measured(entries, entrants, suite, settings, folder, progress)
        results: dict[str, Any] = {
            "suite": suite.name,
            "reference": REFERENCE if suite.over_adam else None,
            "settings": to_dict(settings),
            "tasks": measured.parameters,
            "left_out": measured.left_out,
            "tables": suite.judge(measured, data_dir),
            "seconds": round(time.perf_counter() - began, 1),
            "versions": {each: importlib.metadata.version(each) for each in ("innerloop", "jax")},
        }
        text = json.dumps(results, indent=2, allow_nan=False) + "\n"
        write_output(inside(folder, RESULTS), text)
        suite.draw(results["tables"], inside(folder, PICTURE))
        write_output(inside(folder, REPORT), _report(suite, settings, results))
    return results


def _measured(
    entries: tuple[Entry, ...],
    entrants: list[Entrant],
    suite: Suite,
    settings: BenchmarkSettings,
    folder: Path,
    progress: bool,
) -> Measured:
    from tqdm import tqdm

    total = count(entries, entrants, settings)
    cells = inside(folder, CELLS)
    with tqdm(total=total, unit=" runs", disable=not progress) as bar:
        shown: Bar = bar
        return measure(entries, entrants, settings, cells, bar=shown, single=suite.one_problem)


def _report(suite: Suite, settings: BenchmarkSettings, results: dict[str, Any]) -> str:
    tasks = ", ".join(f"{name} ({size:,})" for name, size in results["tasks"].items())
    tuned = "on the problem itself" if suite.one_problem else "on problems of its own"
    over = "A speed-up is over Adam, whose rate is tuned. " if suite.over_adam else ""
    parts = [
        f"# {suite.title}",
        f"![{suite.name}]({PICTURE})",
        f"Tasks, with their parameters: {tasks}.",
        f"{settings.seeds} seed{'s' if settings.seeds > 1 else ''}; losses of "
        f"{', '.join(map(str, settings.horizons))} steps. {over}Whatever is tuned, is tuned "
        f"{tuned}.",
        suite.tell(results["tables"]),
    ]
    if results["left_out"]:
        left = "; ".join(f"{name} ({why.rstrip('.')})" for name, why in results["left_out"].items())
        parts.append(f"Left out: {left}.")
    return "\n\n".join(parts) + "\n"
