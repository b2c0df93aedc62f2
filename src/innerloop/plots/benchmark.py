"""The tables of a benchmark as a picture."""

from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.names import fit_label
from .axes import colour_of, draw_frame, title_of
from .canvas import new_figure, save

_TITLES = {"untouched": "untouched", "tuned": "one scalar tuned"}
_LOWEST = 1e-2  # A speed-up below it is drawn at the edge.


def plot_speedups(tables: dict[str, Any], path: str | Path) -> Path:
    """Draw the speed-ups over tuned Adam: a dot for each task, and the mean of the middle half.

    Args:
        tables: By table, horizon and entrant, as `innerloop.benchmark.scores` gives them. An
            entrant without a mean has the dots alone.
        path: The PNG to write.

    Returns:
        The path.
    """
    rows = max(len(entrants) for horizons in tables.values() for entrants in horizons.values())
    columns = [(table, horizon) for table, horizons in tables.items() for horizon in horizons]
    figure = new_figure(max(6.0, 4.2 * len(columns)), 1.4 + 0.42 * rows)
    panels = figure.subplots(1, len(columns), squeeze=False).flat
    for axes, (table, horizon) in zip(panels, columns, strict=True):
        _draw_speedups(axes, tables[table][horizon])
        axes.set_title(f"{_TITLES[table]}, {int(horizon):,} steps", fontsize=10)
    return save(figure, path)


def _draw_speedups(axes: Any, entrants: dict[str, Any]) -> None:
    names = sorted(entrants, key=lambda name: _mean(entrants[name]) or 0.0)
    for height, name in enumerate(names):
        values = [_value(row["speedup"]) for row in entrants[name]["tasks"].values()]
        shown = np.clip([each for each in values if each is not None], _LOWEST, None)
        colour = colour_of(name, height)
        axes.plot(shown, [height] * len(shown), "o", color=colour, alpha=0.35, markersize=4)
        mean = entrants[name].get("speedup", {}).get("steps")
        if mean is not None and mean["value"] is not None:
            value = max(mean["value"], _LOWEST)
            axes.plot([value], [height], "D", color=colour, markersize=7)
            if mean["low"] is not None:
                ends = [max(mean["low"], _LOWEST), max(mean["high"], _LOWEST)]
                axes.plot(ends, [height] * 2, color=colour, linewidth=2)
    axes.axvline(1.0, color="#666666", linewidth=0.8, linestyle=(0, (2, 3)))
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), [fit_label(title_of(name)) for name in names])
    axes.set_xlabel("speed-up in steps")
    draw_frame(axes, grid="x")


def _mean(entrant: dict[str, Any]) -> float | None:
    if "speedup" in entrant:
        return entrant["speedup"]["steps"]["value"]
    found = [each["speedup"] for each in entrant["tasks"].values() if each["speedup"] is not None]
    return float(np.median(found)) if found else None


def _value(speedup: Any) -> float | None:
    return speedup["steps"]["value"] if isinstance(speedup, dict) else speedup


def plot_profiles(tables: dict[str, Any], path: str | Path) -> Path:
    """Draw performance profiles, and data profiles beneath them, one column for each tolerance.

    Args:
        tables: By table, tolerance and entrant, as `innerloop.benchmark.profiling` gives them.
        path: The PNG to write.

    Returns:
        The path.
    """
    columns = [(table, each) for table, tolerances in tables.items() for each in tolerances]
    figure = new_figure(max(8.0, 3.2 * len(columns)), 6.0)
    panels = figure.subplots(2, len(columns), squeeze=False, sharey=True)
    for number, (table, tolerance) in enumerate(columns):
        found = tables[table][tolerance]
        for row, kind, axis in ((0, "performance", "ratios"), (1, "data", "evaluations")):
            axes = panels[row][number]
            for place, (name, each) in enumerate(found.items()):
                line = each[kind]
                dashes = "--" if name.endswith("-cosine") else "-"
                style = {"color": colour_of(name, place), "linestyle": dashes, "linewidth": 1.3}
                label = fit_label(title_of(name))
                axes.step(line[axis], line["share"], where="post", label=label, **style)
            axes.set_xscale("log")
            axes.set_ylim(0, 1)
            draw_frame(axes, grid="both")
        panels[0][number].set_title(f"{_TITLES[table]}, τ = {tolerance}", fontsize=10)
        panels[0][number].set_xlabel("times the best one's evaluations")
        panels[1][number].set_xlabel("evaluations of the gradient")
        panels[1][number].legend(fontsize=6, frameon=False)
    panels[0][0].set_ylabel("share of problems")
    panels[1][0].set_ylabel("share of problems")
    return save(figure, path)
