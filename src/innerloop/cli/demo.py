"""`innerloop demo`: two minutes from nothing to a comparison."""

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path

from ._common import prepare, report, say
from ._settings import parse

SUMMARY = "Train an optimizer on random quadratics and compare it with tuned ones: two minutes."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Demo:
    """Train an optimizer on random quadratics and compare it with tuned ones: two minutes.

    Writes results.json, curves.png, report.html, rule.safetensors and metrics.jsonl.
    """

    out: Path = Path("runs/demo")
    """The folder to write into; a former demo's files are replaced."""
    seed: int = 0
    """The same seed gives the same numbers on the same machine."""


def main(words: Sequence[str]) -> None:
    """Run the command."""
    asked = parse(Demo, words, command="demo")
    prepare()
    from ..experiments.run import demo
    from ._shown import show_comparison

    if (asked.out / "rule.safetensors").is_file():
        say(f"{asked.out} holds a former demo. This one starts anew, and replaces its files.")
    say("Training a small LSTM to be an optimizer, on random quadratics in ten dimensions.")
    demo(out=asked.out, seed=asked.seed, report=report, show=show_comparison)
    say(
        f"Written to {asked.out}: results.json, curves.png, report.html\n"
        "\nNext:\n"
        f"  innerloop show {shlex.quote(str(asked.out))}\n"
        f"  innerloop compare {shlex.quote(str(asked.out))} --task quadratic --horizon 200\n"
        "  innerloop train mnist                           # an optimizer for neural networks\n"
        "  innerloop train examples/sinusoid.py:Sinusoid   # one for a task of your own"
    )
