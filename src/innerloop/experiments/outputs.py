"""Writing a comparison into a folder: results.json and curves.png."""

import json
from pathlib import Path
from typing import Any

from ..comparison import Comparison, plot_curves
from ..folders import write_output


def write_comparison(
    comparison: Comparison,
    out: Path,
    *,
    train_seconds: float | None = None,
    total_seconds: float | None = None,
) -> dict[str, Any]:
    """Write both files into `out`, and return what results.json holds."""
    results = comparison.results(train_seconds=train_seconds)
    if total_seconds is not None:
        results["seconds"]["total"] = round(total_seconds, 1)
    text = json.dumps(results, indent=2, allow_nan=False) + "\n"
    write_output(out / "results.json", text)
    plot_curves(comparison, out / "curves.png")
    return results
