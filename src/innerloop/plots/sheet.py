"""A picture sheet of predictions: what was learned from above, what was asked beneath."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, UInt8

from ..runtime.names import fit_text
from .canvas import new_figure, save

_COLUMNS = 10
_EACH = 10  # Support images of a class that are drawn, at most.
_CLASSES = 20  # Classes whose support images are drawn, at most.
_HEIGHT = 1.66  # Of a row, for images that are 1 wide: beneath each there are four lines.
_NAMED = 0.3  # The height of a class's name above its images.
_BETWEEN = 0.1  # The height between two rows of classes.
_LETTERS = 14  # As many fit above or beneath an image.
_SMALL_LETTERS = 20  # As many of the small ones.
_GAP = 0.08  # Between images.
# Near Okabe and Ito's colours, which stay apart for colour-blind readers too, and dark enough
# for text.
_COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#B0508A", "#B38600",
    "#2E8BC0", "#000000", "#7B3294", "#8C510A", "#777777",
)  # fmt: skip

_REJECTED = "#999999"


@runtime_checkable
class SheetContent(Protocol):
    """What a sheet shows: `innerloop.predict.Predictions`, for one."""

    @property
    def learner(self) -> str: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def labels(self) -> list[str]: ...
    @property
    def doubts(self) -> list[str]: ...
    @property
    def probabilities(self) -> Float[np.ndarray, "queries way"]: ...
    @property
    def support(self) -> UInt8[np.ndarray, "support side side channels"]: ...
    @property
    def support_labels(self) -> Int[np.ndarray, " support"]: ...
    @property
    def shown(self) -> UInt8[np.ndarray, "shown side side channels"]: ...


def shorten(text: str, most: int) -> str:
    """`text` with its middle left out where it has more than `most` characters."""
    text = fit_text(text)
    after = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - after]}…{text[-after:]}"


def draw_sheet(predictions: SheetContent, path: str | Path) -> Path:
    """Draw the support images by class, and the first queries with label, probability and file.

    Images are as the learner saw them. What is left out (queries after the first 60, classes
    after the first 20, images of a class after the first 10) is said in the headings.

    Args:
        predictions: What was learned from, and what was predicted.
        path: The PNG to write.

    Returns:
        The path.
    """
    figure = sheet_figure(predictions)
    return save(figure, path)


def sheet_figure(predictions: SheetContent) -> Any:
    """The picture of `draw_sheet` as a matplotlib figure."""
    support, support_height = _support(predictions)
    queries = len(predictions.shown)
    query_top = support_height + 0.75
    height = query_top + _HEIGHT * -(-queries // _COLUMNS)

    figure = new_figure(_COLUMNS + 0.4, height + 1.0, dpi=130, layout=None)
    # One inch is one unit, counted from the top.
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(-0.2, _COLUMNS + 0.2)
    axes.set_ylim(height + 0.05, -0.95)
    axes.set_axis_off()

    _write(axes, 0.04, -0.75, f"Predictions of {predictions.learner}", fontsize=12, weight="bold")
    _write(axes, 0.04, -0.4, _support_heading(predictions), fontsize=10)
    for number, x, y, images, width in support:
        color = _colour(number)
        count = f" ({int(np.sum(predictions.support_labels == number))})"
        name = shorten(predictions.classes[number], _LETTERS * width - len(count)) + count
        _write(axes, x + 0.04, y + 0.08, name, color=color)
        for place, image in enumerate(images):
            _show(axes, image, x + place, y + _NAMED, color)
    axes.axhline(support_height + 0.14, color="#bbbbbb", lw=0.8)
    _write(axes, 0.04, support_height + 0.34, _query_heading(predictions), fontsize=10)
    for place, image in enumerate(predictions.shown):
        row, column = divmod(place, _COLUMNS)
        _query(axes, predictions, place, image, (float(column), query_top + row * _HEIGHT))
    return figure


def _query(
    axes: Any,
    predictions: SheetContent,
    place: int,
    image: UInt8[np.ndarray, "side side channels"],
    corner: tuple[float, float],
) -> None:
    """A query with its class, probability, file and doubt beneath it."""
    x, y = corner
    label, probabilities = predictions.labels[place], predictions.probabilities[place]
    color = _colour(int(np.argmax(probabilities))) if label else _REJECTED
    text = f"{shorten(label, _LETTERS)}\n{_percent(float(probabilities.max()))}"
    _show(axes, image, x, y, color)
    _write(axes, x + 0.5, y + 0.97, text if label else "no label", ha="center", color=color)
    small: dict[str, Any] = {"ha": "center", "color": "#666666", "fontsize": 6}
    file = shorten(Path(predictions.names[place]).name, _SMALL_LETTERS)
    _write(axes, x + 0.5, y + 1.27, file, **small)
    _write(axes, x + 0.5, y + 1.38, shorten(predictions.doubts[place], _SMALL_LETTERS), **small)


def _write(axes: Any, x: float, y: float, text: str, **style: Any) -> None:
    axes.text(x, y, text, parse_math=False, **{"fontsize": 8, "va": "top", **style})


def _show(
    axes: Any, image: UInt8[np.ndarray, "side side channels"], x: float, y: float, color: str
) -> None:
    from matplotlib.patches import Rectangle

    left, right = x + _GAP / 2, x + 1 - _GAP / 2
    low, high = y + 1 - _GAP, y
    one_channel = image.shape[2] == 1
    grey: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255} if one_channel else {}
    shown = image[..., 0] if one_channel else image
    axes.imshow(shown, extent=(left, right, low, high), aspect="auto", **grey)
    axes.add_patch(Rectangle((left, high), right - left, low - high, fill=False, ec=color, lw=2))


def _support(
    predictions: SheetContent,
) -> tuple[list[tuple[int, float, float, UInt8[np.ndarray, "n side side channels"], int]], float]:
    """([(class, x, y, its images, its width)], the height of all).

    As many classes stand side by side as fit, each as wide as the largest.
    """
    groups = list(_groups(predictions))
    width = max(len(images) for images in groups)
    beside = max(1, _COLUMNS // width)
    height = _NAMED + 1 + _BETWEEN
    placed = [
        (number, float(number % beside * width), number // beside * height, images, width)
        for number, images in enumerate(groups)
    ]
    return placed, -(-len(groups) // beside) * height


def _groups(predictions: SheetContent) -> Iterator[UInt8[np.ndarray, "n side side channels"]]:
    for number in range(min(_CLASSES, len(predictions.classes))):
        yield predictions.support[predictions.support_labels == number][:_EACH]


def _support_heading(predictions: SheetContent) -> str:
    classes = len(predictions.classes)
    counts = np.bincount(predictions.support_labels)
    few, many = int(counts.min()), int(counts.max())
    each = f"{few}" if few == many else f"{few} to {many}"
    text = f"Learned from: {classes} classes with {each} image{'s' if many > 1 else ''} each"
    left_out = []
    if classes > _CLASSES:
        left_out.append(f"the first {_CLASSES} classes")
    if many > _EACH:
        left_out.append(f"at most {_EACH} images of each")
    return f"{text} (shown: {', '.join(left_out)})" if left_out else text


def _query_heading(predictions: SheetContent) -> str:
    every, shown = len(predictions.names), len(predictions.shown)
    asked = "Asked: 1 query" if every == 1 else f"Asked: {every:,} queries"
    more = f"; these are the first {shown}, and all are in the table" if shown < every else ""
    return (
        f"{asked}{more}. Beneath each: the predicted class, its probability, the file, and a doubt"
    )


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _percent(probability: float) -> str:
    """No certainty by rounding."""
    if probability > 0.999:
        return "> 99.9 %"
    return f"{100 * probability:.1f} %" if probability > 0.995 else f"{100 * probability:.0f} %"
