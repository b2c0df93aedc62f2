"""The report of one comparison."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..plots.axes import title_of
from ..runtime.names import fit_text
from .about import About, Section, number
from .verdict import judged, verdict_of

_OPTIONAL = {
    "final_2x": lambda results: f"step {2 * results['horizon']}",
    "held_out": lambda results: "held out",
    "seconds_per_step": lambda results: "ms a step",
    "state_bytes_per_parameter": lambda results: "state, B",
}
"""Columns that are there where any optimizer has the number."""


def comparison_page(
    results: Mapping[str, Any],
    curves: Mapping[str, Any] | None = None,
    *,
    about: About | None = None,
    more: list[Section] | None = None,
) -> dict[str, Any]:
    """The page of a comparison, for `render`.

    Args:
        results: What results.json holds.
        curves: What `curves_of` gives; None where only the numbers are known.
        about: What the run was asked.
        more: Sections to show before the settings, such as the training's.

    Returns:
        The page as data.
    """
    about = about or About()
    return {
        "title": fit_text(about.title or f"Comparison on {results['task']}"),
        "verdict": verdict_of(results),
        "sections": [
            *comparison_sections(results, curves),
            *(more or []),
            *about.sections(results.get("versions")),
        ],
    }


def comparison_sections(
    results: Mapping[str, Any], curves: Mapping[str, Any] | None
) -> list[Section]:
    """The facts, the table and the curves of one comparison.

    Args:
        results: What results.json holds of it.
        curves: What `curves_of` gives, or None.
    """
    found = [_facts(results), _table(results)]
    if curves is not None:
        runs = [{**run, **_extra(results, run)} for run in curves["runs"]]
        found.append(
            {
                "kind": "comparison",
                "title": "Loss",
                "note": f"Mean over {results['problems']:,} unseen problems with its 95 % "
                "interval, or the median with the middle half. The dashed line is the horizon.",
                "panel": {**curves, "runs": runs},
                "best": results.get("best_baseline"),
            }
        )
    return found


def rows_of(results: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(name, role, numbers) of every optimizer in results.json, the learned rule first."""
    yield results["learned"].get("name", "learned"), "learned", results["learned"]
    for name, row in (results.get("others") or {}).items():
        yield name, "other", row
    for name, row in results["baselines"].items():
        yield name, "baseline", row
    if results.get("reference"):
        yield results["reference"].get("name", "reference"), "reference", results["reference"]


def _extra(results: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    extra: dict[str, Any] = {"label": title_of(fit_text(run["name"]))}
    for name, role, row in rows_of(results):
        if (name, role) == (run["name"], run["role"]) and row.get("seconds_per_step"):
            extra["seconds_per_step"] = row["seconds_per_step"]
    return extra


def _facts(results: Mapping[str, Any]) -> Section:
    best = results["baselines"].get(results.get("best_baseline")) or {}
    name = title_of(fit_text(results.get("best_baseline")))
    items = []
    for unit in ("steps", "seconds"):
        found = (results.get("speedup") or {}).get(unit) or {}
        if found.get("value") is not None:
            outcome = (results.get("verdict") or {}).get(unit)
            note = f"{number(found['low'], 3)} to {number(found['high'], 3)}"
            note += f", {outcome}" if outcome else ""
            items.append(_fact(f"speed-up in {unit}", f"{number(found['value'], 3)}×", note))
    note = f"mean loss at step {results['horizon']:,}"
    rule = judged(results)
    items.append(_fact(rule.removeprefix("the "), _interval(results["learned"], 3)[0], note))
    items.append(_fact(f"best baseline, {name}", _interval(best, 3)[0], note))
    paired = results.get("paired") or {}
    if paired.get("difference") is not None:
        note = f"± {number(paired['ci95'], 2)}; below 0 {rule} is better"
        items.append(_fact("difference by problem", f"{paired['difference']:+.3g}", note))
    return {"kind": "facts", "title": "", "items": items}


def _fact(name: str, value: str, note: str) -> dict[str, str]:
    return {"name": fit_text(name), "value": value, "note": fit_text(note)}


def _table(results: Mapping[str, Any]) -> Section:
    horizon = results["horizon"]
    rows = list(rows_of(results))
    extra = {
        key: label(results)
        for key, label in _OPTIONAL.items()
        if any(row.get(key) is not None for _, _, row in rows)
    }
    best = results.get("best_baseline")
    columns = ["optimizer", "rate", f"loss at step {horizon}", "median", f"mean 0–{horizon}"]
    section: Section = {
        "kind": "table",
        "title": "Optimizers",
        "note": f"Mean loss over {results['problems']:,} unseen problems; ± is the half-width of "
        "a 95 % interval. The star marks the best baseline. State is in bytes a parameter.",
        "columns": [*columns, *extra.values()],
        "rows": [],
        "marks": [],
    }
    for name, role, row in rows:
        star = " ★" if name == best and role == "baseline" and row.get("final") is not None else ""
        section["rows"].append([f"{title_of(fit_text(name))}{star}", *_cells(row, extra)])
        section["marks"].append({"learned": "strong", "reference": "faint"}.get(role, ""))
    for name, row in (results.get("left_out") or {}).items():
        left = f"{number(row.get('validation'))} in tuning"
        cells = [title_of(fit_text(name)), number(row.get("learning_rate"), 3), left]
        section["rows"].append([*cells, *["–"] * (len(section["columns"]) - 3)])
        section["marks"].append("faint")
    return section


def _cells(row: Mapping[str, Any], extra: Mapping[str, str]) -> list[str]:
    final, half = _interval(row)
    cells = [number(row.get("learning_rate"), 3), final if half is None else f"{final} ± {half}"]
    cells += [number(row.get("median")), number(row.get("mean"))]
    for key in extra:
        value = row.get(key)
        if key == "seconds_per_step" and value is not None:
            value = 1000 * value
        cells.append(number(value))
    return cells


def _interval(row: Mapping[str, Any], digits: int = 4) -> tuple[str, str | None]:
    if row.get("final") is None:
        return "not finite", None
    half = row.get("ci95")
    return number(row["final"], digits), None if half is None else number(half, 2)
