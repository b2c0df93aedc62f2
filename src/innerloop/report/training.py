"""The report of a training run, from its metrics.jsonl."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError
from ..runtime.files import read_text
from ..runtime.folders import inside
from ..runtime.names import fit_text
from .about import About, Section, number

METRICS = "metrics.jsonl"
POINTS = 1000
"""Lines of metrics.jsonl that a curve keeps."""
_NAMES = ("meta_loss", "validation", "grad_norm", "skipped", "diverged", "seconds")


def read_metrics(folder: Path) -> list[dict[str, int | float]]:
    """The numbers that a run has reported so far; a line that is cut off or damaged is left out.

    Raises:
        FileError: There is no metrics.jsonl, or it cannot be read.
    """
    path = inside(folder, METRICS)
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise FileError(f"{folder} holds no training run: {path} cannot be read.") from error
    return [found for line in lines if (found := _numbers(line))]


def training_page(
    metrics: Sequence[dict[str, int | float]],
    *,
    steps: int | None = None,
    about: About | None = None,
    versions: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The page of a training run, for `render`.

    Args:
        metrics: What `read_metrics` gives.
        steps: Meta-steps that the run is to make; None where that is not known.
        about: What the run was asked.
        versions: Of what the numbers depend on.
    """
    about = about or About()
    return {
        "title": fit_text(about.title or "Training run"),
        "verdict": {"text": _said(metrics, steps)},
        "sections": [*training_sections(metrics), *about.sections(versions)],
    }


def training_sections(metrics: Sequence[dict[str, int | float]]) -> list[Section]:
    """The curves of a training run: its losses, and the norm of its meta-gradient."""
    if not metrics:
        return []
    kept = _thinned(metrics)
    x = [line["step"] for line in kept]

    def lines(title: str, names: dict[str, str], y: str) -> Section:
        series = [
            {"name": label, "line": _filled(kept, name), "colour": colour}
            for (name, label), colour in zip(names.items(), ("c-adam", "c-learned"), strict=False)
        ]
        axis = {"xLabel": "meta-step", "xWord": "Meta-step", "yLabel": y}
        return {"kind": "lines", "title": title, "x": x, "series": series, **axis}

    named = {"meta_loss": "meta-loss", "validation": "validation"}
    names = {name: label for name, label in named.items() if any(name in each for each in kept)}
    found = [lines("Training", names, "loss")] if names else []
    if any("grad_norm" in line for line in kept):
        found.append(lines("Norm of the meta-gradient", {"grad_norm": "norm"}, "norm"))
    return found


def _said(metrics: Sequence[dict[str, int | float]], steps: int | None) -> str:
    if not metrics:
        return "The run has reported nothing yet."
    last = metrics[-1]
    done = f"{last['step']:,.0f}" + (f" of {steps:,}" if steps else "")
    said = f"After {done} meta-steps"
    validations = [line["validation"] for line in metrics if "validation" in line]
    if validations:
        said += f" the best validation loss is {number(min(validations))}"
    else:
        said += " there was no validation yet"
    if steps and 0 < last["step"] < steps and (left := _left(metrics, steps)):
        said += f"; about {left} are left"
    if last.get("skipped"):
        said += f"; {last['skipped']:.0f} meta-steps were skipped, their gradient not being finite"
    return f"{said}."


def _left(metrics: Sequence[dict[str, int | float]], steps: int) -> str:
    """Time to the last meta-step, at the speed since the run began or was resumed."""
    first = last = metrics[-1]
    for line in reversed(metrics):
        if line.get("seconds", 0) > first.get("seconds", 0):
            break
        first = line
    span = last.get("seconds", 0) - first.get("seconds", 0)
    if span <= 0 or last["step"] <= first["step"]:
        return ""
    seconds = span / (last["step"] - first["step"]) * (steps - last["step"])
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"


def _thinned(metrics: Sequence[dict[str, int | float]]) -> list[dict[str, int | float]]:
    """At most `POINTS` lines, those with a validation among them where that is possible."""
    if len(metrics) <= POINTS:
        return list(metrics)
    wanted = [n for n, line in enumerate(metrics) if "validation" in line]
    wanted = wanted[:: max(1, 2 * len(wanted) // POINTS)]
    spread = np.linspace(0, len(metrics) - 1, POINTS - len(wanted)).round().astype(int)
    return [metrics[n] for n in sorted({*wanted, *spread.tolist()})]


def _filled(lines: Sequence[dict[str, int | float]], name: str) -> list[int | float | None]:
    """A number at each line; where there is none, the line between its neighbours, as drawn."""
    at = [n for n, line in enumerate(lines) if name in line]
    if not at:
        return [None] * len(lines)
    steps = [line["step"] for line in lines]
    known = [lines[n][name] for n in at]
    inner = np.interp(steps, [steps[n] for n in at], known)
    found = [float(f"{each:.5g}") for each in inner]
    return [each if at[0] <= n <= at[-1] else None for n, each in enumerate(found)]


def _numbers(line: str) -> dict[str, int | float] | None:
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(read, dict) or not _is_number(read.get("step")):
        return None
    return {"step": read["step"], **{k: read[k] for k in _NAMES if _is_number(read.get(k))}}


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
    )
