"""Running an experiment: training its rule, comparing rules on its task."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ..comparison import Comparison, compare
from ..metatrain import RunOptions, Trained, train
from ..rules import Rule
from ..runtime.folders import writable
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
    return train(
        task,
        rule,
        settings=settings.loop,
        estimator=make_estimator(settings),
        seed=settings.seed,
        options=dataclasses.replace(options, description=settings),
    )


def compare_experiment(
    settings: RunSettings,
    rules: Mapping[str, Rule],
    *,
    name: str,
    out: Path,
    data_dir: str | None = None,
    report: Callable[[str], None] = lambda message: None,
    show: Callable[[Comparison], None] = lambda comparison: None,
) -> Comparison:
    """Compare rules on the task of a run; write results.json and curves.png into `out`.

    Args:
        settings: The task, the sizes of the comparison, and the seed.
        rules: The rules by name. The first is the one that is judged.
        name: What the task is called.
        out: The folder.
        data_dir: The folder that holds the data.
        report: Called with a line of progress.
        show: Called with the comparison before it is written: the disk may be full.
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
    show(comparison)
    write_comparison(comparison, out)
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
    )
    return comparison
