"""The tables of a benchmark as a picture."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.names import fit_label
from .axes import colour_of, draw_frame, is_known, title_of
from .canvas import new_figure, save

_TITLES = {"untouched": "untouched", "tuned": "one scalar tuned"}
_LOWEST = 1e-2  # A speed-up below it is drawn at the edge.
_DASHES = ("-", "--", ":", "-.")
_KINDS = {
    "performance": ("ratios", "times the best one's evaluations"),
    "data": ("evaluations", "evaluations of the gradient"),
}


def plot_speedups(tables: dict[str, Any], path: str | Path) -> Path:
    """Draw the speed-ups over tuned Adam: a dot for each task, and the mean of the middle half.

    There is a row of panels for each table, with a panel for each horizon.

    Args:
        tables: By table, horizon and entrant, as `innerloop.benchmark.scores` gives them. An
            entrant without a mean has the dots alone.
        path: The PNG to write.

    Returns:
        The path.
    """
    heights = [0.8 + 0.34 * max(map(len, horizons.values())) for horizons in tables.values()]
    columns = max(map(len, tables.values()))
    figure = new_figure(2.0 + 4.0 * columns, 0.6 + sum(heights))
    panels = figure.subplots(
        len(tables), columns, squeeze=False, sharex=True, height_ratios=heights
    )
    for row, (table, horizons) in zip(panels, tables.items(), strict=True):
        for axes, (horizon, entrants) in zip(row, horizons.items(), strict=False):
            _draw_speedups(axes, entrants)
            axes.set_title(f"{_TITLES[table]}, {int(horizon):,} steps", fontsize=10)
    for axes in panels[-1]:
        axes.set_xlabel("speed-up in steps")
    return save(figure, path)


def _draw_speedups(axes: Any, entrants: dict[str, Any]) -> None:
    names = sorted(entrants, key=lambda name: _mean(entrants[name]) or 0.0)
    colours = _colours(entrants)
    for height, name in enumerate(names):
        values = [_value(row["speedup"]) for row in entrants[name]["tasks"].values()]
        shown = np.clip([each for each in values if each is not None], _LOWEST, None)
        colour = colours[name]
        axes.plot(shown, [height] * len(shown), "o", color=colour, alpha=0.35, markersize=4)
        mean = entrants[name].get("speedup", {}).get("steps")
        if mean is None or mean["value"] is None:
            continue
        axes.plot([max(mean["value"], _LOWEST)], [height], "D", color=colour, markersize=7)
        if mean["low"] is not None:
            ends = [max(mean[end], _LOWEST) for end in ("low", "high")]
            axes.plot(ends, [height] * 2, color=colour, linewidth=2)
    axes.axvline(1.0, color="#666666", linewidth=0.8, linestyle=(0, (2, 3)))
    axes.set_xscale("log")
    for put in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        put(_label)
    axes.tick_params(axis="x", which="both", labelbottom=True, labelsize=8)
    axes.set_yticks(range(len(names)), [fit_label(title_of(name)) for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    draw_frame(axes, grid="x")


def _label(value: float, place: int) -> str:
    """1, 2 and 5 of each decade."""
    leading = round(value / 10 ** np.floor(np.log10(value)), 6)
    return f"{value:g}" if leading in (1, 2, 5) else ""


def _colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each; the first of the rules has that of the learned rule."""
    rules = [name for name in names if not is_known(name)]
    first = {name: colour_of("learned") for name in rules[:1]}
    return {name: first.get(name) or colour_of(name, _place(name, rules)) for name in names}


def _place(name: str, rules: list[str]) -> int:
    return rules.index(name) - 1 if name in rules else 0


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
    columns = max(map(len, tables.values()))
    figure = new_figure(2.2 + 3.2 * columns, 5.4 * len(tables))
    panels = figure.subplots(2 * len(tables), columns, squeeze=False, sharey=True)
    rows = [(table, kind) for table in tables for kind in _KINDS]
    for row, (table, kind) in zip(panels, rows, strict=True):
        for axes, (tolerance, entrants) in zip(row, tables[table].items(), strict=False):
            _draw_profile(axes, entrants, kind)
            axes.set_title(f"{_TITLES[table]}, τ = {tolerance}", fontsize=10)
        row[0].set_ylabel("share of problems")
        if kind == "performance":
            row[-1].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return save(figure, path)


def _draw_profile(axes: Any, entrants: dict[str, Any], kind: str) -> None:
    of, label = _KINDS[kind]
    colours, drawn = _colours(entrants), []
    for name, found in entrants.items():
        colour = colours[name]
        # There are fewer colours than entrants: the next line of a colour has other dashes.
        dashes = _DASHES[(drawn.count(colour) or name.endswith("-cosine")) % len(_DASHES)]
        drawn.append(colour)
        style = {"color": colour, "linestyle": dashes, "linewidth": 1.4}
        named = fit_label(title_of(name))
        axes.step(found[kind][of], found[kind]["share"], where="post", label=named, **style)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(0, 1)
    axes.set_xlabel(label)
    draw_frame(axes, grid="both")
