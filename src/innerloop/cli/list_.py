"""`innerloop list`: what comes with innerloop."""

import dataclasses
from collections.abc import Sequence

from ._common import say
from ._settings import parse

SUMMARY = "List the experiments, tasks, rules, estimators and candidates that there are."


@dataclasses.dataclass(frozen=True)
class List:
    """List the experiments, tasks, rules, estimators and candidates that there are."""


def main(words: Sequence[str]) -> None:
    """Run the command."""
    parse(List, words, command="list")
    from .. import registry
    from ..experiments.find import summary_of
    from ..experiments.former import trained_on
    from ..rules.files import describe, shipped
    from ..runtime.settings import can_be_made
    from .inspect_ import title_of

    headings = {
        "experiment": "Experiments, for `innerloop train` and `innerloop compare --task`:",
        "task family": "\nTasks, for the same:",
        "rule": "\nKinds of rules, for `innerloop train --rule`:",
        "estimator": "\nEstimators of meta-gradients, for `innerloop train --estimator`:",
        "candidate": "\nCandidates of the search, for `innerloop train FILE.py:TASK --candidates`:",
    }
    for kind, heading in headings.items():
        say(heading)
        for name, cls in sorted(registry.members(kind).items()):
            if can_be_made(cls):
                say(f"  {name:<20} {summary_of(cls)}")
        if kind != "candidate":
            say(f"  {'FILE.py:NAME':<20} your own, in a file")
    say("\nShipped rules, for `innerloop compare` and `innerloop.load`:")
    for name in shipped():
        header = describe(name)
        settings = trained_on(header.get("run", {}))
        task = "an unknown task" if settings is None else title_of(settings.task)
        say(f"  {name:<24} {header['rule']}, trained on {task}")
    if not shipped():
        say("  none")
