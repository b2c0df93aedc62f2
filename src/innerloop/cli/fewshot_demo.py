"""`innerloop fewshot demo`: train a Meta-Learner LSTM in minutes."""

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ._common import prepare, say
from ._settings import parse

SUMMARY = "Train the Meta-Learner LSTM on Omniglot, and test it on unseen characters."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Demo:
    """Train the Meta-Learner LSTM on Omniglot, and test it on unseen characters.

    Nothing is downloaded. Writes results.json, report.html, learner.safetensors and
    metrics.jsonl.
    """

    out: Path = Path("runs/demo-fewshot")
    """The folder to write into; a former demo's files are replaced."""
    seed: int = 0
    """The same seed gives the same numbers on the same machine."""


def main(words: Sequence[str]) -> None:
    """Run the command."""
    asked = parse(Demo, words, command="fewshot demo")
    prepare()
    from ..experiments.fewshot.demo import demo

    say(
        "Training the Meta-Learner LSTM to learn five handwritten characters from one drawing of "
        "each."
    )
    demo(out=asked.out, seed=asked.seed, show=_show)
    folder = shlex.quote(str(asked.out))
    say(
        f"Written to {asked.out}: results.json, report.html, learner.safetensors\n"
        "\nNext:\n"
        f"  innerloop show {folder}\n"
        f"  innerloop fewshot evaluate {folder} --split validation\n"
        "  innerloop fewshot list                          # the methods, and what is shipped\n"
        "  innerloop fewshot train protonet --data FOLDER  # on images of your own"
    )


def _show(results: list[dict[str, Any]]) -> None:
    learned, pixels = results
    say(
        f"On {learned['episodes']} episodes of characters it has never seen it names "
        f"{100 * learned['accuracy']:.1f} ± {100 * learned['ci95']:.1f} % of the drawings rightly; "
        f"the nearest drawing, pixel by pixel, {100 * pixels['accuracy']:.1f} ± "
        f"{100 * pixels['ci95']:.1f} %."
    )
