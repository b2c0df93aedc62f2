"""A comparison as a table for the terminal."""

from typing import TYPE_CHECKING

from ..runtime.names import fit_text
from .baselines import BASELINES
from .comparison import Comparison, OptimizerRun
from .tuning import Tuned

if TYPE_CHECKING:
    from rich.table import Table


def table(comparison: Comparison) -> "Table":
    """A comparison as a table for `rich`: one row an optimizer, the best baseline marked.

    Args:
        comparison: The comparison. The numbers are those of `Comparison.summary`.
    """
    drawn = _empty(comparison)
    best = comparison.best_baseline.name if comparison.has_best else None

    def add(run: OptimizerRun, label: str, style: str | None = None) -> None:
        drawn.add_row(*_cells(comparison, run, label), style=style)

    add(comparison.learned, _plain(comparison.learned.name), "bold")
    for run in comparison.others:
        add(run, _plain(run.name))
    for run in comparison.baselines:
        add(run, _plain(run.name) + (" *" if run.name == best else ""))
    for name, tuned in comparison.left_out.items():
        left = f"{_show(tuned.validation)} (tuning)"
        drawn.add_row(_plain(name), _settings(tuned, name), left, style="dim")
    if comparison.left_out:
        drawn.caption = f"{drawn.caption}\ndim: worse on the validation problems, and left there"
    if comparison.reference is not None:
        drawn.add_section()
        add(comparison.reference, "l-bfgs (reference)", "dim")
        drawn.caption = (
            f"{drawn.caption}\nl-bfgs is second-order, with a line search; "
            "its steps are evaluations of the gradient"
        )
    return drawn


def _empty(comparison: Comparison) -> "Table":
    from rich import box
    from rich.table import Table

    horizon = comparison.horizon
    drawn = Table(
        pad_edge=False,
        collapse_padding=True,
        box=box.SIMPLE_HEAD,  # Without rules between columns all of them fit into 80.
        title=f"{_plain(comparison.task)}: mean loss over {comparison.problems:,} unseen problems",
        caption="* the best baseline; ± is the half-width of a 95 % interval",
    )
    drawn.add_column("optimizer", no_wrap=True)
    names = ["rate", f"step {horizon}", f"mean 0–{horizon}"]
    names += [f"step {2 * horizon}"] if _goes_on(comparison) else []
    names += ["held out"] if _has_held_out(comparison) else []
    if comparison.learned.price is not None:
        names += ["a step", "state"]
        drawn.caption = (
            f"{drawn.caption}\na step: its time on one problem, gradient included; "
            "state: bytes for each parameter"
        )
    for name in names:
        drawn.add_column(name, justify="right", no_wrap=True)
    return drawn


def _cells(comparison: Comparison, run: OptimizerRun, label: str) -> list[str]:
    numbers = comparison.summary(run)
    cells = [
        label,
        "–" if run.tuned is None else _settings(run.tuned, run.name),
        f"{_show(numbers['final'])} ± {_show(numbers['ci95'])}",
        _show(numbers["mean"]),
    ]
    cells += [_show(numbers["final_2x"])] if _goes_on(comparison) else []
    if _has_held_out(comparison):
        cells.append(_show(numbers["held_out"]) if "held_out" in numbers else "–")
    if run.price is not None:
        cells += [_time(run.price.seconds_per_step), f"{run.price.state_bytes_per_parameter:.0f}"]
    return cells


def _settings(tuned: Tuned, name: str) -> str:
    rate = f"{tuned.learning_rate:.3g}"
    if tuned.second is None:
        return rate
    return f"{rate}, {BASELINES[name].second} {tuned.second:g}"


def _time(seconds: float) -> str:
    return f"{1e6 * seconds:.3g} µs" if seconds < 1e-3 else f"{1e3 * seconds:.3g} ms"


def _goes_on(comparison: Comparison) -> bool:
    return comparison.steps >= 2 * comparison.horizon


def _has_held_out(comparison: Comparison) -> bool:
    return comparison.learned.held_out is not None


def _show(number: float) -> str:
    return f"{number:.3g}"


def _plain(name: str) -> str:
    """A name that is no markup and no escape sequence."""
    from rich.markup import escape

    return escape(fit_text(name))
