"""Figures in the paper's layout: panels of loss curves side by side, or final losses."""

from pathlib import Path

import numpy as np

from ..comparison import Comparison
from ..comparison.plot import colour_of, plain_ticks, title_of
from ..folders import write_picture
from .figures import Figure


def draw_curves(figure: Figure, comparisons: list[Comparison], path: Path) -> Path:
    """Mean (or median) loss against step, a panel for each comparison; writes a PNG."""
    from matplotlib import pyplot

    pyplot.switch_backend("Agg")
    columns = min(4, len(comparisons))
    rows = -(-len(comparisons) // columns)
    inches = max(7.5, 1.2 + 3.7 * columns)
    drawn, grid = pyplot.subplots(
        rows,
        columns,
        figsize=(inches, 0.9 + 3.2 * rows),
        dpi=150,
        layout="constrained",
        squeeze=False,
    )
    handles = {}
    for axes, panel, comparison in zip(grid.flat, figure.panels, comparisons, strict=False):
        first, last = panel.window or (0, comparison.steps)
        shown = [
            *(
                # AdamW lies on Adam wherever its decay is too small to matter.
                (entrant, title_of(entrant.name), 1.4, "--" if entrant.name == "adamw" else "-")
                for entrant in comparison.baselines
            ),
            *((entrant, entrant.name, 1.8, "-.") for entrant in comparison.others),
            (comparison.learned, panel.rule, 2.4, "-"),
        ]
        if comparison.reference is not None:
            shown.insert(0, (comparison.reference, "L-BFGS (second-order)", 1.2, ":"))
        steps = np.arange(first, last + 1)
        lowest, highest = np.inf, 0.0
        for number, (entrant, label, width, dashes) in enumerate(shown):
            losses = entrant.losses[first : last + 1].astype(float)
            mean = np.median(losses, axis=1) if panel.median else np.mean(losses, axis=1)
            mean = np.where(np.isfinite(mean), mean, np.nan)
            (line,) = axes.plot(
                steps, mean, color=colour_of(entrant.name, number), lw=width, ls=dashes, label=label
            )
            handles.setdefault(label, line)
            if entrant is not comparison.reference:
                lowest = min(lowest, float(np.min(mean, initial=np.inf, where=np.isfinite(mean))))
            highest = max(highest, float(mean[min(len(mean) - 1, max(2, len(mean) // 50))]))
        axes.set_yscale("log")
        axes.set_ylim(max(lowest, 1e-9) / 1.15, highest * 1.3)
        plain_ticks(axes)
        axes.set_xlim(first, last)
        axes.set_title(f"{panel.title}, {'median' if panel.median else 'mean'}", fontsize=10)
        axes.set_xlabel("step")
        axes.grid(which="major", color="#dddddd", linewidth=0.6)
        axes.grid(which="minor", color="#eeeeee", linewidth=0.4)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid.flat[len(comparisons) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        axes.set_ylabel("loss")
    longest = max(len(label) for label in handles)
    drawn.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        # A character is some 0.065 inches wide, and a line and its gaps 0.6.
        ncols=min(len(handles), int(inches / (0.6 + 0.065 * longest))),
        frameon=False,
        fontsize=8,
    )
    drawn.suptitle(f"{figure.source}: learned rule and tuned baselines", fontsize=10)
    write_picture(drawn, path)
    pyplot.close(drawn)
    return path


def draw_summary(figure: Figure, comparisons: list[Comparison], path: Path) -> Path:
    """Every optimizer's final loss, with its interval, network by network; writes a PNG."""
    from matplotlib import pyplot

    pyplot.switch_backend("Agg")
    drawn, axes = pyplot.subplots(figsize=(8.5, 4.4), dpi=150, layout="constrained")
    first = comparisons[0]
    columns = [("learned", figure.panels[0].rule)]
    columns += [(entrant.name, entrant.name) for entrant in first.others]
    everywhere = set.intersection(*({b.name for b in each.baselines} for each in comparisons))
    columns += [(b.name, title_of(b.name)) for b in first.baselines if b.name in everywhere]
    for number, (name, label) in enumerate(columns):
        places, finals, intervals = [], [], []
        for place, comparison in enumerate(comparisons):
            everyone = [comparison.learned, *comparison.others, *comparison.baselines]
            entrant = next(each for each in everyone if each.name == name)
            summary = comparison.summary(entrant)
            places.append(place + 0.13 * (number - (len(columns) - 1) / 2))
            finals.append(summary["final"])
            intervals.append(summary["ci95"])
        axes.errorbar(
            places,
            finals,
            yerr=intervals,
            fmt="o",
            capsize=3,
            markersize=5,
            color=colour_of(name, number),
            label=label,
        )
    axes.set_yscale("log")
    plain_ticks(axes)
    axes.set_xticks(range(len(comparisons)), [panel.title for panel in figure.panels])
    axes.set_xlabel("hidden layers × sigmoid units in each")
    axes.set_ylabel(f"mean loss at step {first.horizon}")
    axes.set_title(f"{figure.source}: {first.problems} problems each, 95 % intervals", fontsize=10)
    axes.grid(which="both", axis="y", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    write_picture(drawn, path)
    pyplot.close(drawn)
    return path
