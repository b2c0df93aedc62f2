"""`innerloop push`: a rule or a meta-learner for others."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import tyro

from ._common import prepare, say
from ._settings import asks_for_help, parse

SUMMARY = "Put a rule or a meta-learner on the Hugging Face Hub, or into a folder, with a card."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Push:
    """Put a rule or a meta-learner on the Hugging Face Hub, or into a folder, with a card.

    The card, README.md, says what it was trained on, how, and how to use it. The hub needs
    innerloop[hub] and a token: `hf auth login`, or HF_TOKEN. HF_ENDPOINT names another hub.
    """

    rule: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RULE")]
    """A rule or a meta-learner: a shipped name, a file, or a training run's folder."""
    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="USER/NAME|./FOLDER")]
    """A repository, or a folder, which begins with ./ or /."""
    license: Annotated[str, tyro.conf.arg(metavar="ID")] = "unknown"
    """The licence's identifier on the hub, such as mit or apache-2.0."""
    private: bool = False
    """Make a new repository private."""
    card: bool = True
    """Write README.md too; without it, one that is there is kept."""
    rule_file: Annotated[
        str | None,
        tyro.conf.arg(metavar="FILE.py:NAME", help_behavior_hint="(default: none)"),
    ] = None
    """The class of a rule of your own, which RULE holds the weights of."""


def main(words: Sequence[str]) -> None:
    """Run the command; JAX is imported here."""
    if not asks_for_help(words):
        prepare()
    asked = parse(Push, words, command="push")
    from ..experiments.find import name_for
    from ..hub import push

    if asked.rule_file is not None:
        name_for("rule", asked.rule_file)
    place = push(
        asked.rule,
        asked.target,
        license=asked.license,
        private=asked.private,
        card=asked.card,
    )
    say(f"Written to {place}")
