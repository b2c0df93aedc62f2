"""A comparison as a table for the terminal."""

from typing import TYPE_CHECKING

from .comparison import Comparison, Entrant

if TYPE_CHECKING:
    from rich.table import Table


def table(comparison: Comparison) -> "Table":
    """One row an optimizer: the numbers of `Comparison.results`, best baseline marked."""
    from rich.table import Table

    horizon = comparison.horizon
    held_out = comparison.learned.held_out is not None
    drawn = Table(
        title=f"{comparison.task}: mean loss over {comparison.problems:,} unseen problems",
        caption="* the best baseline; ± is the half-width of a 95 % interval",
    )
    drawn.add_column("optimizer", no_wrap=True)
    drawn.add_column("rate", justify="right")
    drawn.add_column(f"step {horizon}", justify="right", no_wrap=True)
    drawn.add_column(f"mean 0–{horizon}", justify="right")
    beyond = comparison.steps >= 2 * horizon
    if beyond:
        drawn.add_column(f"step {2 * horizon}", justify="right")
    if held_out:
        drawn.add_column(f"held out {horizon}", justify="right")

    def add(entrant: Entrant, label: str, style: str | None = None) -> None:
        numbers = comparison.summary(entrant)
        cells = [
            label,
            "–" if entrant.tuned is None else f"{entrant.tuned.learning_rate:.3g}",
            f"{_show(numbers['final'])} ± {_show(numbers['ci95'])}",
            _show(numbers["mean"]),
        ]
        if beyond:
            cells.append(_show(numbers["final_2x"]))
        if held_out:
            cells.append(_show(numbers["held_out"]) if "held_out" in numbers else "–")
        drawn.add_row(*cells, style=style)

    add(comparison.learned, "learned", "bold")
    for entrant in comparison.others:
        add(entrant, entrant.name)
    best = comparison.best_baseline.name if comparison.has_best else None
    for entrant in comparison.baselines:
        add(entrant, entrant.name + (" *" if entrant.name == best else ""))
    for name, tuned in comparison.left_out.items():
        left = f"{_show(tuned.validation)} (tuning)"
        cells = [name, f"{tuned.learning_rate:.3g}", left]
        drawn.add_row(*cells, style="dim")
    if comparison.left_out:
        drawn.caption = f"{drawn.caption}\ndim: worse on the validation problems, and left there"
    if comparison.reference is not None:
        drawn.add_section()
        add(comparison.reference, "l-bfgs (reference)", "dim")
        drawn.caption = (
            f"{drawn.caption}\nl-bfgs is second-order, with a line search: "
            f"{comparison.reference.evaluations:,.0f} evaluations of f by step {horizon}"
        )
    return drawn


def _show(number: float) -> str:
    return f"{number:.3g}"
