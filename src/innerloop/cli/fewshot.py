"""The commands for few-shot learning: they parse, call and print.

JAX is imported when a command needs it.
"""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ._common import DataFolder, Devices, Folder, KeyValues, prepare, report, say

_RECIPE = "(default: the method's own)"
Int = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint=_RECIPE)]
Switch = Annotated[bool | None, tyro.conf.arg(metavar="True|False", help_behavior_hint=_RECIPE)]
Float = Annotated[float | None, tyro.conf.arg(metavar="X", help_behavior_hint=_RECIPE)]
Method = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="METHOD")]
Learner = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="LEARNER")]
Start = Annotated[
    str | None, tyro.conf.arg(metavar="LEARNER", help_behavior_hint="(default: at random)")
]
Input = Annotated[Path, tyro.conf.arg(metavar="DIR")]
Data = Annotated[
    str | None, tyro.conf.arg(metavar="DATA", help_behavior_hint="(default: what it learned on)")
]


def demo(*, out: Path = Path("runs/demo-fewshot"), seed: int = 0) -> None:
    """Train the Meta-Learner LSTM on Omniglot, and test it on unseen characters.

    Nothing is downloaded. Writes results.json, learner.safetensors and metrics.jsonl.

    Args:
        out: The folder to write into; a former demo's files are replaced.
        seed: The same seed gives the same numbers on the same machine.
    """
    prepare()
    from ..fewshot.run import demo as run_demo

    say(
        "Training the Meta-Learner LSTM to learn five handwritten characters from one drawing of "
        "each."
    )
    learned, pixels = run_demo(out=out, seed=seed)
    folder = shlex.quote(str(out))
    say(
        f"On {learned['episodes']} episodes of characters it has never seen it names "
        f"{100 * learned['accuracy']:.1f} ± {100 * learned['ci95']:.1f} % of the drawings rightly; "
        f"the nearest drawing, pixel by pixel, {100 * pixels['accuracy']:.1f} ± "
        f"{100 * pixels['ci95']:.1f} %.\nWritten to {out}: results.json, learner.safetensors\n"
        "\nNext:\n"
        f"  innerloop fewshot evaluate {folder} --split validation\n"
        "  innerloop fewshot list                          # the methods, and what is shipped\n"
        "  innerloop fewshot train protonet --data FOLDER  # on images of your own"
    )


def train(
    method: Method,
    *,
    data: str = "omniglot",
    way: int = 5,
    shot: int = 1,
    queries: Int = None,
    training_way: Int = None,
    flip: Switch = None,
    shift: Int = None,
    out: Folder = None,
    seed: int = 0,
    resume: bool = False,
    start: Start = None,
    steps: Int = None,
    problems: Int = None,
    learning_rate: Float = None,
    rule_learning_rate: Float = None,
    clip: Float = None,
    validate_every: Int = None,
    validation_problems: Int = None,
    checkpoint_every: Int = None,
    settings: KeyValues = (),
    side: int = 84,
    grey: bool = False,
    data_dir: DataFolder = None,
    tensorboard: bool = False,
    devices: Devices = None,
) -> None:
    """Train a few-shot method on episodes, and keep the best by validation.

    Ctrl-C stops it with a checkpoint; the same command with --resume goes on. Options left
    out are as the method has them.

    Args:
        method: meta-lstm, maml, meta-sgd, lstm, protonet, matching, matching-fce,
            nearest-neighbour or finetune (`innerloop fewshot list`).
        data: omniglot, miniimagenet, or a folder or zip file with a folder of images for each
            class.
        way: Classes in an episode.
        shot: Images of each class to learn from.
        queries: Images of each class to answer for, in training.
        training_way: Classes in an episode of training, where they may be more: methods that
            only compare learn better from many.
        flip: Mirror training images at random.
        shift: Move training images at random, by up to so many pixels.
        out: The folder for checkpoints, metrics.jsonl and learner.safetensors, the best so far
            by validation.
        seed: The same seed gives the same numbers on the same machine.
        resume: Go on from the newest checkpoint in the folder.
        start: Begin at the parameters of this learner: a shipped one's name, a file, or a run's
            folder, of any method with the same network.
        steps: Meta-steps: updates of the meta-learner. With --start 0 is allowed: what it
            begins at is taken as it is.
        problems: Episodes in a meta-step.
        learning_rate: The meta-learning rate.
        rule_learning_rate: That of the rule, where it is to learn faster than the initialisation.
        clip: The largest norm of a meta-gradient.
        validate_every: Meta-steps between validations.
        validation_problems: Episodes of a validation.
        checkpoint_every: Meta-steps between checkpoints.
        settings: Settings of the method, KEY=VALUE: steps=5 hidden=4 second_order=true.
        side: Images of a folder are brought to so many pixels.
        grey: Images of a folder are taken without their colour.
        data_dir: The folder that holds the data.
        tensorboard: Write TensorBoard logs too.
        devices: CPU cores to spread the episodes over.
    """
    prepare(devices)
    from ..fewshot.run import train_method
    from ..fewshot.sources import short_name

    folder = out or Path("runs") / f"{method}-{short_name(data)}-{way}w-{shot}s"
    asked = {
        "steps": steps,
        "problems": problems,
        "learning_rate": learning_rate,
        "clip": clip,
        "validate_every": validate_every,
        "validation_problems": validation_problems,
        "checkpoint_every": checkpoint_every,
    }
    command = [word for word in sys.argv[1:] if word != "--resume"]
    trained = train_method(
        method,
        data=data,
        way=way,
        shot=shot,
        out=folder,
        queries=queries,
        training_way=training_way,
        flip=flip,
        shift=shift,
        rule_learning_rate=rule_learning_rate,
        seed=seed,
        resume=resume,
        start=start,
        settings=settings,
        loop={name: value for name, value in asked.items() if value is not None},
        side=side,
        grey=grey,
        data_dir=None if data_dir is None else str(data_dir),
        tensorboard=tensorboard,
        resume_hint=f"run: innerloop {shlex.join(command)} --resume",
    )
    say(
        f"Accuracy on validation episodes: {100 * (1 - trained.validation):.2f} %, "
        f"after {trained.steps} meta-steps and {trained.seconds:.0f} s.\n"
        f"The best learner is in {folder}/learner.safetensors. Test it:\n"
        f"  innerloop fewshot evaluate {shlex.quote(str(folder))}"
    )


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
    from ..fewshot.files import load
    from ..fewshot.run import evaluate_learner, write_results

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
    from ..fewshot.files import load, shipped
    from ..fewshot.run import evaluate_learner, write_results
    from ..fewshot.sources import MINIIMAGENET, OMNIGLOT
    from ..fewshot.table import drawn

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
    from ..fewshot.adapt import adapt_folder, check_outside, table, write_predictions
    from ..fewshot.files import load
    from ..fewshot.sheet import draw_sheet
    from ..folders import writable

    found, recipe = load(learner)
    folder = out or Path("runs") / f"adapt-{recipe.name}"
    check_outside(folder, support, query)
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
    written = write_predictions(predictions, writable(folder), format)
    draw_sheet(predictions, folder / "sheet.png")
    say(table(predictions))
    images = len(predictions.names) + len(predictions.support)
    if predictions.inverted and invert == "auto":
        say(
            f"{predictions.inverted} of the {images} images were bright on the whole and were "
            "inverted: this learner expects white ink on black (--invert no leaves them alone)."
        )
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

    from ..fewshot.episode import EpisodeSampler
    from ..fewshot.files import load
    from ..fewshot.gates import check_has_gates, draw_gates, record_gates, write_gates
    from ..fewshot.run import images_for
    from ..folders import writable

    found, recipe = load(learner)
    check_has_gates(found)  # Before images are loaded.
    images = images_for(recipe, data=data, data_dir=None if data_dir is None else str(data_dir))
    shape = recipe.shape
    sampler = EpisodeSampler(images, way=shape.way, shot=shape.shot, queries=1)
    recorded = record_gates(found, sampler, key=jax.random.key(seed), episodes=episodes)
    folder = writable(out or Path("runs") / f"gates-{recipe.name}")
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
    width = max(map(len, shipped()), default=0)
    for name in shipped():
        run = describe(name).get("run", {})
        steps, start = run.get("training", {}).get("steps", "?"), run.get("start")
        began = "" if start is None else f", begun at {start}"
        say(f"  {name:<{width}}  {steps:>5} meta-steps{began}")
    if not shipped():
        say("  none")


COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": demo,
    "train": train,
    "evaluate": evaluate,
    "table": table,
    "adapt": adapt,
    "gates": gates,
    "list": list_,
}


def fewshot() -> None:
    """Few-shot learning: train, evaluate and use meta-learners (`innerloop fewshot --help`)."""
