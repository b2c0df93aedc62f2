"""A comparison as a table for the terminal."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from ..runtime.names import fit_text
from .comparison import Comparison, OptimizerRun
from .tuning import Tuned

if TYPE_CHECKING:
    from rich.table import Table


def table(comparison: Comparison, *, left_out: Collection[str] = ()) -> "Table":
    """A comparison as a table for `rich`: one row an optimizer, the best baseline marked.

    Args:
        comparison: The comparison. The numbers are those of `Comparison.summary`.
        left_out: Headers of columns that are not shown.
    """
    headers = _headers(comparison)
    drawn = _empty(comparison, [each for each in headers if each not in left_out])
    if left_out:
        drawn.caption = f"{drawn.caption}\nin results.json: {', '.join(left_out)}"
    best = comparison.best_baseline.name if comparison.has_best else None

    def add(run: OptimizerRun, label: str, style: str | None = None) -> None:
        cells = zip(headers, _cells(comparison, run, label), strict=False)
        drawn.add_row(*(cell for header, cell in cells if header not in left_out), style=style)

    add(comparison.learned, _plain(comparison.learned.name), "bold")
    for run in comparison.others:
        add(run, _plain(run.name))
    for run in comparison.baselines:
        add(run, _plain(run.name) + (" *" if run.name == best else ""))
    for name, tuned in comparison.left_out.items():
        left = f"{_show(tuned.validation)} (tuning)"
        drawn.add_row(_plain(name), _settings(tuned), left, style="dim")
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


def fitting(comparison: Comparison, width: int) -> "Table":
    """`table`, without the columns of the mean and of the state where the rest alone fits.

    Args:
        comparison: The comparison.
        width: Characters in a line. Where nothing fits, all columns are there.
    """
    from rich.console import Console

    console = Console(width=200)
    drawn = (table(comparison, left_out=each) for each in ((), ("mean",), ("mean", "state")))
    fit = (each for each in drawn if console.measure(each).maximum <= width)
    return next(fit, table(comparison))


def _headers(comparison: Comparison) -> list[str]:
    horizon = comparison.horizon
    names = ["optimizer", "rate", f"step {horizon}", "mean"]
    names += [f"step {2 * horizon}"] if _goes_on(comparison) else []
    names += ["held out"] if _has_held_out(comparison) else []
    return [*names, "a step", "state"] if comparison.learned.price is not None else names


def _empty(comparison: Comparison, headers: list[str]) -> "Table":
    from rich import box
    from rich.table import Table

    drawn = Table(
        pad_edge=False,
        collapse_padding=True,
        box=box.SIMPLE_HEAD,  # Without rules between columns all of them fit into 80.
        title=f"{_plain(comparison.task)}: mean loss over {comparison.problems:,} unseen problems",
        caption=_caption(comparison.horizon, headers),
    )
    for name in headers:
        drawn.add_column(name, justify="left" if name == headers[0] else "right", no_wrap=True)
    return drawn


def _caption(horizon: int, headers: list[str]) -> str:
    explained = {
        "rate": "rate: with the second setting that was tuned",
        "mean": f"mean: over steps 0–{horizon}",
        "a step": "a step: time on one problem, with its gradient",
        "state": "state: bytes for each parameter",
    }
    parts = [text for header, text in explained.items() if header in headers]
    pairs = ["; ".join(parts[at : at + 2]) for at in range(0, len(parts), 2)]
    return "\n".join(["* the best baseline; ± is the half-width of a 95 % interval", *pairs])


def _cells(comparison: Comparison, run: OptimizerRun, label: str) -> list[str]:
    numbers = comparison.summary(run)
    cells = [
        label,
        "–" if run.tuned is None else _settings(run.tuned),
        f"{_show(numbers['final'])} ± {_show(numbers['ci95'])}",
        _show(numbers["mean"]),
    ]
    cells += [_show(numbers["final_2x"])] if _goes_on(comparison) else []
    if _has_held_out(comparison):
        cells.append(_show(numbers["held_out"]) if "held_out" in numbers else "–")
    if run.price is not None:
        cells += [_time(run.price.seconds_per_step), f"{run.price.state_bytes_per_parameter:.0f}"]
    return cells


def _settings(tuned: Tuned) -> str:
    rate = f"{tuned.learning_rate:.3g}"
    if tuned.second is None:
        return rate
    return f"{rate}, {tuned.second:g}"


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
