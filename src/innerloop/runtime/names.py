"""Names from files made fit for where they go: a terminal, a path, a table's cell, a picture.

A name may come from anybody: from a header, a folder, a zip file. It can hold escape sequences that
a terminal obeys, parts of a path that lead elsewhere, and formulas that a spreadsheet computes.
"""

from typing import Any

LONGEST_COMPONENT = 100
"""Characters of a file's or folder's name that is made of another name."""
_HIDDEN = "·"


def fit_text(text: Any, longest: int | None = None, *, lines: bool = False) -> str:
    """Text as a terminal can print it: what is not printable becomes a dot.

    Args:
        text: Text, or what is to become text.
        longest: The number of characters that are kept; None for all.
        lines: Keep line breaks and tabs. Without, the text is one line.

    Example:
        >>> from innerloop.runtime.names import fit_text
        >>> fit_text("red: " + chr(27) + "[31m")
        'red: ·[31m'
    """
    text = str(text)
    cut = longest is not None and len(text) > longest
    kept = "\n\t" if lines else ""
    found = "".join(
        char if char.isprintable() or char in kept else _HIDDEN for char in text[:longest]
    )
    return f"{found}…" if cut else found


def fit_component(name: str, otherwise: str = "results") -> str:
    """A name as one component of a path: it leads to no other folder.

    Args:
        name: The name. What a file's name should not have becomes a hyphen.
        otherwise: The component where nothing of the name is left.

    Example:
        >>> from innerloop.runtime.names import fit_component
        >>> fit_component("../../evaluate me")
        'evaluate-me'
    """
    safe = "".join(char if char.isalnum() or char in "._-" else "-" for char in name)
    return safe.strip("-.")[:LONGEST_COMPONENT].rstrip("-.") or otherwise


def fit_cell(text: str) -> str:
    """Text as a cell of a CSV file that no spreadsheet takes for a formula.

    An apostrophe goes before what begins with =, +, - or @, as spreadsheets themselves write it.

    Example:
        >>> from innerloop.runtime.names import fit_cell
        >>> fit_cell("=1+1"), fit_cell("cat.png")
        ("'=1+1", 'cat.png')
    """
    text = fit_text(text)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def fit_label(name: str) -> str:
    """A name as Matplotlib shows it: no formula between dollars, and no letter that is none.

    A label that begins with an underscore would be left out of legends; a space goes before it.

    Example:
        >>> from innerloop.runtime.names import fit_label
        >>> fit_label("a$b$")
        'a\\\\$b\\\\$'
    """
    text = fit_text(name).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text
