"""The few-shot commands that train: the demo, and training on whatever images there are.

JAX is imported when a command needs it.
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import tyro

from ._common import (
    NO_HOSTS,
    DataFolder,
    Devices,
    Folder,
    KeyValues,
    OneRun,
    prepare,
    say,
)

_RECIPE = "(default: the method's own)"
Int = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint=_RECIPE)]
Switch = Annotated[bool | None, tyro.conf.arg(metavar="True|False", help_behavior_hint=_RECIPE)]
Float = Annotated[float | None, tyro.conf.arg(metavar="X", help_behavior_hint=_RECIPE)]
Method = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="METHOD")]
Start = Annotated[
    str | None, tyro.conf.arg(metavar="LEARNER", help_behavior_hint="(default: at random)")
]


def demo(*, out: Path = Path("runs/demo-fewshot"), seed: int = 0) -> None:
    """Train the Meta-Learner LSTM on Omniglot, and test it on unseen characters.

    Nothing is downloaded. Writes results.json, learner.safetensors and metrics.jsonl.

    Args:
        out: The folder to write into; a former demo's files are replaced.
        seed: The same seed gives the same numbers on the same machine.
    """
    prepare()
    from ..experiments.fewshot.run import demo as run_demo

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
    warp: Float = None,
    out: Folder = None,
    seed: int = 0,
    resume: bool = False,
    start: Start = None,
    steps: Int = None,
    meta_batch_size: Int = None,
    learning_rate: Float = None,
    rule_learning_rate: Float = None,
    clip: Float = None,
    validate_every: Int = None,
    validation_problems: Int = None,
    checkpoint_every: Int = None,
    checkpoints_kept: Int = None,
    settings: KeyValues = (),
    side: int = 84,
    grey: bool = False,
    data_dir: DataFolder = None,
    tensorboard: bool = False,
    devices: Devices = None,
    hosts: OneRun = NO_HOSTS,
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
        warp: Turn, stretch and slant training images at random: 0.15 is up to 15 % and 8 degrees.
        out: The folder for checkpoints, metrics.jsonl and learner.safetensors, the best so far
            by validation.
        seed: The same seed gives the same numbers on the same machine.
        resume: Go on from the newest checkpoint in the folder.
        start: Begin at the parameters of this learner: a shipped one's name, a file, or a run's
            folder, of any method with the same network.
        steps: Meta-steps: updates of the meta-learner. With --start 0 is allowed: what it
            begins at is taken as it is.
        meta_batch_size: Episodes in a meta-step.
        learning_rate: The meta-learning rate.
        rule_learning_rate: That of the rule, where it is to learn faster than the initialisation.
        clip: The largest norm of a meta-gradient.
        validate_every: Meta-steps between validations.
        validation_problems: Episodes of a validation.
        checkpoint_every: Meta-steps between checkpoints.
        checkpoints_kept: How many of them stay, the newest ones.
        settings: Settings of the method, KEY=VALUE: steps=5 hidden=4 second_order=true.
        side: Images of a folder are brought to so many pixels.
        grey: Images of a folder are taken without their colour.
        data_dir: The folder that holds the data.
        tensorboard: Write TensorBoard logs too.
        devices: CPU cores to spread the episodes over, in every process.
    """
    prepare(devices, hosts)
    from ..experiments.fewshot.run import train_method
    from ..experiments.fewshot.sources import short_name

    folder = out or Path("runs") / f"{method}-{short_name(data)}-{way}w-{shot}s"
    asked = {
        "steps": steps,
        "meta_batch_size": meta_batch_size,
        "learning_rate": learning_rate,
        "clip": clip,
        "validate_every": validate_every,
        "validation_problems": validation_problems,
        "checkpoint_every": checkpoint_every,
        "checkpoints_kept": checkpoints_kept,
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
        warp=warp,
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
