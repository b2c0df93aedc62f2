"""Figures without pyplot: a program's own backend, styles and open figures are left as found."""

import io
import warnings
from pathlib import Path
from typing import Any

from ..runtime.files import write_output


def new_figure(
    width: int | float, height: int | float, *, dpi: int = 150, layout: str | None = "constrained"
) -> Any:
    """An empty Matplotlib figure with a canvas of its own.

    Args:
        width: Inches.
        height: Inches.
        dpi: Pixels an inch.
        layout: Matplotlib's layout engine, or None.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(width, height), dpi=dpi, layout=layout)  # pyright: ignore[reportArgumentType]
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, path: str | Path) -> Path:
    """Write a figure as a PNG, whole, and return its path.

    Raises:
        FileError: The file cannot be written, or is a symbolic link; what was there before stays.
    """
    picture = io.BytesIO()
    with warnings.catch_warnings():
        # The font may lack the letters of a name; tables have it.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(picture, format="png")
    return write_output(Path(path), picture.getvalue())
