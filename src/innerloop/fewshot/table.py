"""Table 1 of Ravi & Larochelle (2017), and ours beside it."""

import dataclasses
from typing import Any

from rich.table import Table

from .sources import MINIIMAGENET, OMNIGLOT


@dataclasses.dataclass(frozen=True)
class Published:
    """An accuracy that a paper reports, in percent, with the half-width of its 95 % interval."""

    accuracy: float
    half: float | None
    source: str


_RAVI = "Ravi & Larochelle 2017"
_FINN = "Finn et al. 2017"
_SNELL = "Snell et al. 2017"
_LI = "Li et al. 2017"

PUBLISHED: dict[tuple[str, str, int, int], Published] = {
    ("finetune", MINIIMAGENET, 5, 1): Published(28.86, 0.54, _RAVI),
    ("finetune", MINIIMAGENET, 5, 5): Published(49.79, 0.79, _RAVI),
    ("nearest-neighbour", MINIIMAGENET, 5, 1): Published(41.08, 0.70, _RAVI),
    ("nearest-neighbour", MINIIMAGENET, 5, 5): Published(51.04, 0.65, _RAVI),
    ("matching", MINIIMAGENET, 5, 1): Published(43.40, 0.78, _RAVI),
    ("matching", MINIIMAGENET, 5, 5): Published(51.09, 0.71, _RAVI),
    ("matching-fce", MINIIMAGENET, 5, 1): Published(43.56, 0.84, _RAVI),
    ("matching-fce", MINIIMAGENET, 5, 5): Published(55.31, 0.73, _RAVI),
    ("meta-lstm", MINIIMAGENET, 5, 1): Published(43.44, 0.77, _RAVI),
    ("meta-lstm", MINIIMAGENET, 5, 5): Published(60.60, 0.71, _RAVI),
    ("maml", MINIIMAGENET, 5, 1): Published(48.70, None, _FINN),
    ("maml", MINIIMAGENET, 5, 5): Published(63.11, None, _FINN),
    ("meta-sgd", MINIIMAGENET, 5, 1): Published(50.47, None, _LI),
    ("meta-sgd", MINIIMAGENET, 5, 5): Published(64.03, None, _LI),
    ("protonet", MINIIMAGENET, 5, 1): Published(49.42, None, _SNELL),
    ("protonet", MINIIMAGENET, 5, 5): Published(68.20, None, _SNELL),
    ("maml", OMNIGLOT, 5, 1): Published(98.7, None, _FINN),
    ("maml", OMNIGLOT, 5, 5): Published(99.9, None, _FINN),
    ("maml", OMNIGLOT, 20, 1): Published(95.8, None, _FINN),
    ("maml", OMNIGLOT, 20, 5): Published(98.9, None, _FINN),
    ("meta-sgd", OMNIGLOT, 5, 1): Published(99.53, None, _LI),
    ("meta-sgd", OMNIGLOT, 5, 5): Published(99.93, None, _LI),
    ("protonet", OMNIGLOT, 5, 1): Published(98.8, None, _SNELL),
    ("protonet", OMNIGLOT, 5, 5): Published(99.7, None, _SNELL),
}
"""By method, data, way and shot. Widths, augmentation and transduction differ between papers."""


def rows(results: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """(method, data, way and shot, ours, the paper's, its source) of each of the results."""
    found = []
    for each in results:
        key = (each["method"], each["data"], each["way"], each["shot"])
        published = PUBLISHED.get(key)
        found.append(
            (
                each["method"],
                each["data"],
                f"{each['way']}-way {each['shot']}-shot",
                percent(100 * each["accuracy"], 100 * each["ci95"]),
                "–" if published is None else percent(published.accuracy, published.half),
                "" if published is None else published.source,
            )
        )
    return found


def drawn(results: list[dict[str, Any]], episodes: int) -> Table:
    """The rows as a table for the terminal."""
    table = Table(title=f"Accuracy, %, on {episodes} episodes of unseen classes")
    for column in ("method", "data", "episodes of", "ours", "published", "by"):
        table.add_column(column)
    for row in rows(results):
        table.add_row(*row)
    return table


def percent(accuracy: float, half: float | None) -> str:
    """An accuracy in percent with its interval, as the paper writes them."""
    return f"{accuracy:.2f}" + ("" if half is None else f" ± {half:.2f}")
