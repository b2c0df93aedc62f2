"""Words of a command line that another command is given too."""

from collections.abc import Sequence


def options_under(words: Sequence[str], prefix: str) -> list[str]:
    """The options that begin with `prefix`, each with its values."""
    taken: list[str] = []
    taking = False
    for word in words:
        if word.startswith("--"):
            taking = word.startswith(prefix)
        if taking:
            taken.append(word)
    return taken
