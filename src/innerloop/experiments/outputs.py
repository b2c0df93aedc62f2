"""Writing a comparison into a folder: results.json, curves.png and report.html."""

import json
from pathlib import Path
from typing import Any

from ..comparison import Comparison
from ..plots.comparison import plot_curves
from ..report import About, comparison_page, curves_of, write_page
from ..report.training import METRICS, read_metrics, training_sections
from ..runtime.files import write_output
from ..runtime.folders import inside


def write_comparison(
    comparison: Comparison,
    out: Path,
    *,
    train_seconds: float | None = None,
    total_seconds: float | None = None,
    about: About | None = None,
) -> dict[str, Any]:
    """Write the three files into `out`, the numbers first, and return what results.json holds.

    Args:
        comparison: The comparison.
        out: The folder.
        train_seconds: How long the rule was trained, if that is known.
        total_seconds: How long everything took, where that is more than the comparison.
        about: What the run was asked, for the report.

    Raises:
        FileError: A file cannot be written.
    """
    results = comparison.results(train_seconds=train_seconds)
    if total_seconds is not None:
        results["seconds"]["total"] = round(total_seconds, 1)
    write_output(out / "results.json", json.dumps(results, indent=2, allow_nan=False) + "\n")
    plot_curves(comparison, out / "curves.png")
    more = training_sections(read_metrics(out)) if inside(out, METRICS).is_file() else []
    write_page(comparison_page(results, curves_of(comparison), about=about, more=more), out)
    return results
