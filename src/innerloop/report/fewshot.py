"""The report of few-shot learners: accuracy, confused classes, doubtful images."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ..fewshot.confusion import Confusion
from ..runtime.names import fit_text
from .about import About, Section, number

CLASSES = 20
"""Classes that the matrix shows, those with the most mistakes."""
_NAME = 26


def fewshot_page(
    results: Sequence[Mapping[str, Any]],
    confusion: Confusion | None = None,
    *,
    about: About | None = None,
    more: list[Section] | None = None,
    versions: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The page of one or more evaluations, for `render`.

    Args:
        results: What results.json holds: a row for each learner.
        confusion: Which classes the first learner confuses, where that was measured.
        about: What the run was asked.
        more: Sections to show before the settings, such as the training's.
        versions: Of what the numbers depend on.
    """
    about = about or About()
    first = results[0] if results else None
    title = f"{first['method']} on {first['data']}" if first else "Few-shot learning"
    sections: list[Section] = [_facts(first)] if len(results) == 1 and first else []
    sections.append(_table(results))
    if confusion is not None:
        sections += [_matrix(confusion), *_doubtful(confusion)]
    return {
        "title": fit_text(about.title or title),
        "verdict": {"text": _said(results)},
        "sections": [*sections, *(more or []), *about.sections(versions)],
    }


def _said(results: Sequence[Mapping[str, Any]]) -> str:
    if not results:
        return "No learner was tested."
    first, *others = results
    chance = 100 / first["way"]
    said = (
        f"From {first['shot']} image{'s' if first['shot'] > 1 else ''} of each of {first['way']} "
        f"classes that it has never seen, {fit_text(first['method'])} names "
        f"{_percent(first)} of new images rightly; by chance it would be {chance:.3g} %."
    )
    if len(others) == 1:
        said += f" Beside it, {fit_text(others[0]['method'])} reaches {_percent(others[0])}."
    return said


def _facts(row: Mapping[str, Any]) -> Section:
    steps = row.get("inner_steps")
    items = [
        ("accuracy", f"{100 * row['accuracy']:.2f} %", f"± {100 * row['ci95']:.2f}"),
        ("episodes", f"{row['episodes']:,}", f"{row['way']}-way, {row['shot']}-shot"),
        ("queries", f"{row['query']}", "of each class in an episode"),
        ("inner steps", number(steps) if steps else "none", "to learn a new set of classes"),
    ]
    names = ("name", "value", "note")
    return {
        "kind": "facts",
        "title": "",
        "items": [dict(zip(names, item, strict=True)) for item in items],
    }


def _table(results: Sequence[Mapping[str, Any]]) -> Section:
    rows = [
        [
            fit_text(row["method"]),
            fit_text(row["data"]),
            f"{row['way']}-way {row['shot']}-shot",
            f"{100 * row['accuracy']:.2f} ± {100 * row['ci95']:.2f}",
            number(row["episodes"]),
            number(row.get("inner_steps")),
            "yes" if row.get("transductive") else "no",
        ]
        for row in results
    ]
    return {
        "kind": "table",
        "title": "Accuracy",
        "note": "In percent, on fresh episodes of unseen classes; ± is the half-width of a 95 % "
        "interval over episodes.",
        "columns": [
            "method", "data", "episode", "accuracy", "episodes", "inner steps", "transductive",
        ],
        "rows": rows,
    }  # fmt: skip


def _matrix(confusion: Confusion) -> Section:
    counts = confusion.counts
    wrong = counts.sum(axis=1) + counts.sum(axis=0) - 2 * np.diag(counts)
    order = np.argsort(-wrong, kind="stable")
    kept = order[: min(CLASSES, len(order))]
    note = "Rows are the true class, columns the class that was named, in percent of the row."
    if len(order) > len(kept):
        note += f" Of {len(order)} classes, the {len(kept)} with the most mistakes."
    return {
        "kind": "matrix",
        "title": "Confused classes",
        "note": f"{note} A class is seen in the episodes that drew it alone.",
        "names": [_short(confusion.names[n]) for n in kept],
        "counts": counts[np.ix_(kept, kept)].tolist(),
    }


def _doubtful(confusion: Confusion) -> list[Section]:
    if not confusion.doubtful:
        return []
    items = [
        {
            "image": _as_uri(each.image),
            "caption": _short(confusion.names[each.label]),
            "note": f"called {_short(confusion.names[each.named])}; {100 * each.share:.0f} % "
            "for its own class",
        }
        for each in confusion.doubtful
    ]
    return [
        {
            "kind": "pictures",
            "title": "Most doubtful images",
            "note": "Queries that gave their own class the smallest share of belief.",
            "items": items,
        }
    ]


def _short(name: str) -> str:
    """The end of a class's name: what comes before it is the folder that classes share."""
    text = fit_text(name)
    return text if len(text) <= _NAME else f"…{text[-_NAME:]}"


def _as_uri(image: UInt8[np.ndarray, "height width channels"]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    Image.fromarray(np.asarray(pixels)).save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _percent(row: Mapping[str, Any]) -> str:
    return f"{100 * row['accuracy']:.1f} ± {100 * row['ci95']:.1f} %"
