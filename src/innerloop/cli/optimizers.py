"""The commands that learn optimizers: they parse, call and print.

JAX is imported when a command needs it.
"""

import shlex
from pathlib import Path
from typing import Annotated, Any

import tyro

from ._common import (
    OWN,
    DataFolder,
    Devices,
    Folder,
    Int,
    KeyValues,
    Names,
    prepare,
    report,
    say,
)

Rates = Annotated[
    tuple[float, float] | None, tyro.conf.arg(metavar="LOW HIGH", help_behavior_hint=OWN)
]
Figure = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
Task = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="TASK", help_behavior_hint="(default: what the rule was trained on, if built in)"
    ),
]
Rule = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RULE")]


def demo(*, out: Path = Path("runs/demo"), seed: int = 0) -> None:
    """Train an optimizer on random quadratics and compare it with tuned ones: two minutes.

    Writes results.json, curves.png, rule.safetensors and metrics.jsonl.

    Args:
        out: The folder to write into; a former demo's files are replaced.
        seed: The same seed gives the same numbers on the same machine.
    """
    prepare()
    from ..experiments.run import demo as run_demo

    say("Training a small LSTM to be an optimizer, on random quadratics in ten dimensions.")
    comparison = run_demo(out=out, seed=seed, report=report)
    _show(comparison, out)
    say(
        "\nNext:\n"
        f"  innerloop compare {shlex.quote(str(out))} --task quadratic --horizon 200\n"
        "  innerloop train mnist                           # an optimizer for neural networks\n"
        "  innerloop train examples/sinusoid.py:Sinusoid   # one for a task of your own"
    )


def compare(
    rule: Rule,
    *,
    task: str,
    problems: Int = None,
    validation_problems: Int = None,
    horizon: Int = None,
    out: Folder = None,
    seed: int = 0,
    rates: Rates = None,
    points_per_decade: int = 4,
    baselines: Names = (),
    finalists: Int = None,
    also: Names = (),
    task_settings: KeyValues = (),
    data_dir: DataFolder = None,
    devices: Devices = None,
) -> None:
    """Compare a rule with SGD, Nesterov momentum, RMSprop, Adam and AdamW, each tuned.

    Prints a table and writes results.json and curves.png.

    Args:
        rule: A shipped rule's name (`innerloop list`), a file, or a training run's folder.
        task: A name (`innerloop list`), or your own task: path/to/file.py:name.
        problems: Unseen problems to compare on.
        validation_problems: Others, that the baselines' learning rates are tuned on.
        horizon: The step at which the optimizers are judged; most tasks run on to twice as many.
        out: The folder to write into.
        seed: Another seed, other problems.
        rates: The lowest and highest learning rate tried at first; the grid extends itself
            while the best is at an edge.
        points_per_decade: Learning rates tried in each decade, 4 or more.
        baselines: Only these of sgd, nesterov, rmsprop, adam, adamw.
        finalists: How many of them, the best on validation problems, meet the test problems.
        also: More learned rules to show beside it.
        task_settings: Settings of the task, KEY=VALUE: hidden=40 activation=relu.
        data_dir: The folder that holds the data.
        devices: CPU cores to spread the problems over.
    """
    prepare(devices)
    from ..comparison import Grid
    from ..experiments.find import find
    from ..experiments.run import compare_experiment
    from ..rules.files import load

    found = find(task)
    default = found.comparison.grid
    low, high = rates or (default.low, default.high)
    grid = Grid(low=low, high=high, points_per_decade=points_per_decade)
    label = Path(rule).parent.name if rule.endswith("rule.safetensors") else Path(rule).stem
    folder = out or Path("runs") / f"compare-{label}-{found.name}".replace(":", "-")
    comparison = compare_experiment(
        found,
        load(rule),
        out=folder,
        seed=seed,
        task_settings=task_settings,
        problems=problems,
        validation_problems=validation_problems,
        horizon=horizon,
        grid=grid,
        baselines=baselines,
        finalists=finalists,
        others={Path(name).stem: load(name) for name in also},
        data_dir=None if data_dir is None else str(data_dir),
        report=report,
    )
    _show(comparison, folder)


def reproduce(
    name: Figure,
    *,
    shipped: bool = False,
    out: Folder = None,
    seed: int = 0,
    problems: Int = None,
    data_dir: DataFolder = None,
    devices: Devices = None,
) -> None:
    """Reproduce a figure of a paper: `innerloop reproduce list` names them.

    Writes results.json, figure.png and report.md: the claim, what was measured, a verdict.

    Args:
        name: A figure's name, or `list`.
        shipped: Use the shipped rules; without it they are trained first, which may take hours.
        out: The folder to write into.
        seed: Another seed, other problems.
        problems: Unseen problems to compare on.
        data_dir: The folder that holds the data.
        devices: CPU cores to spread the problems over.
    """
    prepare(devices)
    from ..folders import read_text
    from ..reproduce import FIGURES, find_figure, reproduce as run_reproduce

    if name == "list":
        for figure in FIGURES:
            say(
                f"{figure.name:<30} {figure.source}\n{'':<30} about {figure.minutes} min with "
                f"--shipped, and {figure.training_minutes} more to train its rules first"
            )
        return
    figure = find_figure(name)
    folder = out or Path("runs") / f"reproduce-{figure.name}"
    results = run_reproduce(
        figure,
        out=folder,
        shipped=shipped,
        seed=seed,
        problems=problems,
        data_dir=None if data_dir is None else str(data_dir),
        report=report,
    )
    say(read_text(folder / "report.md"))
    say(f"Written to {folder} in {results['seconds']:.0f} s: results.json, figure.png, report.md")


def inspect(
    rule: Rule,
    *,
    task: Task = None,
    steps: int = 100,
    out: Folder = None,
    seed: int = 0,
    task_settings: KeyValues = (),
    data_dir: DataFolder = None,
) -> None:
    """Draw what a rule does: its steps beside SGD's and Adam's on the same gradients.

    Writes inspect.png: gradients and proposed steps of a few coordinates of one fresh problem,
    and the size of the steps over time.

    Args:
        rule: A shipped rule's name (`innerloop list`), a file, or a training run's folder.
        task: A name (`innerloop list`), or your own task: path/to/file.py:name. A rule that was
            trained on a task of yours needs it, since no file's word is taken for what to run.
        steps: Steps to run.
        out: The folder to write into.
        seed: Another seed, another problem.
        task_settings: Settings of the task, KEY=VALUE: hidden=40 activation=relu.
        data_dir: The folder that holds the data.
    """
    prepare(1)
    from ..experiments.find import find, make_task
    from ..experiments.run import trained_on
    from ..folders import writable
    from ..inspection import draw_inspection, inspect as run_inspect
    from ..rules.files import load

    found, settings = trained_on(rule) if task is None else (find(task), ())
    settings = task_settings or settings
    made = make_task(found, settings, None if data_dir is None else str(data_dir))
    folder = writable(out or Path("runs") / f"inspect-{Path(rule).stem}")
    inspection = run_inspect(load(rule), made, steps=steps, seed=seed)
    named = " ".join([found.name, *settings])
    path = draw_inspection(
        inspection, folder / "inspect.png", title=f"{Path(rule).stem} on {named}"
    )
    say(
        f"On one problem of {named} the loss went from {inspection.losses[0]:.4g} to "
        f"{inspection.losses[-1]:.4g} before the last of {steps} steps.\nWritten to {path}"
    )


def list_() -> None:
    """List the experiments and the rules that come with innerloop."""
    from ..experiments.find import find, names
    from ..rules.files import describe, shipped

    say("Experiments, for `innerloop train` and `innerloop compare --task`:")
    for name in names():
        say(f"  {name:<20} {find(name).summary}")
    say(f"  {'FILE.py:NAME':<20} your own task, an innerloop.Task in a file")
    say("\nShipped rules, for `innerloop compare` and `innerloop.load`:")
    for name in shipped():
        header = describe(name)
        run = header.get("run", {})
        trained_on = " ".join(
            [run.get("experiment", "an unknown task"), *run.get("task_settings", [])]
        )
        say(f"  {name:<24} {header['rule']}, trained on {trained_on}")
    if not shipped():
        say("  none")


def _show(comparison: object, folder: Path) -> None:
    from rich.console import Console

    from ..comparison import Comparison, table

    assert isinstance(comparison, Comparison)
    say("")
    Console().print(table(comparison))
    say(f"{_outcome(comparison)}\nWritten to {folder}: results.json, curves.png")


def _outcome(comparison: Any) -> str:
    best, horizon = comparison.best_baseline.name, comparison.horizon
    if not comparison.has_best:
        return f"No baseline's mean loss at step {horizon} is finite: there is no best one."
    if comparison.results()["ratio"] is None:
        return f"The learned rule's mean loss at step {horizon} is not finite."
    return (
        f"The learned rule's mean loss at step {horizon} is {comparison.ratio:.4g} "
        f"times that of the best baseline, {best}{_by_problem(comparison)}."
    )


def _by_problem(comparison: Any) -> str:
    """The difference on the same problems, which their difficulty does not blur."""
    paired = comparison.results()["paired"]
    if paired["difference"] is None or paired["ci95"] is None:
        return ""
    return (
        f"; on the same problems they differ by {paired['difference']:+.3g} ± {paired['ci95']:.2g}"
    )
