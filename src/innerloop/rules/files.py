"""Rules in files: safetensors with a JSON header, and nothing that could run code."""

from pathlib import Path
from typing import Any

from .. import registry
from ..errors import InnerloopError
from ..runtime import headers, storage
from ._base import Rule


def save(rule: Rule, path: str | Path, *, run: dict[str, Any] | None = None) -> Path:
    """Write a rule to a safetensors file.

    The file is made whole before it replaces what is there. Its header holds the rule's name and
    settings, the versions of innerloop and JAX, and `run`.

    Args:
        rule: A rule of any registered class, one of your own included.
        path: The file; folders that are missing are made.
        run: What is to be remembered of the run that made the rule, as JSON can hold it.

    Returns:
        The path.

    Raises:
        InnerloopError: A file cannot hold the rule (see `check_savable`), or `path` cannot be
            written.

    Example:
        >>> import jax, innerloop
        >>> path = innerloop.save(innerloop.LSTMRule(key=jax.random.key(0)), "rule.safetensors")
        >>> innerloop.load(path).hidden
        20
    """
    return storage.write(rule, path, check_savable(rule), run or {})


def check_savable(rule: Rule) -> dict[str, Any]:
    """Find out whether a file can hold a rule, before hours go into its training.

    Args:
        rule: The rule.

    Returns:
        {"rule": its name, "settings": the constructor's arguments}, as the header has them.

    Raises:
        InnerloopError: The rule's class is not registered, the constructor's arguments cannot be
            read back, one of them is nothing that a file can hold (a function, say), or they make
            a rule of another structure.
    """
    return storage.check_savable(rule)


def load(path_or_name: str | Path) -> Rule:
    """Read a rule from a file.

    The file names the rule's class, which must be registered in this process; nothing is imported
    or run because a file says so.

    Args:
        path_or_name: A file, the folder of a training run, or the name of a shipped rule.

    Returns:
        The rule. Its arrays have the dtypes of the file.

    Raises:
        InnerloopError: There is no such file or name, the rule's class is not registered, or the
            file is damaged or of another version.

    Example:
        >>> import innerloop
        >>> innerloop.load("lstm-quadratic").depth
        2
    """
    path = _find(path_or_name)
    header, arrays = storage.read(path)
    storage.check_format(header, path)
    try:
        rule = storage.template(header, "rule")
    except headers.UnknownName as error:
        raise InnerloopError(_missing(path, storage.shown(error))) from None
    except Exception as error:  # A header that is no header of ours.
        kind = storage.shown(header.get("rule"))
        raise InnerloopError(
            f"{path} is damaged: its settings make no rule of kind '{kind}'."
        ) from error
    return storage.fill(rule, arrays, path)


def describe(path_or_name: str | Path) -> dict[str, Any]:
    """The header of a saved or shipped rule: `rule`, `settings`, `versions` and `run`."""
    return storage.read(_find(path_or_name))[0]


def shipped() -> list[str]:
    """The names of the rules that come with the package."""
    return storage.shipped()


def _find(path_or_name: str | Path) -> Path:
    return storage.find(path_or_name, "rule.safetensors", "rule")


def _missing(path: Path, name: str) -> str:
    return (
        f"{path} holds a rule '{name}', and no class of that name is registered in this process: "
        "import the module that registers it (on the command line: --rule path/to/file.py:NAME). "
        f"There are: {', '.join(sorted(registry.members('rule')))}."
    )
