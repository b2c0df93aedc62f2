"""Plain English text that comes with innerloop, for models of characters."""

from importlib import resources

import numpy as np
from jaxtyping import UInt8

SYMBOLS = " abcdefghijklmnopqrstuvwxyz0.,:;'()-"
"""The symbols of the text; a symbol's number is its place here."""


def load_text() -> UInt8[np.ndarray, " symbols"]:
    """Pages on how innerloop is designed, as numbers of `SYMBOLS`.

    The text is the project's own, in lower case, with every digit as 0. It is of its first
    release for good: the pages themselves go on changing.

    Returns:
        uint8 [some 48,000].

    Example:
        >>> from innerloop.datasets.text import SYMBOLS, load_text
        >>> "".join(SYMBOLS[each] for each in load_text()[:19])
        '000: the inner loop'
    """
    file = resources.files("innerloop") / "datasets" / "packed" / "text.txt"
    text = file.read_text(encoding="ascii").strip("\n")
    return np.asarray([SYMBOLS.index(each) for each in text], np.uint8)
