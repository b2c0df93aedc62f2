"""Colours of optimizers, and axes of losses, alike in every picture."""

from typing import Any

import numpy as np

# Okabe and Ito's colours, which stay apart for colour-blind readers too.
_COLOURS = {
    "learned": "#D55E00",
    "sgd": "#999999",
    "nesterov": "#009E73",
    "rmsprop": "#CC79A7",
    "adam": "#0072B2",
    "adamw": "#56B4E9",
    "muon": "#7B3294",
    "lion": "#8C510A",
    "schedule-free-adamw": "#E6AB02",
    "adam-1e-3": "#0072B2",
    "prodigy": "#1B9E77",
    "dog": "#999999",
    "l-bfgs": "#000000",
    "scaled-l-bfgs": "#555555",
    "bfgs": "#A6761D",
}
_TITLES = {
    "sgd": "SGD",
    "nesterov": "Nesterov",
    "rmsprop": "RMSprop",
    "adam": "Adam",
    "adamw": "AdamW",
    "muon": "Muon",
    "lion": "Lion",
    "schedule-free-adamw": "Schedule-Free AdamW",
    "adam-1e-3": "Adam at 0.001",
    "prodigy": "Prodigy",
    "dog": "DoG",
    "l-bfgs": "L-BFGS",
    "scaled-l-bfgs": "Scaled L-BFGS",
    "bfgs": "BFGS",
}
_MORE = ("#7B3294", "#8C510A", "#E6AB02", "#1B9E77")  # For other learned rules.


def colour_of(name: str, number: int = 0) -> str:
    """The colour that an optimizer has in every figure; `number` chooses for another rule."""
    # With a schedule, an optimizer keeps its colour.
    return _COLOURS.get(name.removesuffix("-cosine")) or _MORE[number % len(_MORE)]


def is_known(name: str) -> bool:
    """Whether an optimizer has a colour of its own: baselines and L-BFGS have."""
    return name.removesuffix("-cosine") in _COLOURS


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


def scale_losses(axes: Any, losses: np.ndarray) -> None:
    """Choose the scale of an axis for `losses`, of any shape.

    It is logarithmic where all are positive, linear where one is negative, and linear below the
    smallest positive one and logarithmic above it where some are zero.
    """
    finite = losses[np.isfinite(losses)]
    if finite.size == 0 or finite.min() > 0:
        axes.set_yscale("log")
    elif finite.min() == 0 and finite.max() > 0:
        axes.set_yscale("symlog", linthresh=float(finite[finite > 0].min()))


def title_of(name: str) -> str:
    """An optimizer's name as it is written."""
    if name.endswith("-cosine"):
        return f"{title_of(name.removesuffix('-cosine'))}, cosine"
    return _TITLES.get(name, name)


def draw_frame(axes: Any, *, grid: str = "y") -> None:
    """Draw grid lines at the ticks of an axis ("y", or "both"), and no box around."""
    axes.grid(which="major", axis=grid, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
