"""`innerloop list`: what comes with innerloop."""

import dataclasses
from collections.abc import Sequence

from ._common import AsJson, say, say_json
from ._settings import parse

SUMMARY = "List the experiments, tasks, rules, estimators and candidates that there are."


@dataclasses.dataclass(frozen=True)
class List:
    """List the experiments, tasks, rules, estimators and candidates that there are."""

    as_json: AsJson = False


def main(words: Sequence[str]) -> None:
    """Run the command."""
    asked = parse(List, words, command="list")
    from .. import registry
    from ..experiments.find import summary_of
    from ..experiments.settings import trained_on
    from ..rules.files import describe, shipped
    from ..runtime.settings import can_be_made
    from .inspect_ import title_of

    if asked.as_json:
        say_json(_names())
        return
    headings = {
        "experiment": "Experiments, for `innerloop train` and `innerloop compare --task`:",
        "task family": "\nTasks, for the same:",
        "rule": "\nKinds of rules, for `innerloop train --rule`:",
        "estimator": "\nEstimators of meta-gradients, for `innerloop train --estimator`:",
        "candidate": "\nCandidates of the search, for `innerloop train FILE.py:TASK --candidates`:",
    }
    for kind, heading in headings.items():
        say(heading)
        members = {name: cls for name, cls in registry.members(kind).items() if can_be_made(cls)}
        width = max(20, *map(len, members))
        for name, cls in sorted(members.items()):
            say(f"  {name:<{width}} {summary_of(cls)}")
        if kind != "candidate":
            say(f"  {'FILE.py:NAME':<{width}} your own, in a file")
    say("\nShipped rules, for `innerloop compare` and `innerloop.load`:")
    for name in shipped():
        header = describe(name)
        settings = trained_on(header.get("run", {}))
        task = "an unknown task" if settings is None else title_of(settings.task)
        say(f"  {name:<24} {header['rule']}, trained on {task}")
    if not shipped():
        say("  none")


def _names() -> dict[str, dict[str, str]]:
    """Every registered name with its summary, by kind; shipped rules with the class of each."""
    from .. import registry
    from ..experiments.find import summary_of
    from ..rules.files import describe, shipped
    from ..runtime.settings import can_be_made

    kinds = ("experiment", "task family", "rule", "estimator", "candidate")
    found = {
        kind: {
            name: summary_of(cls)
            for name, cls in sorted(registry.members(kind).items())
            if can_be_made(cls)
        }
        for kind in kinds
    }
    return {**found, "shipped rule": {name: describe(name)["rule"] for name in shipped()}}
