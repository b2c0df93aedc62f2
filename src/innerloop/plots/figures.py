"""Figures in the paper's layout: panels of loss curves side by side, or final losses."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..comparison import Comparison
from ..runtime.names import fit_label
from .axes import colour_of, plain_ticks, scale_losses, title_of
from .canvas import new_figure, save


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes."""

    comparison: Comparison
    title: str
    rule: str
    """What the learned rule is called."""
    window: tuple[int, int] | None = None
    """The steps to draw, first and last; None for all."""
    median: bool = False
    """Draw the problems' median loss, not their mean."""


def draw_curves(panels: Sequence[Panel], path: str | Path, *, source: str) -> Path:
    """Draw mean or median losses against steps, four panels a row.

    Args:
        panels: One or more.
        path: The PNG to write.
        source: The paper that the figure is of.

    Returns:
        The path.
    """
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    inches = max(7.5, 1.2 + 3.7 * columns)
    figure = new_figure(inches, 0.9 + 3.2 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    handles: dict[str, Any] = {}
    for axes, panel in zip(grid.flat, panels, strict=False):
        for name, line in _draw_panel(axes, panel).items():
            handles.setdefault(name, line)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        axes.set_ylabel("loss")
    longest = max(len(name) for name in handles)
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        # A character is some 0.065 inches wide, and a line and its gaps 0.6.
        ncols=max(1, min(len(handles), int(inches / (0.6 + 0.065 * longest)))),
        frameon=False,
        fontsize=8,
    )
    figure.suptitle(f"{fit_label(source)}: learned rule and tuned baselines", fontsize=10)
    return save(figure, path)


def _draw_panel(axes: Any, panel: Panel) -> dict[str, Any]:
    """Draw the curves of one panel; returns its lines by label."""
    comparison = panel.comparison
    first, last = panel.window or (0, comparison.steps)
    lines: dict[str, Any] = {}
    shown, lowest, highest = [np.zeros(0)], np.inf, 0.0
    for number, (run, name, width, dashes) in enumerate(_runs(panel)):
        losses = run.losses[first : last + 1].astype(float)
        mean = np.median(losses, axis=1) if panel.median else np.mean(losses, axis=1)
        mean = np.where(np.isfinite(mean), mean, np.nan)
        (lines[fit_label(name)],) = axes.plot(
            np.arange(first, last + 1), mean,
            color=colour_of(run.name, number), lw=width, ls=dashes, label=fit_label(name),
        )  # fmt: skip
        if run is not comparison.reference:
            shown.append(mean)
            lowest = min(lowest, float(np.min(mean, initial=np.inf, where=np.isfinite(mean))))
        highest = max(highest, float(mean[min(len(mean) - 1, max(2, len(mean) // 50))]))
    scale_losses(axes, np.concatenate(shown))
    if axes.get_yscale() == "log":
        axes.set_ylim(max(lowest, 1e-9) / 1.15, highest * 1.3)
        plain_ticks(axes)
    axes.set_xlim(first, last)
    which = "median" if panel.median else "mean"
    axes.set_title(f"{fit_label(panel.title)}, {which}", fontsize=10)
    axes.set_xlabel("step")
    axes.grid(which="major", color="#dddddd", linewidth=0.6)
    axes.grid(which="minor", color="#eeeeee", linewidth=0.4)
    axes.spines[["top", "right"]].set_visible(False)
    return lines


def _runs(panel: Panel) -> list[tuple[Any, str, float, str]]:
    """(run, name, width and dashes of its line) for every optimizer, the learned one last."""
    comparison = panel.comparison
    runs: list[tuple[Any, str, float, str]] = []
    if comparison.reference is not None:
        runs.append((comparison.reference, "L-BFGS (second-order)", 1.2, ":"))
    # AdamW lies on Adam wherever its decay is too small to matter.
    runs += [
        (run, title_of(run.name), 1.4, "--" if run.name == "adamw" else "-")
        for run in comparison.baselines
    ]
    runs += [(run, run.name, 1.8, "-.") for run in comparison.others]
    return [*runs, (comparison.learned, panel.rule, 2.4, "-")]


def draw_summary(panels: Sequence[Panel], path: str | Path, *, source: str) -> Path:
    """Draw every optimizer's final loss, with its 95 % interval, panel by panel.

    Args:
        panels: One or more, with the same learned rules.
        path: The PNG to write.
        source: The paper that the figure is of.

    Returns:
        The path.
    """
    comparisons = [panel.comparison for panel in panels]
    figure = new_figure(8.5, 4.4)
    axes = figure.subplots()
    columns = _columns(panels)
    finals = [np.zeros(0)]
    for number, (name, called) in enumerate(columns):
        runs = [_run(comparison, name) for comparison in comparisons]
        summaries = [each.summary(run) for each, run in zip(comparisons, runs, strict=True)]
        offset = 0.13 * (number - (len(columns) - 1) / 2)
        finals.append(np.asarray([summary["final"] for summary in summaries], float))
        axes.errorbar(
            [place + offset for place in range(len(panels))],
            [summary["final"] for summary in summaries],
            yerr=[summary["ci95"] for summary in summaries],
            fmt="o", capsize=3, markersize=5, color=colour_of(name, number),
            label=fit_label(called),
        )  # fmt: skip
    first = comparisons[0]
    scale_losses(axes, np.concatenate(finals))
    if axes.get_yscale() == "log":
        plain_ticks(axes)
    axes.set_xticks(range(len(panels)), [fit_label(panel.title) for panel in panels])
    axes.set_xlabel("hidden layers × sigmoid units in each")
    axes.set_ylabel(f"mean loss at step {first.horizon}")
    what = f"{first.problems} problems each, 95 % intervals"
    axes.set_title(f"{fit_label(source)}: {what}", fontsize=10)
    axes.grid(which="both", axis="y", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return save(figure, path)


def _columns(panels: Sequence[Panel]) -> list[tuple[str, str]]:
    """(name, what it is called) of every optimizer that all panels have."""
    first = panels[0].comparison
    everywhere = set.intersection(
        *({run.name for run in panel.comparison.baselines} for panel in panels)
    )
    return [
        ("learned", panels[0].rule),
        *((run.name, run.name) for run in first.others),
        *((run.name, title_of(run.name)) for run in first.baselines if run.name in everywhere),
    ]


def _run(comparison: Comparison, name: str) -> Any:
    everyone = [comparison.learned, *comparison.others, *comparison.baselines]
    return next(run for run in everyone if run.name == name)
