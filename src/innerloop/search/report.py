"""The result of a search in its folder: results.json and report.md."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from ..comparison.results import versions
from ..runtime.files import write_output
from .score import final
from .search import SearchResult


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
        "test": {"problems": verdict.problems, "optimizers": verdict.rows()},
        "best_baseline": verdict.rival.name,
        "speedup": None if ahead is None else ahead.results(),
        "verdict": None if ahead is None else ahead.verdict,
        "versions": versions(),
    }


def sentence(result: SearchResult) -> str:
    """What was found, in words."""
    verdict, best = result.verdict, result.name
    rival, horizon = verdict.rival, result.look.horizon
    if verdict.speedup is None:
        return (
            f"Nothing that was learned is ahead: {best}, tuned, is the best optimizer, and is what "
            "the run hands over."
        )
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
    spent = f"The search took {result.seconds:.0f} s, of {result.settings.minutes:g} minutes; "
    spent += f"the seed is {result.settings.seed}."
    return [f"- {each}" for each in [*result.look.sentences(), spent]]


def _show(number: float | None) -> str:
    return "not finite" if number is None else f"{number:.4g}"


def _finite(number: Any) -> Any:
    return number if isinstance(number, (int, float)) and abs(number) < float("inf") else None
