"""Writing a comparison into a folder: results.json and curves.png."""

import json
from pathlib import Path
from typing import Any

from ..comparison import Comparison
from ..plots.comparison import plot_curves
from ..runtime.files import write_output


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
    write_output(out / "results.json", json.dumps(results, indent=2, allow_nan=False) + "\n")
    plot_curves(comparison, out / "curves.png")
    return results
