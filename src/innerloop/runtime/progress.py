"""A bar that counts what is done, on standard error."""

import sys
from typing import Any

_SECONDS = 30.0  # Between lines where nobody watches: a log file gets a few, and no thousands.


def counting(total: int, label: str | None = None, *, shown: bool = True) -> Any:
    """A tqdm bar over `total` images, to be updated and closed.

    Args:
        total: How many there are.
        label: What the bar is called.
        shown: Whether there is a bar at all.
    """
    from tqdm import tqdm

    watched = sys.stderr is not None and sys.stderr.isatty()  # pyright: ignore[reportUnnecessaryComparison]
    interval = 0.1 if watched else _SECONDS
    return tqdm(total=total, desc=label, unit=" images", disable=not shown, mininterval=interval)
