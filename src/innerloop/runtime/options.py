"""Settings that a user writes as KEY=VALUE."""

import ast
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import InnerloopError


def parse_settings(
    settings: Sequence[str], target: Callable[..., Any], what: str
) -> dict[str, Any]:
    """KEY=VALUE strings as keyword arguments of `target`; values are Python literals.

    Raises `InnerloopError` where one is no KEY=VALUE or `target` has no such argument.
    """
    names = [
        name
        for name in inspect.signature(target).parameters
        if name not in ("key", "data_dir", "shape")
    ]
    parsed: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or key not in names:
            known = ", ".join(names) or "none"
            raise InnerloopError(
                f"'{setting}' is no setting of {what}; write KEY=VALUE, with KEY one of: {known}."
            )
        try:
            parsed[key] = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            word = text.strip()
            parsed[key] = {"none": None, "true": True, "false": False}.get(word.lower(), word)
    return parsed
