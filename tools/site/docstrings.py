"""Docstrings as the reference's parser takes them: the section of examples has another name."""

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)


class Examples(griffe.Extension):
    """Reads "Example:" as "Examples:", so that doctests become code."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called with every object that was read."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub("Examples:", obj.docstring.value)
