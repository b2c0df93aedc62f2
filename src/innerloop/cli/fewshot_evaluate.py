"""`innerloop fewshot evaluate`: a meta-learner's accuracy on unseen classes."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from ._common import AsJson, Place, fresh_folder, prepare, say, say_json
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
    as_json: AsJson = False
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
    if asked.as_json:
        say_json(results)
    else:
        say(_text(results))
    confused = confusion_of(
        learner, trained_on, settings, data=asked.data, data_dir=asked.place.data
    )
    write_results(results, folder, confused=confused)
    if not asked.as_json:
        say(f"Written to {folder}: results.json, report.html")


def _text(results: dict[str, Any]) -> str:
    """What results.json holds, in words."""
    steps = results["inner_steps"]
    return (
        f"{results['method']} on {results['data']} ({results['split']} classes), "
        f"{results['way']}-way {results['shot']}-shot: {100 * results['accuracy']:.2f} ± "
        f"{100 * results['ci95']:.2f} %\n"
        f"{results['episodes']} episodes of {results['way'] * results['query']} queries, "
        f"{f'{steps} inner steps' if steps else 'no inner steps'}, "
        f"{'' if results['transductive'] else 'not '}transductive; ± is the half-width of a "
        "95 % interval."
    )
