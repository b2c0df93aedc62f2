"""What a rule is called in a comparison: learned, unless it has learned nothing."""

from collections.abc import Mapping
from typing import Any

from ..rules import BFGSRule, LBFGSRule, OptaxRule, Rule
from ..runtime.names import fit_text
from .baselines import BaselineRule

LEARNED = "learned"


def called(rule: Rule, run: Mapping[str, Any] | None = None) -> str:
    """ "learned", or the name of the optimizer that a rule is, where it has learned nothing.

    Args:
        rule: The rule.
        run: What its file says of the run that made it. A search says what it learned, and a
            training run has an estimator.
    """
    run = run or {}
    found = run.get("search")
    if isinstance(found, Mapping):
        tuned = found.get("learns") == "nothing"
        return fit_text(found.get("candidate"))[:40] if tuned else LEARNED
    return LEARNED if "estimator" in run else _of_class(rule)


def _of_class(rule: Rule) -> str:
    if isinstance(rule, BaselineRule):
        return rule.baseline.name
    if isinstance(rule, LBFGSRule):
        return "scaled-l-bfgs" if rule.power > 0 else "l-bfgs"
    if isinstance(rule, BFGSRule) and rule.inverse is None:
        return "bfgs"
    if isinstance(rule, OptaxRule):
        make = getattr(rule.make, "func", rule.make)
        return str(getattr(make, "__name__", LEARNED))
    return LEARNED
