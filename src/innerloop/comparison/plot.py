"""A comparison as a picture: log loss against step."""

from pathlib import Path
from typing import Any

import numpy as np

from ..folders import write_picture
from .comparison import Comparison, Entrant

# Okabe and Ito's colours, which stay apart for colour-blind readers too.
_COLOURS = {
    "learned": "#D55E00",
    "sgd": "#999999",
    "nesterov": "#009E73",
    "rmsprop": "#CC79A7",
    "adam": "#0072B2",
    "adamw": "#56B4E9",
    "l-bfgs": "#000000",
}
_MORE = ("#7B3294", "#8C510A", "#E6AB02", "#1B9E77")  # For other learned rules.


def colour_of(name: str, number: int = 0) -> str:
    """The colour that an optimizer has in every figure; `number` chooses for another rule."""
    return _COLOURS.get(name) or _MORE[number % len(_MORE)]


def plain_ticks(axes: Any) -> None:
    """Write 1.4 and 2, not 1.4 × 10⁰, on a log axis that spans hardly more than a decade.

    There are grid lines at the ticks between powers of ten then, as there may be no others. To
    be called when the axis has its limits.
    """
    low, high = axes.get_ylim()
    if high > 30 * low:
        return

    def label(value: float, place: int) -> str:
        # Over more than a few times as much, 7, 8 and 9 would run into each other.
        leading = round(value / 10 ** np.floor(np.log10(value)), 6)
        return f"{value:g}" if high < 4 * low or leading in (1, 2, 3, 4, 6) else ""

    for put in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        put(label)
    axes.grid(which="minor", axis="y", color="#dddddd", linewidth=0.6)


def plot_curves(comparison: Comparison, path: str | Path) -> Path:
    """Draw every optimizer's median loss with the band that holds its middle half.

    Writes a PNG to `path` and returns it.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    path = Path(path)
    horizon = comparison.horizon
    steps = np.arange(comparison.steps + 1)
    figure, axes = pyplot.subplots(figsize=(8, 4.8), dpi=150, layout="constrained")
    lowest = np.inf

    def draw(entrant: Entrant, label: str, **style: object) -> None:
        nonlocal lowest
        losses = np.where(np.isfinite(entrant.losses), entrant.losses, np.inf)
        # Ranks, not interpolated percentiles: they stay right beside infinities.
        low, middle, high = np.percentile(losses, (25, 50, 75), axis=1, method="nearest")
        colour = style.pop("color", _COLOURS.get(entrant.name))
        band = style.pop("band", 0.1)
        (line,) = axes.plot(steps, middle, label=label, color=colour, **style)  # pyright: ignore[reportArgumentType]
        if band:
            axes.fill_between(steps, low, high, color=line.get_color(), alpha=band, linewidth=0)
        if entrant is not comparison.reference:
            # The learned band and the others' medians set the frame.
            floor = low if entrant is comparison.learned else middle
            lowest = min(lowest, float(floor[floor > 0].min(initial=np.inf)))

    if comparison.reference is not None:
        draw(comparison.reference, "L-BFGS (second-order)", linestyle=":", linewidth=1.4, band=0)
    for entrant in comparison.baselines:
        rate = f", rate {entrant.tuned.learning_rate:.2g}" if entrant.tuned else ""
        style = "--" if entrant.name == "adamw" else "-"
        draw(entrant, f"{title_of(entrant.name)}{rate}", linewidth=1.5, linestyle=style)
    for number, entrant in enumerate(comparison.others):
        colour = colour_of(entrant.name, number)
        draw(entrant, entrant.name, linewidth=2.0, color=colour, band=0, linestyle="-.")
    draw(comparison.learned, "learned", linewidth=2.6, band=0.2, zorder=5)
    axes.axvline(horizon, color="#666666", linewidth=0.8, linestyle=(0, (2, 3)))
    axes.text(
        horizon, 0.02, " horizon", transform=axes.get_xaxis_transform(),
        va="bottom", fontsize=8, color="#666666",
    )  # fmt: skip
    axes.set_yscale("log")
    if np.isfinite(lowest):
        # The reference's plunge is cut off so that the competitors fill the frame.
        axes.set_ylim(bottom=lowest / 1.2)
    plain_ticks(axes)
    axes.set_xlim(0, comparison.steps)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_title(
        f"{comparison.task}: median and middle half of {comparison.problems:,} unseen problems",
        fontsize=10,
    )
    axes.grid(which="major", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], frameon=False, fontsize=8, loc="upper right")
    write_picture(figure, path)
    pyplot.close(figure)
    return path


def title_of(name: str) -> str:
    """A baseline's name as it is written."""
    return {
        "sgd": "SGD",
        "nesterov": "Nesterov",
        "rmsprop": "RMSprop",
        "adam": "Adam",
        "adamw": "AdamW",
    }.get(name, name)
