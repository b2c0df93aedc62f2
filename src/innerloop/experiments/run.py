"""Running an experiment: training its rule, comparing a rule on its task."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from ..comparison import BASELINES, Comparison, Grid, compare
from ..errors import InnerloopError
from ..folders import writable
from ..metatrain import Trained, train
from ..options import parse_settings
from ..rules import Rule
from ..rules.files import describe, load
from ..tasks import Task
from ..tensors import shown
from ._base import Experiment
from .find import find_named, make_task
from .outputs import write_comparison
from .quadratic import EXPERIMENT as QUADRATIC
from .recipe import suited_to


def train_experiment(
    experiment: Experiment,
    *,
    out: Path,
    seed: int = 0,
    resume: bool = False,
    begin: str | None = None,
    task_settings: Sequence[str] = (),
    rule_settings: Sequence[str] = (),
    training: dict[str, Any] | None = None,
    data_dir: str | None = None,
    tensorboard: bool = False,
    resume_hint: str = "run the same command with --resume",
    leave_within: float | None = None,
) -> Trained:
    """Train the experiment's rule into the folder `out`, with `training` over its settings.

    Training goes on from the rule `begin` (a file, a folder or a shipped name), or begins with
    the experiment's own. The folder's settings.json remembers what the run was asked; resuming
    it with anything else is refused with an `InnerloopError` that names the difference.
    """
    rule_given = parse_settings(rule_settings, experiment.make_rule, "the rule")
    task = make_task(experiment, task_settings, data_dir)
    settings = dataclasses.replace(experiment.training or suited_to(task), **(training or {}))
    rule = _first_rule(experiment, seed, begin, rule_given)
    begun = begin or (None if rule_given else experiment.begin)
    description = {
        "experiment": experiment.name,
        "seed": seed,
        "task_settings": sorted(task_settings),
        "rule_settings": {**({} if begun else experiment.rule), **rule_given},
        **({} if begun is None else {"begin": begun}),
        "training": dataclasses.asdict(settings),
    }
    source = {} if experiment.source is None else {"source": experiment.source}
    return train(
        task,
        rule,
        settings=settings,
        seed=seed,
        out=out,
        resume=resume,
        progress=True,
        tensorboard=tensorboard,
        resume_hint=resume_hint,
        leave_within=leave_within,
        description={**description, **source},
        asked=description,
    )


def trained_on(rule: str | Path) -> tuple[Experiment, tuple[str, ...]]:
    """The built-in experiment that a rule's file names, and the settings of its task.

    A file names no code to run: where the rule was trained on a user's own task, the user has to
    give it. Raises `InnerloopError` then, and where the header says nothing of its training.
    """
    run = describe(rule).get("run")
    run = run if isinstance(run, dict) else {}
    name, settings = run.get("experiment"), run.get("task_settings", [])
    found = find_named(name) if isinstance(name, str) else None
    if found is None:
        said = run.get("source") or name
        what = (
            "does not say what it was trained on"
            if said is None
            else (f"was trained on {shown(said)}, which does not come with innerloop")
        )
        raise InnerloopError(f"{rule} {what}; give it a --task.")
    if not isinstance(settings, list) or not all(isinstance(each, str) for each in settings):
        raise InnerloopError(f"{rule} has settings of a task that are no text; give it a --task.")
    return found, tuple(settings)


def compare_experiment(
    experiment: Experiment,
    rule: Rule,
    *,
    out: Path,
    seed: int = 0,
    task_settings: Sequence[str] = (),
    problems: int | None = None,
    validation_problems: int | None = None,
    horizon: int | None = None,
    grid: Grid | None = None,
    baselines: Sequence[str] = (),
    finalists: int | None = None,
    others: Mapping[str, Rule] | None = None,
    data_dir: str | None = None,
    report: Callable[[str], None] = lambda message: None,
) -> Comparison:
    """Compare `rule` on the experiment's task; write results.json and curves.png into `out`."""
    writable(out)
    task = make_task(experiment, task_settings, data_dir)
    comparison = compare_on(
        task,
        rule,
        experiment,
        seed=seed,
        problems=problems,
        validation_problems=validation_problems,
        horizon=horizon,
        grid=grid,
        baselines=baselines,
        finalists=finalists,
        others=others,
        report=report,
    )
    write_comparison(comparison, out)
    return comparison


def compare_on(
    task: Task,
    rule: Rule,
    experiment: Experiment,
    *,
    seed: int,
    problems: int | None = None,
    validation_problems: int | None = None,
    horizon: int | None = None,
    grid: Grid | None = None,
    baselines: Sequence[str] = (),
    finalists: int | None = None,
    beyond: int | None = None,
    others: Mapping[str, Rule] | None = None,
    report: Callable[[str], None] = lambda message: None,
) -> Comparison:
    """`compare` with the experiment's own settings where none are given."""
    defaults = experiment.comparison
    return compare(
        rule,
        task,
        name=experiment.name,
        problems=defaults.problems if problems is None else problems,
        horizon=defaults.horizon if horizon is None else horizon,
        validation_problems=(
            defaults.validation_problems if validation_problems is None else validation_problems
        ),
        grid=defaults.grid if grid is None else grid,
        reference=defaults.reference,
        beyond=defaults.beyond if beyond is None else beyond,
        finalists=finalists,
        others=others,
        baselines=_named(baselines),
        seed=seed,
        report=report,
    )


def _named(baselines: Sequence[str]) -> dict[str, Any]:
    """Those of the baselines, or all where none is named."""
    unknown = [name for name in baselines if name not in BASELINES]
    if unknown:
        raise InnerloopError(
            f"There is no baseline '{unknown[0]}'; there are {', '.join(BASELINES)}."
        )
    return {name: make for name, make in BASELINES.items() if not baselines or name in baselines}


def demo(
    *, out: Path, seed: int = 0, report: Callable[[str], None] = lambda message: None
) -> Comparison:
    """The main job on quadratics: train a rule, compare it, write everything into `out`."""
    began = time.perf_counter()
    writable(out)
    experiment = QUADRATIC
    task = experiment.make_task()
    training = experiment.training or suited_to(task)
    settings = dataclasses.replace(training, checkpoint_every=None)
    rule = experiment.new_rule(key=jax.random.key(seed))
    description = {
        "experiment": experiment.name,
        "seed": seed,
        "training": dataclasses.asdict(settings),
    }
    trained = train(
        task, rule, settings=settings, seed=seed, out=out, progress=True, description=description
    )
    comparison = compare_on(task, trained.rule, experiment, seed=seed, report=report)
    write_comparison(
        comparison,
        out,
        train_seconds=round(trained.seconds, 1),
        total_seconds=time.perf_counter() - began,
    )
    return comparison


def _first_rule(
    experiment: Experiment, seed: int, begin: str | None, settings: dict[str, Any]
) -> Rule:
    if begin is not None:
        if settings:
            raise InnerloopError("--rule-settings are those of a new rule; --begin has its own.")
        return load(begin)
    try:
        return experiment.new_rule(key=jax.random.key(seed), **settings)
    except TypeError as error:
        raise InnerloopError(f"The rule cannot be made: {error}.") from error
