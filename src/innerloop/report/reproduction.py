"""The report of a figure or table of a paper."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..plots.axes import title_of
from ..runtime.names import fit_text
from .about import About, Section, number
from .comparison import comparison_sections


def reproduction_page(
    results: Mapping[str, Any],
    curves: Sequence[Mapping[str, Any] | None] = (),
    *,
    verdict: str = "",
    about: About | None = None,
) -> dict[str, Any]:
    """The page of a reproduced figure, for `render`.

    Args:
        results: What results.json holds: `figure`, `source`, `claim` and `panels`.
        curves: What `curves_of` gives for each panel, or None.
        verdict: What the panels say together; empty where nothing was compared.
        about: What the run was asked.
    """
    about = about or About()
    panels = [panel for panel in results["panels"] if "baselines" in panel]
    pictures = [panel for panel in results["panels"] if "rows" in panel]
    sections: list[Section] = [_claim(results)]
    sections += [_summary(panels)] if panels else []
    sections += [_painted(panel) for panel in pictures]
    known = [*curves, *[None] * (len(panels) - len(curves))]
    for panel, curve in zip(panels, known, strict=False):
        sections.append({"kind": "heading", "title": fit_text(panel["title"])})
        sections += comparison_sections(panel, curve)
    text = fit_text(verdict) or "What the paper claims, and what was measured here."
    return {
        "title": fit_text(about.title or results["source"]),
        "verdict": {"text": text},
        "sections": [*sections, *about.sections(results.get("versions"))],
    }


def _claim(results: Mapping[str, Any]) -> Section:
    rows = [
        ["claim", results["claim"]],
        ["figure", results["figure"]],
        ["rules", ", ".join(f"{name} ({kind})" for name, kind in results["rules"].items())],
        ["seed", results["seed"]],
        ["date", results["date"]],
        ["machine", results["machine"]],
        ["time", f"{number(results['seconds'])} s"],
    ]
    return {
        "kind": "table",
        "title": "The claim",
        "words": True,
        "columns": ["what", "value"],
        "rows": [[fit_text(cell) for cell in row] for row in rows],
    }


def _summary(panels: Sequence[Mapping[str, Any]]) -> Section:
    rows = []
    for panel in panels:
        steps = (panel.get("speedup") or {}).get("steps") or {}
        interval = "–"
        if steps.get("value") is not None:
            low, high = number(steps.get("low"), 3), number(steps.get("high"), 3)
            interval = f"{number(steps['value'], 3)} ({low} to {high})"
        rows.append(
            [
                fit_text(panel["title"]),
                number(panel["learned"].get("final")),
                title_of(fit_text(panel["best_baseline"])),
                number(panel["baselines"][panel["best_baseline"]].get("final")),
                interval,
                (panel.get("verdict") or {}).get("steps") or "–",
            ]
        )
    columns = ["panel", "learned", "best baseline", "its loss", "speed-up in steps", "verdict"]
    return {"kind": "table", "title": "All panels", "columns": columns, "rows": rows}


def _painted(panel: Mapping[str, Any]) -> Section:
    rows = [[fit_text(row["optimizer"]), *map(number, row["losses"])] for row in panel["rows"]]
    longest = max(len(row) for row in rows)
    columns = ["optimizer", *(f"loss {n}" for n in range(1, longest))]
    return {"kind": "table", "title": fit_text(panel["title"]), "columns": columns, "rows": rows}
