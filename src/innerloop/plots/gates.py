"""The gates of a Meta-Learner LSTM as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..runtime.names import fit_label
from .canvas import new_figure, save

# Okabe and Ito's colours, which stay apart for colour-blind readers too.
_COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#CC79A7", "#D55E00")
_MARKERS = "osv^D"


Layers = Mapping[str, Float[np.ndarray, "3 steps"]]
"""Layer → the 10 % quantile, the median and the 90 % quantile of its gates after each step."""


def draw_gates(forget: Layers, entering: Layers, path: str | Path, *, title: str) -> Path:
    """Draw the forget gates beside the input gates, by layer over the inner steps.

    As Figures 2 and 3 of Ravi & Larochelle (2017) do: the median as a line, and the band that
    holds the middle 80 %; input gates on a logarithmic axis where they are far apart.

    Args:
        forget: Forget gates by layer, in the order that images pass them.
        entering: Input gates likewise.
        path: The PNG to write.
        title: Stands above.

    Returns:
        The path.
    """
    figure = gates_figure(forget, entering, title=title)
    return save(figure, path)


def gates_figure(forget: Layers, entering: Layers, *, title: str) -> Any:
    """The picture of `draw_gates` as a matplotlib figure."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(9.6, 4.4)
    left, right = figure.subplots(1, 2)
    for axes, layers in ((left, forget), (right, entering)):
        for number, (layer, (low, middle, high)) in enumerate(layers.items()):
            steps = np.arange(1, len(middle) + 1)
            colour = _COLOURS[number % len(_COLOURS)]
            marker = _MARKERS[number % len(_MARKERS)]
            axes.fill_between(steps, low, high, color=colour, alpha=0.13, linewidth=0)
            # Thinner and thinner, so that lines that lie upon one another are all seen.
            style = {"lw": max(1.2, 4.4 - 0.8 * number), "marker": marker, "ms": 8 - number}
            axes.plot(
                steps,
                middle,
                color=colour,
                label=fit_label(layer.replace("block", "block ")),
                **style,
            )
        axes.set_xlabel("inner step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e5e5e5", lw=0.6)
    left.set_title("forget gates f (1 keeps a parameter as it is)", fontsize=10)
    left.set_ylabel("forget gate")
    left.ticklabel_format(axis="y", useOffset=False)
    right.set_title("input gates i (the learning rate)", fontsize=10)
    right.set_ylabel("input gate")
    if _far_apart(entering):
        right.set_yscale("log")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.suptitle(fit_label(title), fontsize=11)
    return figure


def _far_apart(layers: Layers) -> bool:
    """Whether lines would lie flat on a linear axis."""
    lowest = min(float(values.min()) for values in layers.values())
    highest = max(float(values.max()) for values in layers.values())
    return 0 < 20 * lowest < highest
