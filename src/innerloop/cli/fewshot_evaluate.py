"""`innerloop fewshot evaluate`: a meta-learner's accuracy on unseen classes."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Literal

from ._common import Place, fresh_folder, prepare, say
from ._fewshot import Data, Named
from ._settings import Flat, parse

SUMMARY = "Measure a meta-learner's accuracy on fresh episodes of unseen classes."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a meta-learner's accuracy on fresh episodes of unseen classes.

    Prints the mean with its 95 % interval and writes results.json and report.html.
    """

    named: Annotated[Named, Flat]
    """The learner."""
    episodes: int = 600
    """Fresh episodes."""
    queries: int = 15
    """Images of each class to answer for."""
    split: Literal["train", "validation", "test"] = "test"
    """Which classes: those of test, validation or train."""
    data: Data = None
    """omniglot, miniimagenet, a folder or zip file with a folder of images for each class, or
    path/to/file.py:NAME."""
    transductive: bool = False
    """Normalise all queries of an episode by their common statistics."""
    seed: int = 0
    """Another seed, other episodes."""
    place: Annotated[Place, Flat] = dataclasses.field(default_factory=Place)
    """Where to read and write."""


def main(words: Sequence[str]) -> None:
    """Run the command."""
    asked = parse(Evaluate, words, command="fewshot evaluate")
    prepare(asked.place.devices)
    from ..experiments.fewshot import EvaluationSettings, evaluate_learner
    from ..experiments.fewshot.run import confusion_of, write_results
    from ..fewshot.files import name_of

    learner, trained_on = asked.named.load()
    settings = EvaluationSettings(
        episodes=asked.episodes,
        queries=asked.queries,
        split=asked.split,
        transductive=asked.transductive,
        seed=asked.seed,
    )
    results = evaluate_learner(
        learner, trained_on, settings, data=asked.data, data_dir=asked.place.data
    )
    folder = asked.place.out or fresh_folder(f"evaluate-{name_of(learner, trained_on)}")
    steps = results["inner_steps"]
    say(
        f"{results['method']} on {results['data']} ({asked.split} classes), {results['way']}-way "
        f"{results['shot']}-shot: {100 * results['accuracy']:.2f} ± {100 * results['ci95']:.2f} %\n"
        f"{asked.episodes} episodes of {results['way'] * asked.queries} queries, "
        f"{f'{steps} inner steps' if steps else 'no inner steps'}, "
        f"{'' if asked.transductive else 'not '}transductive; ± is the half-width of a 95 % "
        "interval."
    )
    confused = confusion_of(
        learner, trained_on, settings, data=asked.data, data_dir=asked.place.data
    )
    write_results(results, folder, confused=confused)
    say(f"Written to {folder}: results.json, report.html")
