"""What a comparison says, in a sentence."""

from collections.abc import Mapping
from typing import Any

from ..plots.axes import title_of
from ..runtime.names import fit_text
from .about import number

_ORDER = ("behind", "level", "ahead")
_SAID = {"ahead": "is ahead of", "level": "is level with", "behind": "is behind"}


def verdict_of(results: Mapping[str, Any]) -> dict[str, str]:
    """The outcome of a comparison and a sentence that gives its reasons.

    Args:
        results: What results.json holds of one comparison.

    Returns:
        `text`, and where the numbers give one `outcome` ("ahead", "level" or "behind": the worse
        of those in steps and in seconds) and `label`, which says both where they differ.
    """
    best = _best(results)
    if best is None:
        return {"text": "No baseline has a finite loss at the horizon, so there is none to beat."}
    verdicts = results.get("verdict") or {}
    steps, seconds = verdicts.get("steps"), verdicts.get("seconds")
    if steps not in _ORDER:
        return {"text": f"No verdict: a loss of the rule or of {best} is not finite."}
    text = f"In steps {judged(results)} {_SAID[steps]} the best tuned baseline, {best}"
    text += f"{_speedup(results, 'steps')}."
    if seconds not in _ORDER:
        return {"outcome": steps, "label": steps, "text": text}
    fastest = results["speedup"]["seconds"].get("baseline")
    rival = title_of(fit_text(fastest)) if fastest else best
    text += f" In seconds it {_SAID[seconds]} {rival}"
    text += f"{_speedup(results, 'seconds')}."
    both = f"{steps} in steps, {seconds} in seconds"
    return {
        "outcome": min(steps, seconds, key=_ORDER.index),
        "label": steps if steps == seconds else both,
        "text": text,
    }


def judged(results: Mapping[str, Any]) -> str:
    """What sentences call the rule that is judged: the learned rule, or an optimizer by its name.

    Args:
        results: What results.json holds of one comparison.
    """
    name = results["learned"].get("name")
    return title_of(fit_text(name)) if name else "the learned rule"


def _speedup(results: Mapping[str, Any], unit: str) -> str:
    """A clause with the speed-up and its interval."""
    found = (results.get("speedup") or {}).get(unit) or {}
    if found.get("value") is None:
        return ""
    text = f", with a speed-up of {number(found['value'], 3)}"
    if found.get("low") is not None and found.get("high") is not None:
        text += f" ({number(found['low'], 3)} to {number(found['high'], 3)})"
    return text


def _best(results: Mapping[str, Any]) -> str | None:
    name = results.get("best_baseline")
    row = (results.get("baselines") or {}).get(name)
    if row is None or row.get("final") is None:
        return None
    return title_of(fit_text(name))
