"""`innerloop reproduce`: what the papers show."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import tyro

from ._common import Place, prepare, report, say
from ._settings import Flat, parse

SUMMARY = "Reproduce a figure or table of a paper: `innerloop reproduce list` names them."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reproduce:
    """Reproduce a figure or table of a paper: `innerloop reproduce list` names them.

    Writes results.json, report.md (the claim, what was measured, a verdict) and pictures.
    """

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """The name of what to reproduce, or `list`."""
    shipped: bool = False
    """Use the shipped weights; without it they are trained first, which may take hours."""
    problems: Annotated[
        int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: the figure's own)")
    ] = None
    """Unseen problems, or episodes, to test on."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Another seed, other problems."""
    place: Annotated[Place, Flat] = dataclasses.field(default_factory=Place)
    """Where to read and write."""


def main(words: Sequence[str]) -> None:
    """Run the command."""
    asked = parse(Reproduce, words, command="reproduce")
    prepare(asked.place.devices)
    from pathlib import Path

    from ..reproduce import ReproductionOptions, find_reproduction, reproductions
    from ..runtime.files import read_text

    if asked.name == "list":
        for each in reproductions().values():
            say(
                f"{each.name:<30} {each.source}\n{'':<30} about {each.minutes} min with --shipped, "
                f"and {each.training_minutes} more to train its weights first"
            )
        return
    found = find_reproduction(asked.name)
    folder = asked.place.out or Path("runs") / f"reproduce-{found.name}"
    options = ReproductionOptions(
        out=folder,
        shipped=asked.shipped,
        seed=asked.seed,
        problems=asked.problems,
        data_dir=asked.place.data,
        report=report,
    )
    results = found.run(options)
    say(read_text(folder / "report.md"))
    say(f"Written to {folder} in {results['seconds']:.0f} s.")
