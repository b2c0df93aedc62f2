"""The report of a search for the best optimizer of a task."""

from collections.abc import Mapping
from typing import Any

from ..plots.axes import title_of
from ..runtime.names import fit_text
from .about import About, Section, number

_OUTCOMES = ("behind", "level", "ahead")


def search_page(results: Mapping[str, Any], *, about: About | None = None) -> dict[str, Any]:
    """The page of a search, for `render`.

    Args:
        results: What results.json holds of a search.
        about: What the run was asked.

    Returns:
        The page as data: the verdict, the test problems with their curves, all that was tried.
    """
    about = about or About()
    sections = [_tested(results), *_curves(results), _tried(results)]
    return {
        "title": fit_text(about.title or "The best optimizer of a task"),
        "verdict": _verdict(results),
        "sections": [*sections, *about.sections(results.get("versions"))],
    }


def _verdict(results: Mapping[str, Any]) -> dict[str, str]:
    text = results.get("said") or f"The best optimizer is {results['best']}."
    found = {"text": fit_text(text)}
    said = results.get("verdict") or {}
    known = [said[unit] for unit in ("steps", "seconds") if said.get(unit) in _OUTCOMES]
    if known:
        same = len(set(known)) == 1
        found["outcome"] = min(known, key=_OUTCOMES.index)
        found["label"] = known[0] if same else f"{known[0]} in steps, {known[1]} in seconds"
    return found


def _tested(results: Mapping[str, Any]) -> Section:
    rows, marks = [], []
    for name, row in results["test"]["optimizers"].items():
        star = " ★" if name == results["best_baseline"] else ""
        half = "" if row["ci95"] is None else f" ± {number(row['ci95'], 2)}"
        final = "not finite" if row["final"] is None else f"{number(row['final'])}{half}"
        price = row["seconds_per_step"]
        step = number(None if price is None else 1000 * price)
        rows.append([_title(name) + star, final, number(row["median"]), step])
        marks.append("strong" if name == results["best"] else "")
    return {
        "kind": "table",
        "title": "Test problems",
        "note": f"Mean loss at step {number(results['horizon'])} over "
        f"{number(results['test']['problems'])} problems that nobody saw; ± is the half-width of "
        "a 95 % interval. The star marks the best first-order baseline.",
        "columns": ["optimizer", "loss at the horizon", "median", "ms a step"],
        "rows": rows,
        "marks": marks,
    }


def _curves(results: Mapping[str, Any]) -> list[Section]:
    """The mean losses on the test problems, where results.json has them."""
    curves = results["test"].get("curves")
    if not curves:
        return []
    best = results["best"]
    names = sorted(curves["means"], key=lambda name: name != best)[:8]
    series = [{"name": _title(name), "line": curves["means"][name]} for name in names]
    series[0]["colour"] = "c-learned"
    axis = {"xLabel": "step", "xWord": "Step", "yLabel": "mean loss"}
    return [{"kind": "lines", "title": "Loss", "x": curves["steps"], "series": series, **axis}]


def _tried(results: Mapping[str, Any]) -> Section:
    rows = []
    for name, row in results["validation"].items():
        final = "not finite" if row["final"] is None else number(row["final"])
        spent = number(row["seconds"]) if row["seconds"] else "–"
        rows.append([_title(name), row["learns"], final, number(row["learning_rate"], 3), spent])
    for name, entry in results["candidates"].items():
        if "given_up" in entry:
            rows.append([_title(name), f"given up: {entry['given_up']}", "–", "–", "–"])
    return {
        "kind": "table",
        "title": "All that was tried",
        "note": "The best first, on validation problems.",
        "columns": ["tried", "learned", "loss at the horizon", "rate", "seconds spent"],
        "rows": [[fit_text(cell) for cell in row] for row in rows],
    }


def _title(name: str) -> str:
    return title_of(fit_text(name))
