"""Table 1 of Ravi & Larochelle (2017), and ours beside it."""

import dataclasses
import time
from typing import Any

from ..errors import InnerloopError
from ..experiments.fewshot import EvaluationSettings, evaluate_learner
from ..experiments.fewshot.run import write_results
from ..fewshot.files import describe, shipped, shipped_file
from ..metatrain import Interrupted
from ..runtime.files import write_output
from ..runtime.folders import writable
from ._base import Reproduction, ReproductionOptions
from ._learners import learner_for

MINIIMAGENET, OMNIGLOT = "miniimagenet", "omniglot"
METHODS = (
    *("finetune", "nearest-neighbour", "matching", "matching-fce", "meta-lstm"),
    *("maml", "meta-sgd", "lstm", "protonet", "joint"),
)
"""The rows: in the order of the paper's Table 1, and what came after."""
FILTERS = 32
"""Of the paper's network on miniImageNet."""
EPISODES = 600


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
_TIAN = "Tian et al. 2020"

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
    ("joint", MINIIMAGENET, 5, 1): Published(55.88, 0.59, _TIAN),
    ("joint", MINIIMAGENET, 5, 5): Published(71.65, 0.51, _TIAN),
    ("maml", OMNIGLOT, 5, 1): Published(98.7, None, _FINN),
    ("maml", OMNIGLOT, 5, 5): Published(99.9, None, _FINN),
    ("maml", OMNIGLOT, 20, 1): Published(95.8, None, _FINN),
    ("maml", OMNIGLOT, 20, 5): Published(98.9, None, _FINN),
    ("meta-sgd", OMNIGLOT, 5, 1): Published(99.53, None, _LI),
    ("meta-sgd", OMNIGLOT, 5, 5): Published(99.93, None, _LI),
    ("protonet", OMNIGLOT, 5, 1): Published(98.8, None, _SNELL),
    ("protonet", OMNIGLOT, 5, 5): Published(99.7, None, _SNELL),
    ("protonet", OMNIGLOT, 20, 1): Published(96.0, None, _SNELL),
    ("protonet", OMNIGLOT, 20, 5): Published(98.9, None, _SNELL),
}
"""By method, data, way and shot. Widths, augmentation and transduction differ between papers."""


_TABLES = {
    MINIIMAGENET: ("miniImageNet", ((5, 1), (5, 5))),
    OMNIGLOT: ("Omniglot", ((5, 1), (5, 5), (20, 1))),
}
"""What the tables' columns are, at least: (way, shot)."""


def rows(results: list[dict[str, Any]], data: str) -> tuple[list[str], list[tuple[str, ...]]]:
    """(columns, rows) in the layout of the paper's Table 1: a method a row, an episode a column.

    Each cell has ours, the best where there are several, and under it what was published. Methods
    without either have no row.
    """
    ours = {
        (each["method"], each["way"], each["shot"]): each
        for each in sorted(results, key=lambda each: each["accuracy"])
        if each["data"] == data
    }
    asked = {(way, shot) for _, way, shot in ours}
    known = _TABLES[data][1] if data in _TABLES else ()
    columns = [*known, *sorted(asked - set(known))]
    found = []
    others = sorted({method for method, *_ in ours} - set(METHODS))
    for method in (*METHODS, *others):
        cells = []
        for way, shot in columns:
            mine, published = (
                ours.get((method, way, shot)),
                PUBLISHED.get((method, data, way, shot)),
            )
            lines = ["–" if mine is None else percent(100 * mine["accuracy"], 100 * mine["ci95"])]
            if published is not None:
                lines.append(f"({percent(published.accuracy, published.half)})")
            cells.append("\n".join(lines))
        if any(cell != "–" for cell in cells):
            sources = [PUBLISHED.get((method, data, way, shot)) for way, shot in columns]
            names = dict.fromkeys(source.source for source in sources if source is not None)
            found.append((method, *cells, ", ".join(names)))
    return [f"{way}-way {shot}-shot" for way, shot in columns], found


def markdown(results: list[dict[str, Any]], data: str, title: str) -> str:
    """The table of one dataset, under a title and the dataset's."""
    columns, found = rows(results, data)
    lines = [["method", *columns, "published by"], ["---"] * (len(columns) + 2), *found]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("\n(", " (")
    return f"## {title}: {_TABLES[data][0] if data in _TABLES else data}\n\n{table}\n"


def percent(accuracy: float, half: float | None) -> str:
    """An accuracy in percent with its interval, as the paper writes them."""
    return f"{accuracy:.2f}" + ("" if half is None else f" ± {half:.2f}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table1(Reproduction):
    """Table 1 of Ravi & Larochelle (2017), and Omniglot beside it."""

    def run(self, options: ReproductionOptions) -> dict[str, Any]:
        """Test every shipped meta-learner; those whose data are missing are left out."""
        out, began = writable(options.out), time.perf_counter()
        results: list[dict[str, Any]] = []
        missing: list[str] = []
        asked = EvaluationSettings(episodes=options.problems or EPISODES, seed=options.seed)
        for name in shipped():
            options.report(f"testing {name}")
            try:
                learner, data = learner_for(name, options)
                row = evaluate_learner(learner, data, asked, data_dir=options.data_dir)
            except Interrupted:
                raise
            except InnerloopError as error:
                options.report(f"left out: {error}")
                missing.append(f"- `{name}` is left out: {error}")
                continue
            results.append({"name": name, **row, **_made(name)})
            write_results(results, out)
        published = [each for each in results if each["filters"] == FILTERS]
        report = [
            f"# {self.source}\n\n{self.claim}\n",
            *_tables(published, (MINIIMAGENET,), f"As published, {FILTERS} filters"),
            *_tables(results, tuple(_TABLES), "Today, the best of each method"),
            f"Accuracy in percent on {asked.episodes} episodes of unseen classes, with the "
            "half-width of a 95 % interval; not transductive. In brackets: as published.\n",
            *missing,
        ]
        write_output(out / "report.md", "\n".join(report) + "\n")
        return {"results": results, "seconds": time.perf_counter() - began}


def _made(name: str) -> dict[str, Any]:
    """The network's width, and how many meta-steps the method itself was trained for."""
    header = describe(shipped_file(name))
    return {
        "filters": header["backbone"]["settings"].get("filters", FILTERS),
        "meta_steps": header["run"]["loop"]["steps"],
    }


def _tables(results: list[dict[str, Any]], data: tuple[str, ...], title: str) -> list[str]:
    """A table for each dataset that there are results on."""
    found = {each["data"] for each in results}
    return [markdown(results, each, title) for each in data if each in found]


REPRODUCTIONS = (
    Table1(
        name="ravi2017-table1",
        source="Ravi & Larochelle 2017, Table 1",
        claim="The Meta-Learner LSTM is ahead of fine-tuning, of nearest neighbours and of "
        "matching networks with 5 images a class, and on a par with the best with one.",
        minutes=40,
        training_minutes=600,
    ),
)
