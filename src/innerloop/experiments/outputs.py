"""Writing a comparison into a folder: results.json and curves.png."""

import json
from pathlib import Path
from typing import Any

from ..comparison import Comparison
from ..errors import FileError
from ..plots.comparison import plot_curves
from ..runtime.files import replace_text


def write_comparison(
    comparison: Comparison,
    out: Path,
    *,
    train_seconds: float | None = None,
    total_seconds: float | None = None,
) -> dict[str, Any]:
    """Write both files into `out`, the numbers first, and return what results.json holds.

    Raises:
        FileError: A file cannot be written.
    """
    results = comparison.results(train_seconds=train_seconds)
    if total_seconds is not None:
        results["seconds"]["total"] = round(total_seconds, 1)
    try:
        replace_text(out / "results.json", json.dumps(results, indent=2, allow_nan=False) + "\n")
        plot_curves(comparison, out / "curves.png")
    except OSError as error:
        raise FileError(
            f"Cannot write to the folder {out}: {error.strerror}.", arguments=("out",)
        ) from error
    return results
