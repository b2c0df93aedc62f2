"""`innerloop fewshot list`: methods, backbones, and what is shipped."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ._common import say
from ._settings import parse

SUMMARY = "List the methods, the backbones, and the meta-learners that come with innerloop."


@dataclasses.dataclass(frozen=True, kw_only=True)
class List:
    """List the methods, the backbones, and the meta-learners that come with innerloop."""


def main(words: Sequence[str]) -> None:
    """Run the command."""
    parse(List, words, command="fewshot list")
    from .. import registry
    from ..datasets.vgg import has_vgg16
    from ..experiments.find import summary_of
    from ..fewshot.files import describe, shipped
    from ..fewshot.pretrained import PHOTOGRAPHS

    titles = {
        "method": "Methods, for `innerloop fewshot train`:",
        "backbone": "Backbones, for --backbone:",
        "dataset": "Datasets, for --data, beside a folder of your own:",
    }
    for kind, title in titles.items():
        say(title)
        for name, cls in sorted(registry.members(kind).items()):
            say(f"  {name:<20} {summary_of(cls)}")
        say("")
    say("Shipped meta-learners, for `innerloop fewshot evaluate`:")
    for line in shipped_lines({name: describe(name)["run"] for name in shipped()}):
        say(f"  {line}")
    there = "" if has_vgg16() else ", which is not here: pip install 'innerloop[style]'"
    say(f"\nTrained by others:\n  {PHOTOGRAPHS}  photographs, by VGG16{there}")


def shipped_lines(runs: dict[str, dict[str, Any]]) -> list[str]:
    """A line for each learner: how it was trained, by the run that its file remembers."""
    width = max(map(len, runs), default=0)
    lines = []
    for name, run in runs.items():
        steps, source = run["loop"]["steps"], run["init_from"]
        # A folder of the one who trained it says nothing to anybody else.
        began = f", from {source}" if source in runs else ""
        lines.append(
            f"{name:<{width}}  {f'{steps:,} meta-steps' if steps else 'no meta-step'}{began}"
        )
    return lines or ["none"]
