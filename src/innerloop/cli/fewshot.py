"""`innerloop fewshot`: the commands of few-shot learning, one a file."""

from collections.abc import Sequence

from ._dispatch import dispatch

SUMMARY = "Learn classes from a few images: train, evaluate and use meta-learners."
COMMANDS = ("demo", "train", "evaluate", "adapt", "gates", "list")
"""Each is the module fewshot_NAME, which has a `SUMMARY` and a `main`."""


def main(words: Sequence[str]) -> None:
    """Run one of the few-shot commands."""
    modules = {command: f"fewshot_{command}" for command in COMMANDS}
    dispatch("innerloop fewshot", SUMMARY, modules, words)
