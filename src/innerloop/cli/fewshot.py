"""The commands for few-shot learning: those that use what was trained, and the list of all.

JAX is imported when a command needs it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from . import fewshot_training as training
from ._common import DataFolder, Devices, Folder, prepare, report, say

Learner = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="LEARNER")]
Input = Annotated[Path, tyro.conf.arg(metavar="DIR")]
Data = Annotated[
    str | None, tyro.conf.arg(metavar="DATA", help_behavior_hint="(default: what it learned on)")
]


def evaluate(
    learner: Learner,
    *,
    episodes: int = 600,
    queries: int = 15,
    split: Literal["train", "validation", "test"] = "test",
    data: Data = None,
    transductive: bool = False,
    out: Folder = None,
    seed: int = 0,
    data_dir: DataFolder = None,
    devices: Devices = None,
) -> None:
    """Measure a meta-learner's accuracy on fresh episodes of unseen classes.

    Prints the mean with its 95 % interval and writes results.json.

    Args:
        learner: A shipped one's name (`innerloop fewshot list`), a file, or a run's folder.
        episodes: Fresh episodes.
        queries: Images of each class to answer for.
        split: Which classes: those of test, validation or train.
        data: omniglot, miniimagenet, or a folder or zip file with a folder of images for each
            class.
        transductive: Normalise all queries of an episode by their common statistics.
        out: The folder to write into.
        seed: Another seed, other episodes.
        data_dir: The folder that holds the data.
        devices: CPU cores to spread the episodes over.
    """
    prepare(devices)
    from ..experiments.fewshot.run import evaluate_learner, write_results
    from ..fewshot.files import load

    found, recipe = load(learner)
    results = evaluate_learner(
        found,
        recipe,
        data=data,
        split=split,
        episodes=episodes,
        queries=queries,
        transductive=transductive,
        seed=seed,
        data_dir=None if data_dir is None else str(data_dir),
    )
    folder = out or Path("runs") / f"evaluate-{recipe.name}"
    write_results(results, folder)
    steps = results["inner_steps"]
    say(
        f"{recipe.method} on {results['data']} ({split} classes), {results['way']}-way "
        f"{results['shot']}-shot: {100 * results['accuracy']:.2f} ± {100 * results['ci95']:.2f} %\n"
        f"{episodes} episodes of {results['way'] * queries} queries, "
        f"{f'{steps} inner steps' if steps else 'no inner steps'}, "
        f"{'' if transductive else 'not '}transductive; ± is the half-width of a 95 % interval.\n"
        f"Written to {folder}: results.json"
    )


def table(
    *,
    episodes: int = 600,
    data: Literal["omniglot", "miniimagenet", "all"] = "all",
    out: Folder = None,
    seed: int = 0,
    data_dir: DataFolder = None,
    devices: Devices = None,
) -> None:
    """Test every shipped meta-learner, beside what the papers report: Table 1, and Omniglot.

    Writes results.json with a row for each.

    Args:
        episodes: Fresh episodes of unseen classes for each.
        data: Only the learners of this data.
        out: The folder to write into.
        seed: Another seed, other episodes.
        data_dir: The folder that holds the data.
        devices: CPU cores to spread the episodes over.
    """
    prepare(devices)
    from rich.console import Console

    from ..errors import InnerloopError
    from ..experiments.fewshot.run import evaluate_learner, write_results
    from ..experiments.fewshot.sources import MINIIMAGENET, OMNIGLOT
    from ..fewshot.files import load, shipped
    from ..reproduce.ravi2017 import drawn

    folder = out or Path("runs") / "fewshot-table"
    results = []
    for name in shipped():
        learner, recipe = load(name)
        if data not in ("all", recipe.data):
            continue
        report(f"testing {name}")
        place = None if data_dir is None else str(data_dir)
        try:
            row = evaluate_learner(learner, recipe, episodes=episodes, seed=seed, data_dir=place)
        except InnerloopError as error:
            if data != "all":
                raise
            report(f"left out: {error}")
            continue
        results.append(row)
        write_results(results, folder)
    for each in (MINIIMAGENET, OMNIGLOT) if data == "all" else (data,):
        Console().print(drawn(results, each, episodes))
    say(f"Ours are not transductive; ± is a 95 % interval.\nWritten to {folder}: results.json")


def adapt(
    learner: Learner,
    *,
    support: Input,
    query: Input,
    out: Folder = None,
    format: Literal["csv", "json"] = "csv",
    transductive: bool = False,
    seed: int = 0,
    invert: Literal["auto", "yes", "no"] = "auto",
) -> None:
    """Learn from your own few labelled images, and predict the classes of others.

    Prints the first predictions and writes all of them, with every class's probability, and
    sheet.png, a picture of what was learned from and what was predicted.

    Args:
        learner: A shipped one's name (`innerloop fewshot list`), a file, or a run's folder.
        support: The folder to learn from, with a folder of images for each class.
        query: The folder of the images to predict, with all folders in it, or one image file.
        out: The folder to write into.
        format: How predictions are written.
        transductive: Normalise all queries by their common statistics.
        seed: For learners that draw at random.
        invert: Which images to invert: all, none, or (auto), for a learner of Omniglot alone,
            those that are bright on the whole.
    """
    prepare()
    from ..fewshot.files import load
    from ..plots.sheet import draw_sheet
    from ..predict.folder import adapt_folder, check_outside
    from ..predict.predictions import table, write_predictions
    from ..runtime.folders import writable

    found, recipe = load(learner)
    folder = out or Path("runs") / f"adapt-{recipe.name}"
    check_outside(folder, support, query)
    writable(folder)
    predictions = adapt_folder(
        found,
        recipe,
        support,
        query,
        transductive=transductive,
        seed=seed,
        invert=invert,
        progress=True,
    )
    written = write_predictions(predictions, folder, format)
    draw_sheet(predictions, folder / "sheet.png")
    say(table(predictions))
    images = len(predictions.names) + len(predictions.support)
    if predictions.inverted and invert == "auto":
        say(
            f"{predictions.inverted} of the {images} images were bright on the whole and were "
            "inverted: this learner expects white ink on black (--invert no leaves them alone)."
        )
    if predictions.unreadable:
        say(f"Left out, as they cannot be read: {', '.join(predictions.unreadable)}.")
    if len(predictions.shown) < len(predictions.names):
        say(f"sheet.png shows the first {len(predictions.shown)} queries.")
    say(f"Written to {folder}: {written.name}, sheet.png")


def gates(
    learner: Learner,
    *,
    episodes: int = 20,
    data: Data = None,
    out: Folder = None,
    seed: int = 0,
    data_dir: DataFolder = None,
) -> None:
    """Draw a Meta-Learner LSTM's forget and input gates, by layer and inner step.

    Writes gates.png and gates.json: the median, and the band with the middle 80 % over
    coordinates and over fresh episodes of the test classes.

    Args:
        learner: A shipped one's name (`innerloop fewshot list`), a file, or a run's folder.
        episodes: Fresh episodes.
        data: omniglot, miniimagenet, or a folder or zip file with a folder of images for each
            class.
        out: The folder to write into.
        seed: Another seed, other episodes.
        data_dir: The folder that holds the data.
    """
    prepare()
    import jax

    from ..experiments.fewshot.run import images_for
    from ..fewshot.episode import EpisodeSampler
    from ..fewshot.files import load
    from ..inspection.gates import check_has_gates, draw_gates, record_gates, write_gates
    from ..runtime.folders import writable

    found, recipe = load(learner)
    check_has_gates(found)  # Before images are loaded.
    folder = writable(out or Path("runs") / f"gates-{recipe.name}")
    images = images_for(recipe, data=data, data_dir=None if data_dir is None else str(data_dir))
    shape = recipe.shape
    sampler = EpisodeSampler(images, way=shape.way, shot=shape.shot, queries=1)
    recorded = record_gates(found, sampler, key=jax.random.key(seed), episodes=episodes)
    write_gates(recorded, folder / "gates.json", learner=recipe.name, seed=seed)
    many = "episode" if episodes == 1 else "episodes"
    draw_gates(
        recorded,
        folder / "gates.png",
        title=f"Gates of {recipe.name}: medians, with the middle 80 % of the coordinates in "
        f"{episodes} {many}",
    )
    say("Medians, from the first inner step to the last:")
    for layer, forget in recorded.forget.items():
        kept, entered = forget.quantiles[1], recorded.input[layer].quantiles[1]
        say(
            f"  {layer:<8} forget gate {kept[0]:.4f} → {kept[-1]:.4f}, "
            f"input gate {entered[0]:.3g} → {entered[-1]:.3g}"
        )
    say(f"Written to {folder}: gates.png, gates.json")


def list_() -> None:
    """List the few-shot methods and the meta-learners that come with innerloop."""
    from ..fewshot.files import describe, shipped
    from ..fewshot.methods import METHODS

    say("Methods, for `innerloop fewshot train`:")
    for name, make in METHODS.items():
        say(f"  {name:<20} {(make.__doc__ or '').strip().splitlines()[0]}")
    say("\nShipped meta-learners, for `innerloop fewshot evaluate`:")
    names = shipped()
    width = max(map(len, names), default=0)
    for name in names:
        run = describe(name)["run"]
        steps, start = run["training"]["steps"], run["start"]
        # A folder of the one who trained it says nothing to anybody else.
        began = f", begun at {start}" if start in names else ""
        say(f"  {name:<{width}}  {f'{steps:,} meta-steps' if steps else 'no meta-step'}{began}")
    if not names:
        say("  none")


COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": training.demo,
    "train": training.train,
    "evaluate": evaluate,
    "table": table,
    "adapt": adapt,
    "gates": gates,
    "list": list_,
}


SUMMARY = "Few-shot learning: train, evaluate and use meta-learners (`innerloop fewshot --help`)."


def main(words: Sequence[str]) -> None:
    """Run one of the few-shot commands."""
    from . import functions

    functions(COMMANDS, words, "innerloop fewshot")
