"""A comparison in the terminal."""

from typing import Any

from ..comparison import Comparison
from ..comparison.table import fitting
from ._common import say


def show_comparison(comparison: Comparison) -> None:
    """Print the table of a comparison, and what it says of the learned rule."""
    from rich.console import Console

    console = Console()
    drawn = fitting(comparison, console.width)
    # In a terminal that is narrower than the table lines wrap; columns are never left empty.
    needed = console.measure(drawn, options=console.options.update(max_width=200)).maximum
    console.width = max(console.width, needed)
    say("")
    console.print(drawn)
    say(f"{_outcome(comparison)}.")


def _outcome(comparison: Comparison) -> str:
    results, best = comparison.results(), comparison.best_baseline.name
    step, ratio = comparison.horizon, comparison.ratio
    rule = comparison.judged.replace("the learned", "The learned")
    if not comparison.has_best:
        return f"No baseline's mean loss at step {step} is finite: there is no best one"
    if ratio is None:
        learned = results["learned"]["final"]
        baseline = results["baselines"][best]["final"]
        said = (
            f"{rule}'s mean loss at step {step} is {_number(learned)}, that of the best "
            f"baseline, {best}, {_number(baseline)}"
        )
    else:
        said = (
            f"{rule}'s mean loss at step {step} is {ratio:.4g} times that of the best "
            f"baseline, {best}"
        )
    # The difference on the same problems, which their difficulty does not blur.
    paired = results["paired"]
    if paired["difference"] is None or paired["ci95"] is None:
        return said
    said = (
        f"{said}; on the same problems the difference is {paired['difference']:+.3g} ± "
        f"{paired['ci95']:.2g}, and below 0 {comparison.judged} is better"
    )
    steps = _speedup(comparison, results, "steps", best)
    fastest = results["speedup"].get("seconds", {}).get("baseline")
    seconds = _speedup(comparison, results, "seconds", fastest)
    return ". ".join(each for each in (said, steps, seconds, _reference(results)) if each)


def _reference(results: dict[str, Any]) -> str:
    """A sentence on L-BFGS; empty where it did not run."""
    found = results.get("reference")
    if found is None or found["verdict"]["steps"] is None:
        return ""
    against = {"ahead": "ahead of", "level": "level with", "behind": "behind"}
    return f"With as many gradients it is {against[found['verdict']['steps']]} L-BFGS"


def _speedup(
    comparison: Comparison, results: dict[str, Any], axis: str, baseline: str | None
) -> str:
    """A sentence on the speed-up and its verdict; empty where there is none."""
    verdict, found = results["verdict"].get(axis), results["speedup"].get(axis)
    if verdict is None or found is None:
        return ""
    return (
        f"In {axis} {comparison.judged} is {verdict}: its speed-up over {baseline} is "
        f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
    )


def _number(number: float | None) -> str:
    return "not finite" if number is None else f"{number:.4g}"
