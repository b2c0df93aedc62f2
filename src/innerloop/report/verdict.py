"""What a comparison says, in a sentence."""

from collections.abc import Mapping
from typing import Any

from ..plots.axes import title_of
from ..runtime.names import fit_text
from .about import number


def verdict_of(results: Mapping[str, Any]) -> dict[str, str]:
    """The outcome of a comparison and a sentence that gives its reasons.

    Args:
        results: What results.json holds of one comparison.

    Returns:
        `text`, and `outcome` ("ahead", "level" or "behind") where the numbers give one.
    """
    best = _best(results)
    if best is None:
        return {"text": "No baseline has a finite loss at the horizon, so there is none to beat."}
    outcome = (results.get("verdict") or {}).get("steps")
    if outcome not in ("ahead", "level", "behind"):
        return {"text": f"No verdict: a loss of the rule or of {best} is not finite."}
    said = {
        "ahead": f"The learned rule is ahead of the best tuned baseline, {best}",
        "level": f"The learned rule is level with the best tuned baseline, {best}: a test over "
        "problems does not tell them apart",
        "behind": f"The learned rule is behind the best tuned baseline, {best}",
    }[outcome]
    return {"outcome": outcome, "text": f"{said}.{_speedup(results, best)}"}


def _speedup(results: Mapping[str, Any], best: str) -> str:
    found = results.get("speedup") or {}
    said = []
    for unit in ("steps", "seconds"):
        each = found.get(unit) or {}
        if each.get("value") is None:
            continue
        text = f"{number(each['value'], 3)} times in {unit}"
        if each.get("low") is not None and each.get("high") is not None:
            text += f" ({number(each['low'], 3)} to {number(each['high'], 3)})"
        said.append(text)
    if not said:
        return ""
    return f" Its speed-up over {best} is {' and '.join(said)}, with the 95 % interval in brackets."


def _best(results: Mapping[str, Any]) -> str | None:
    name = results.get("best_baseline")
    row = (results.get("baselines") or {}).get(name)
    if row is None or row.get("final") is None:
        return None
    return title_of(fit_text(name))
