"""A comparison as a picture: loss against step."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..comparison.comparison import Comparison, OptimizerRun
from ..runtime.names import fit_label
from .axes import colour_of, draw_frame, plain_ticks, scale_losses, title_of
from .canvas import new_figure, save


def plot_curves(comparison: Comparison, path: str | Path) -> Path:
    """Draw every optimizer's median loss, with the band that holds its middle half.

    The axis is logarithmic where all losses are positive. A program's own Matplotlib backend is
    left as it is.

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
    figure = new_figure(8, 4.8)
    axes = figure.subplots()
    shown = [_draw(axes, comparison, run, **style) for run, style in _styles(comparison)]
    _frame(axes, comparison, shown)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], frameon=False, fontsize=8, loc="upper right")
    return save(figure, path)


def _styles(comparison: Comparison) -> list[tuple[OptimizerRun, dict[str, Any]]]:
    """Every run with how it is drawn, the most important last."""
    runs: list[tuple[OptimizerRun, dict[str, Any]]] = []
    if comparison.reference is not None:
        second_order = {"name": "L-BFGS (second-order)", "linestyle": ":", "linewidth": 1.4}
        runs.append((comparison.reference, {**second_order, "band": 0.0}))
    for run in comparison.baselines:
        rate = f", rate {run.tuned.learning_rate:.2g}" if run.tuned else ""
        # AdamW lies on Adam wherever its decay is too small to matter.
        dashes = "--" if run.name == "adamw" else "-"
        style = {"name": f"{title_of(run.name)}{rate}", "linewidth": 1.5, "linestyle": dashes}
        runs.append((run, style))
    for number, run in enumerate(comparison.others):
        style = {"color": colour_of(run.name, number), "linewidth": 2.0, "linestyle": "-."}
        runs.append((run, {**style, "name": run.name, "band": 0.0}))
    learned = {"name": "learned", "linewidth": 2.6, "band": 0.2, "zorder": 5}
    return [*runs, (comparison.learned, learned)]


def _draw(
    axes: Any,
    comparison: Comparison,
    run: OptimizerRun,
    *,
    name: str,
    band: float = 0.1,
    **style: Any,
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Draw one run; returns the losses that the frame must show, and those at its floor."""
    losses = np.where(np.isfinite(run.losses), run.losses, np.inf)
    # Ranks, not interpolated percentiles: they stay right beside infinities.
    low, middle, high = np.percentile(losses, (25, 50, 75), axis=1, method="nearest")
    steps = np.arange(comparison.steps + 1)
    style = {"color": colour_of(run.name), **style}
    (line,) = axes.plot(steps, middle, label=fit_label(name), **style)
    if band:
        axes.fill_between(steps, low, high, color=line.get_color(), alpha=band, linewidth=0)
    if run is comparison.reference:
        # The reference's plunge is cut off so that the others fill the frame.
        return middle[:0], middle[:0]
    return middle, low if run is comparison.learned else middle


def _frame(axes: Any, comparison: Comparison, shown: list[tuple[Any, Any]]) -> None:
    horizon = comparison.horizon
    axes.axvline(horizon, color="#666666", linewidth=0.8, linestyle=(0, (2, 3)))
    beneath = axes.get_xaxis_transform()
    axes.text(
        horizon, 0.02, " horizon", transform=beneath, va="bottom", fontsize=8, color="#666666"
    )
    scale_losses(axes, np.concatenate([middle for middle, _ in shown]))
    if axes.get_yscale() == "log":
        floors = np.concatenate([floor for _, floor in shown])
        lowest = float(floors[floors > 0].min(initial=np.inf))
        if np.isfinite(lowest):
            axes.set_ylim(bottom=lowest / 1.2)
        plain_ticks(axes)
    axes.set_xlim(0, comparison.steps)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    what = f"median and middle half of {comparison.problems:,} unseen problems"
    axes.set_title(f"{fit_label(comparison.task)}: {what}", fontsize=10)
    draw_frame(axes, grid="both")
