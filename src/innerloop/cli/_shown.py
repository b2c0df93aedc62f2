"""A comparison in the terminal."""

from ..comparison import Comparison, table
from ._common import say


def show_comparison(comparison: Comparison) -> None:
    """Print the table of a comparison, and what it says of the learned rule."""
    from rich.console import Console

    drawn, console = table(comparison), Console()
    # In a terminal that is narrower than the table lines wrap; columns are never left empty.
    needed = console.measure(drawn, options=console.options.update(max_width=200)).minimum
    console.width = max(console.width, needed)
    say("")
    console.print(drawn)
    say(f"{_outcome(comparison)}.")


def _outcome(comparison: Comparison) -> str:
    results, best = comparison.results(), comparison.best_baseline.name
    step, ratio = comparison.horizon, comparison.ratio
    if not comparison.has_best:
        return f"No baseline's mean loss at step {step} is finite: there is no best one"
    if ratio is None:
        learned = results["learned"]["final"]
        baseline = results["baselines"][best]["final"]
        said = (
            f"The learned rule's mean loss at step {step} is {_number(learned)}, that of the best "
            f"baseline, {best}, {_number(baseline)}"
        )
    else:
        said = (
            f"The learned rule's mean loss at step {step} is {ratio:.4g} times that of the best "
            f"baseline, {best}"
        )
    # The difference on the same problems, which their difficulty does not blur.
    paired = results["paired"]
    if paired["difference"] is None or paired["ci95"] is None:
        return said
    said = (
        f"{said}; on the same problems the difference is {paired['difference']:+.3g} ± "
        f"{paired['ci95']:.2g}, and below 0 the learned rule is better"
    )
    steps, verdict = results["speedup"]["steps"], results["verdict"]["steps"]
    if verdict is None:
        return said
    return (
        f"{said}. Speed-up over it, in steps: {steps['value']:.2f} "
        f"({steps['low']:.2f} to {steps['high']:.2f}): {verdict}"
    )


def _number(number: float | None) -> str:
    return "not finite" if number is None else f"{number:.4g}"
