"""The result of a search in its folder: results.json and report.md."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..comparison.results import versions
from ..runtime.files import write_output
from .score import final, mean_curve
from .search import SearchResult
from .verdict import Verdict

_POINTS = 200
"""Steps of a curve that results.json keeps."""


def results_of(result: SearchResult) -> dict[str, Any]:
    """What results.json holds.

    Args:
        result: What was found.
    """
    verdict = result.verdict
    ahead = None if verdict.speedup is None else verdict.speedup
    return {
        "best": result.name,
        "learns": result.learns,
        "horizon": result.look.horizon,
        "minutes": result.settings.minutes,
        "seconds": round(result.seconds, 1),
        "seed": result.settings.seed,
        "look": dataclasses.asdict(result.look),
        "validation": {
            each.name: {
                "final": _finite(final(each.losses)),
                "learns": each.learns,
                "learning_rate": each.rate,
                "seconds": round(each.seconds, 1),
            }
            for each in result.validation
        },
        "candidates": result.candidates,
        "test": {
            "problems": verdict.problems,
            "optimizers": verdict.rows(),
            "curves": _curves(verdict),
        },
        "said": sentence(result),
        "best_baseline": verdict.rival.name,
        "speedup": None if ahead is None else ahead.results(),
        "verdict": None if ahead is None else ahead.verdict,
        "versions": versions(),
    }


def sentence(result: SearchResult) -> str:
    """What was found, in words."""
    return " ".join(each for each in (_untrained(result), _outcome(result)) if each)


def _untrained(result: SearchResult) -> str:
    if not result.untrained:
        return ""
    if result.stopped:
        return f"It was stopped before any of {result.untrained} candidates was trained."
    return (
        f"There was no time to train any of {result.untrained} candidates: give the search "
        f"{enough_minutes(result):g} minutes."
    )


def enough_minutes(result: SearchResult) -> float:
    """What to give a search that had no time to train: ten minutes, or twice what it was given."""
    return max(10.0, 2 * result.settings.minutes)


def _outcome(result: SearchResult) -> str:
    verdict, best = result.verdict, result.name
    rival, horizon = verdict.rival, result.look.horizon
    if verdict.speedup is None:
        tuned = f"{best}, tuned, is the best optimizer, and is what the run hands over."
        return tuned if result.untrained else f"Nothing that was learned is ahead: {tuned}"
    steps, seconds = verdict.speedup.steps, verdict.speedup.seconds
    said = verdict.speedup.verdict
    what = {
        "nothing": "It is tuned, and nothing of it is learned.",
        "rule": "Its rule is learned.",
    }.get(result.learns, "Its initialisation and its rule are learned.")
    return (
        f"{best} is the best optimizer. {what} Over {rival.name}, the best first-order optimizer "
        f"that was tuned for step {horizon}, the speed-up is {steps.value:.2f} in steps "
        f"({steps.low:.2f} to {steps.high:.2f}: {said['steps']}) and {seconds.value:.2f} in "
        f"seconds ({seconds.low:.2f} to {seconds.high:.2f}: {said['seconds']})."
    )


def write_report(result: SearchResult, folder: Path) -> None:
    """Write results.json and report.md.

    Args:
        result: What was found.
        folder: The run's.

    Raises:
        FileError: A file cannot be written.
    """
    told = results_of(result)
    write_output(folder / "results.json", json.dumps(told, indent=2, default=_finite) + "\n")
    write_output(folder / "report.md", report_of(result))


def report_of(result: SearchResult) -> str:
    """What report.md holds.

    Args:
        result: What was found.
    """
    lines = ["# The best optimizer", "", sentence(result), "", *_bullets(result), ""]
    lines += ["## Test problems", "", f"{result.verdict.problems} problems that nobody saw.", ""]
    lines += ["| optimizer | loss at the horizon | seconds a step |", "|---|---|---|"]
    for name, row in result.verdict.rows().items():
        seconds = row["seconds_per_step"]
        step = "–" if seconds is None else f"{seconds:.2g}"
        lines.append(f"| {name} | {_show(row['final'])} ± {_show(row['ci95'])} | {step} |")
    lines += ["", "## Validation problems", ""]
    lines += ["| tried | learned | loss at the horizon | seconds spent |", "|---|---|---|---|"]
    for each in result.validation:
        spent = f"{each.seconds:.0f}" if each.seconds else "–"
        lines.append(f"| {each.name} | {each.learns} | {_show(final(each.losses))} | {spent} |")
    for name, entry in result.candidates.items():
        if "given_up" in entry:
            lines.append(f"| {name} | given up: {entry['given_up']} | – | – |")
    return "\n".join([*lines, ""])


def _bullets(result: SearchResult) -> list[str]:
    spent = f"The search took {result.seconds:.0f} s; its budget was "
    spent += f"{60 * result.settings.minutes:.0f} s. The seed is {result.settings.seed}."
    return [f"- {each}" for each in [*result.look.sentences(), spent]]


def _curves(verdict: Verdict) -> dict[str, Any]:
    """The mean losses on the test problems, at a limited number of steps, for a small file."""
    runs = (verdict.winner, *verdict.others)
    last = len(verdict.winner.losses) - 1
    steps = sorted({round(n * last / (_POINTS - 1)) for n in range(_POINTS)})
    means = {each.name: mean_curve(each.losses)[steps] for each in runs}
    return {
        "steps": steps,
        "means": {
            name: [float(f"{x:.5g}") if np.isfinite(x) else None for x in mean.tolist()]
            for name, mean in means.items()
        },
    }


def _show(number: float | None) -> str:
    return "not finite" if number is None else f"{number:.4g}"


def _finite(number: Any) -> Any:
    return number if isinstance(number, (int, float)) and abs(number) < float("inf") else None
