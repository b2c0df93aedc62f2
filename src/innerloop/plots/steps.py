"""Steps of a rule as a picture: what it proposes, beside SGD and Adam."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..runtime.names import fit_label
from .canvas import new_figure, save

_FEW = 3  # Coordinates that are drawn.
_COLOURS = {"learned": "#D55E00", "SGD": "#999999", "Adam": "#0072B2"}


def draw_steps(
    gradients: Float[np.ndarray, "time coordinates"],
    steps: Mapping[str, Float[np.ndarray, "time coordinates"]],
    losses: Float[np.ndarray, " time"],
    path: str | Path,
    *,
    title: str,
    notes: Mapping[str, str] | None = None,
) -> Path:
    """Draw a few coordinates' gradients and steps, and the size of steps over time.

    The coordinates are those of the largest, a middling and a small gradient.

    Args:
        gradients: The gradients that were seen.
        steps: By optimizer ("learned", "SGD", "Adam"), the steps proposed on them.
        losses: The losses on the way.
        path: The PNG to write.
        title: Stands above.
        notes: By optimizer, what the legend says beside its name.

    Returns:
        The path.
    """
    chosen = choose_coordinates(gradients)
    columns = len(chosen) + 1
    figure = new_figure(3.4 * columns, 5.4)
    grid = figure.subplots(2, columns, squeeze=False, sharex=True)
    time = np.arange(1, len(losses) + 1)
    called = {name: fit_label(f"{name}{(notes or {}).get(name, '')}") for name in steps}
    for column, coordinate in enumerate(chosen):
        each = {called[name]: (name, moves[:, coordinate]) for name, moves in steps.items()}
        _draw_coordinate(grid[:, column], time, gradients[:, coordinate], each)
        grid[0, column].set_title(f"coordinate {coordinate:,}", fontsize=9)
    grid[0, 0].set_ylabel("gradient")
    grid[1, 0].set_ylabel("proposed step")
    _draw_sizes(grid[:, -1], time, steps, losses)
    for axes in grid.flat:
        axes.set_xlim(0, len(time))
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = grid[1, 0].get_legend_handles_labels()
    figure.legend(
        handles[::-1], labels[::-1], loc="outside lower center", ncols=3, frameon=False, fontsize=8
    )
    figure.suptitle(fit_label(title), fontsize=10)
    return save(figure, path)


def _draw_coordinate(
    pair: Any, time: np.ndarray, gradient: np.ndarray, steps: dict[str, tuple[str, np.ndarray]]
) -> None:
    upper, lower = pair
    upper.plot(time, gradient, color="#333333", lw=1.2)
    for called, (name, moves) in reversed(steps.items()):
        learned = name == "learned"
        style = {"lw": 2.0 if learned else 1.2, "alpha": 1.0 if learned else 0.8}
        lower.plot(time, moves, color=_COLOURS.get(name), label=called, **style)
    for axes in pair:
        axes.axhline(0, color="#bbbbbb", lw=0.6, zorder=0)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
    lower.set_xlabel("step")


def _draw_sizes(
    pair: Any, time: np.ndarray, steps: Mapping[str, np.ndarray], losses: np.ndarray
) -> None:
    size, loss = pair
    for name, moves in reversed(list(steps.items())):
        norm = np.sqrt(np.mean(moves**2, axis=1))
        size.plot(time, norm, color=_COLOURS.get(name), lw=2.0 if name == "learned" else 1.2)
    if any(np.any(moves) for moves in steps.values()):
        size.set_yscale("log")
    size.set_title("size of the step (root mean square)", fontsize=9)
    loss.plot(time, losses, color="#333333", lw=1.2)
    if np.all(losses > 0):
        loss.set_yscale("log")
    loss.set_title("loss on the way", fontsize=9)
    loss.set_xlabel("step")


def choose_coordinates(gradients: Float[np.ndarray, "time coordinates"]) -> list[int]:
    """The coordinates of the largest, a middling and a small gradient that is not nothing."""
    size = np.sqrt(np.mean(gradients**2, axis=0))
    order = [int(place) for place in np.argsort(-size) if size[place] > 0] or [0]
    places = np.linspace(0, 0.9 * (len(order) - 1), min(_FEW, len(order))).astype(int)
    return [order[place] for place in places]
