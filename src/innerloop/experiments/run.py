"""Running an experiment: training its rule, comparing rules on its task."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..comparison import Comparison, compare
from ..comparison.called import LEARNED
from ..comparison.results import versions
from ..metatrain import RunOptions, Trained, train
from ..report import About, training_page, write_page
from ..report.training import METRICS, read_metrics
from ..rules import Rule
from ..runtime.folders import inside, writable
from ..runtime.hosts import is_first
from ..runtime.invocation import command
from ..runtime.runfile import as_text
from .make import make_estimator, make_rule, make_task
from .optimizers.quadratic import QuadraticExperiment
from .outputs import write_comparison
from .settings import RunSettings


def train_experiment(
    settings: RunSettings, options: RunOptions, *, data_dir: str | None = None
) -> Trained:
    """Train the rule of a run.

    The run's settings are written to run.toml in its folder. Resuming it with other settings
    is refused.

    Args:
        settings: What is trained on what, and how.
        options: Where the run writes, and how it reports.
        data_dir: The folder that holds the data.

    Raises:
        InnerloopError: A part of the run cannot be made; and what `innerloop.train` raises.
    """
    task, rule = make_task(settings.task, data_dir), make_rule(settings)
    trained = train(
        task,
        rule,
        settings=settings.loop,
        estimator=make_estimator(settings),
        seed=settings.seed,
        options=dataclasses.replace(options, description=settings),
    )
    report_training(settings, options, f"Training on {settings.task.name}")
    return trained


def report_training(settings: Any, options: RunOptions, title: str) -> None:
    """Write report.html of a training run into its folder, where it has one.

    Args:
        settings: The run's.
        options: Where it wrote.
        title: What the page is called.
    """
    if options.out is None or not is_first() or not inside(Path(options.out), METRICS).is_file():
        return
    folder = Path(options.out)
    about = About(title=title, settings=as_text(settings), command=command())
    metrics, steps = read_metrics(folder), settings.loop.steps
    write_page(training_page(metrics, steps=steps, about=about, versions=versions()), folder)


def compare_experiment(
    settings: RunSettings,
    rules: Mapping[str, Rule],
    *,
    name: str,
    out: Path,
    data_dir: str | None = None,
    report: Callable[[str], None] = lambda message: None,
    show: Callable[[Comparison], None] = lambda comparison: None,
    name_of_first: str = LEARNED,
) -> Comparison:
    """Compare rules on the task of a run; write results.json, curves.png and report.html.

    Args:
        settings: The task, the sizes of the comparison, and the seed.
        rules: The rules by name. The first is the one that is judged.
        name: What the task is called.
        out: The folder.
        data_dir: The folder that holds the data.
        report: Called with a line of progress.
        show: Called with the comparison before it is written: the disk may be full.
        name_of_first: What the rule that is judged is called, see `called`.
    """
    writable(out)
    first, *others = rules
    comparison = compare(
        rules[first],
        make_task(settings.task, data_dir),
        settings.comparison,
        name=name,
        others={each: rules[each] for each in others},
        seed=settings.seed,
        report=report,
    )
    judged = dataclasses.replace(comparison.learned, name=name_of_first)
    comparison = dataclasses.replace(comparison, learned=judged)
    show(comparison)
    about = About(title=f"{first} on {name}", command=command(), settings=as_text(settings))
    write_comparison(comparison, out, about=about)
    return comparison


def demo(
    *,
    out: Path,
    seed: int = 0,
    report: Callable[[str], None] = lambda message: None,
    show: Callable[[Comparison], None] = lambda comparison: None,
) -> Comparison:
    """Train a rule on quadratics, compare it, and write everything into `out`."""
    began = time.perf_counter()
    writable(out)
    settings = QuadraticExperiment.settings
    loop = dataclasses.replace(settings.loop, checkpoint_every=None)
    # Three minutes are promised, and a schedule makes everyone worse on quadratics.
    sizes = dataclasses.replace(settings.comparison, baselines=("classic",))
    settings = dataclasses.replace(settings, loop=loop, comparison=sizes, seed=seed)
    trained = train_experiment(settings, RunOptions(out=out, progress=True))
    comparison = compare(
        trained.rule,
        make_task(settings.task),
        settings.comparison,
        name="quadratic",
        seed=seed,
        report=report,
    )
    show(comparison)
    write_comparison(
        comparison,
        out,
        train_seconds=round(trained.seconds, 1),
        total_seconds=time.perf_counter() - began,
        about=About(
            title="A rule trained on quadratics", command=command(), settings=as_text(settings)
        ),
    )
    return comparison
