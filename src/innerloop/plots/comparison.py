"""A comparison as a picture: loss against step, and against seconds."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..comparison.comparison import Comparison, OptimizerRun
from ..runtime.names import fit_label
from .axes import colour_of, draw_frame, plain_ticks, scale_losses, title_of
from .canvas import new_figure, save

_BANDS = 5  # More baselines than these would hide each other's bands.


def plot_curves(comparison: Comparison, path: str | Path) -> Path:
    """Draw every optimizer's median loss, with the band that holds its middle half.

    One panel has the steps, and a second one the seconds, where steps were timed: its losses are
    those of the first, each at its step times the optimizer's seconds per step. The axis is
    logarithmic where all losses are positive. A program's own Matplotlib backend is left as it is.

    Args:
        comparison: What `compare` returned.
        path: The PNG to write.

    Returns:
        The path.

    Example:
        >>> import tempfile
        >>> import innerloop
        >>> import numpy as np
        >>> from innerloop.comparison import OptimizerRun
        >>> losses = np.asarray([[8.0, 8.0], [1.0, 3.0]], np.float32)
        >>> comparison = innerloop.Comparison(
        ...     task="bowl",
        ...     horizon=1,
        ...     learned=OptimizerRun("learned", losses),
        ...     baselines=[OptimizerRun("sgd", 2 * losses)],
        ...     reference=None,
        ...     seed=0,
        ...     seconds=0.0,
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     innerloop.plot_curves(comparison, folder + "/curves.png").name
        'curves.png'
    """
    timed = _is_timed(comparison)
    figure = new_figure(13 if timed else 8, 5.2)
    left, *right = figure.subplots(1, 1 + timed, squeeze=False, sharey=True).flat
    shown = [_draw(left, comparison, run, **style) for run, style in _styles(comparison)]
    _frame(left, comparison, shown)
    left.set_xlabel("step")
    left.set_ylabel("loss")
    left.set_xlim(0, comparison.steps)
    _mark(left, float(comparison.horizon), " horizon")
    for axes in right:
        _draw_seconds(axes, comparison)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(
        handles[::-1], labels[::-1], frameon=False, fontsize=8, loc="outside right center"
    )
    what = f"median and middle half of {comparison.problems:,} unseen problems"
    figure.suptitle(f"{fit_label(comparison.task)}: {what}", fontsize=10)
    return save(figure, path)


def _is_timed(comparison: Comparison) -> bool:
    return all(run.price is not None for run in (comparison.learned, *comparison.baselines))


def _draw_seconds(axes: Any, comparison: Comparison) -> None:
    """The losses against the seconds of each optimizer, as far as the fastest two runs go."""
    learned: Any = comparison.learned.price
    best: Any = comparison.best_baseline.price
    for run, style in _styles(comparison):
        if run.price is not None:
            _draw(axes, comparison, run, seconds=run.price.seconds_per_step, **style)
    seconds = max(learned.seconds_per_step, best.seconds_per_step)
    draw_frame(axes, grid="both")
    axes.tick_params(labelleft=False)
    axes.set_xlim(0, comparison.steps * seconds)
    axes.set_xlabel("seconds of one problem, gradients included")
    # One above the other, since the two may be close.
    judged, best = comparison.learned, comparison.best_baseline
    for run, name, height in ((judged, f" {judged.name}", 0.02), (best, " best", 0.07)):
        price: Any = run.price
        place = comparison.horizon * price.seconds_per_step
        _mark(axes, place, f"{name}, horizon", height)


def _mark(axes: Any, place: float, text: str, height: float = 0.02) -> None:
    axes.axvline(place, color="#666666", linewidth=0.8, linestyle=(0, (2, 3)))
    beneath = axes.get_xaxis_transform()
    axes.text(place, height, text, transform=beneath, va="bottom", fontsize=8, color="#666666")


def _styles(comparison: Comparison) -> list[tuple[OptimizerRun, dict[str, Any]]]:
    """Every run with how it is drawn, the most important last."""
    runs: list[tuple[OptimizerRun, dict[str, Any]]] = []
    if comparison.reference is not None:
        second_order = {"name": "L-BFGS (second-order)", "linestyle": ":", "linewidth": 1.4}
        runs.append((comparison.reference, {**second_order, "band": 0.0}))
    many = len(comparison.baselines) > _BANDS
    for run in comparison.baselines:
        rate = f", rate {run.tuned.learning_rate:.2g}" if run.tuned else ""
        # AdamW lies on Adam wherever its decay is too small to matter.
        dashes = ":" if run.name == "adamw" else "--" if run.name.endswith("-cosine") else "-"
        style = {"name": f"{title_of(run.name)}{rate}", "linewidth": 1.5, "linestyle": dashes}
        plain = many and run is not comparison.best_baseline
        runs.append((run, {**style, "band": 0.0} if plain else style))
    for number, run in enumerate(comparison.others):
        style = {"color": colour_of(run.name, number), "linewidth": 2.0, "linestyle": "-."}
        runs.append((run, {**style, "name": run.name, "band": 0.0}))
    name = title_of(comparison.learned.name)
    bold = {"linewidth": 2.6, "band": 0.2, "zorder": 5}
    learned = {**bold, "name": name, "color": colour_of("learned")}
    return [*runs, (comparison.learned, learned)]


def _draw(
    axes: Any,
    comparison: Comparison,
    run: OptimizerRun,
    *,
    name: str,
    band: float = 0.1,
    seconds: float = 1.0,
    **style: Any,
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Draw one run; returns the losses that the frame must show, and those at its floor.

    `seconds` are those of a step; 1 for the axis of steps.
    """
    losses = np.where(np.isfinite(run.losses), run.losses, np.inf)
    # Ranks, not interpolated percentiles: they stay right beside infinities.
    low, middle, high = np.percentile(losses, (25, 50, 75), axis=1, method="nearest")
    steps = seconds * np.arange(comparison.steps + 1)
    style = {"color": colour_of(run.name), **style}
    (line,) = axes.plot(steps, middle, label=fit_label(name), **style)
    if band:
        axes.fill_between(steps, low, high, color=line.get_color(), alpha=band, linewidth=0)
    if run is comparison.reference:
        # The reference's plunge is cut off so that the others fill the frame.
        return middle[:0], middle[:0]
    return middle, low if run is comparison.learned else middle


def _frame(axes: Any, comparison: Comparison, shown: list[tuple[Any, Any]]) -> None:
    scale_losses(axes, np.concatenate([middle for middle, _ in shown]))
    if axes.get_yscale() == "log":
        floors = np.concatenate([floor for _, floor in shown])
        lowest = float(floors[floors > 0].min(initial=np.inf))
        if np.isfinite(lowest):
            axes.set_ylim(bottom=lowest / 1.2)
        plain_ticks(axes)
    draw_frame(axes, grid="both")
