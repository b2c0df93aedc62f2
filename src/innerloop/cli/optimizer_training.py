"""The command that trains an optimizer.

JAX is imported when a command needs it.
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ._common import (
    NO_HOSTS,
    OWN,
    DataFolder,
    Devices,
    Float,
    Folder,
    Int,
    KeyValues,
    OneRun,
    Switch,
    prepare,
    say,
)

Method = Annotated[
    Literal["backprop", "evolution"] | None,
    tyro.conf.arg(metavar="{backprop,evolution}", help_behavior_hint=OWN),
]
Objective = Annotated[
    Literal["uniform", "linear", "last", "log"] | None,
    tyro.conf.arg(metavar="{uniform,linear,last,log}", help_behavior_hint=OWN),
]
Begin = Annotated[
    str | None, tyro.conf.arg(metavar="RULE", help_behavior_hint="(default: begin afresh)")
]
Experiment = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="EXPERIMENT")]


def train(
    experiment: Experiment,
    *,
    out: Folder = None,
    seed: int = 0,
    resume: bool = False,
    begin: Begin = None,
    method: Method = None,
    steps: Int = None,
    problems: Int = None,
    horizon: Int = None,
    shortest: Int = None,
    window: Int = None,
    objective: Objective = None,
    second_order: Switch = None,
    learning_rate: Float = None,
    clip: Float = None,
    clip_each: Float = None,
    sigma: Float = None,
    validate_every: Int = None,
    checkpoint_every: Int = None,
    checkpoints_kept: Int = None,
    task_settings: KeyValues = (),
    rule_settings: KeyValues = (),
    data_dir: DataFolder = None,
    tensorboard: bool = False,
    devices: Devices = None,
    hosts: OneRun = NO_HOSTS,
) -> None:
    """Train an optimizer on an experiment (`innerloop list`) or on your own task.

    Ctrl-C stops it with a checkpoint; the same command with --resume goes on. Options left
    out are as the experiment has them.

    Args:
        experiment: A name (`innerloop list`), or your own task: path/to/file.py:name.
        out: The folder for checkpoints, metrics.jsonl and rule.safetensors, the best rule so
            far by validation.
        seed: The same seed gives the same numbers on the same machine.
        resume: Go on from the newest checkpoint in the folder.
        begin: The rule to train on from: a shipped one's name, a file, or a run's folder.
        method: Truncated backpropagation through time, or evolution strategies.
        steps: Meta-steps: updates of the rule.
        problems: Problems worked on at once.
        horizon: Inner steps before a problem makes way for a fresh one.
        shortest: Draw every problem's horizon from so many steps to the horizon.
        window: Inner steps backpropagated through at a time; it divides the horizon.
        objective: The loss weights over the horizon: all alike, growing with the step, only
            the last step, or the mean of the loss's logarithm.
        second_order: Keep the second derivatives that the paper leaves out.
        learning_rate: The meta-learning rate.
        clip: The largest norm of a meta-gradient.
        clip_each: The largest norm of one problem's meta-gradient.
        sigma: How far evolution strategies change the rule: a standard deviation.
        validate_every: Meta-steps between validations.
        checkpoint_every: Meta-steps between checkpoints.
        checkpoints_kept: How many of them stay, the newest ones.
        task_settings: Settings of the task, KEY=VALUE: hidden=40 activation=relu.
        rule_settings: Settings of the rule, KEY=VALUE: hidden=32 preprocessing=none.
        data_dir: The folder that holds the data.
        tensorboard: Write TensorBoard logs too.
        devices: CPU cores to spread the problems over, in every process.
    """
    prepare(devices, hosts)
    from ..experiments.find import find
    from ..experiments.run import train_experiment

    found = find(experiment)
    folder = out or Path("runs") / found.name.replace(":", "-")
    asked = {
        "method": method,
        "steps": steps,
        "problems": problems,
        "horizon": horizon,
        "shortest": shortest,
        "window": window,
        "objective": objective,
        "second_order": second_order,
        "learning_rate": learning_rate,
        "clip": clip,
        "clip_each": clip_each,
        "sigma": sigma,
        "validate_every": validate_every,
        "checkpoint_every": checkpoint_every,
        "checkpoints_kept": checkpoints_kept,
    }
    command = [word for word in sys.argv[1:] if word != "--resume"]
    trained = train_experiment(
        found,
        out=folder,
        seed=seed,
        resume=resume,
        begin=begin,
        task_settings=task_settings,
        rule_settings=rule_settings,
        training={name: value for name, value in asked.items() if value is not None},
        data_dir=None if data_dir is None else str(data_dir),
        tensorboard=tensorboard,
        resume_hint=f"run: innerloop {shlex.join(command)} --resume",
    )
    if trained.skipped:
        say(f"{trained.skipped} meta-steps were skipped: their gradient was not finite.")
    again = f"innerloop compare {shlex.quote(str(folder))} --task {shlex.quote(experiment)}"
    if task_settings:
        again += f" --task-settings {shlex.join(task_settings)}"
    say(
        f"Mean loss on validation problems: {trained.validation:.4g}, "
        f"after {trained.steps} meta-steps and {trained.seconds:.0f} s.\n"
        f"The best rule is in {folder}/rule.safetensors. Compare it with tuned baselines:\n"
        f"  {again}"
    )
