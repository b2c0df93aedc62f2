"""Reproducing a figure: train or take its rules, compare, draw, and say what came out."""

import dataclasses
import datetime
import json
import os
import platform
import shlex
import time
from pathlib import Path
from typing import Any

from ..comparison import Comparison, compare
from ..comparison.results import versions
from ..errors import RunError
from ..experiments import Choice, RunSettings
from ..experiments.find import find_run
from ..experiments.make import make_task
from ..experiments.run import train_experiment
from ..experiments.settings import trained_on
from ..metatrain import RunOptions
from ..plots import figures as plots
from ..report import About, curves_of, reproduction_page, write_page
from ..rules import Rule
from ..rules.files import describe, load, shipped_file
from ..runtime.files import write_output
from ..runtime.folders import inside, writable
from ..runtime.invocation import command as command_line
from ._base import ReproductionOptions
from .figures import Figure, Panel
from .paintings import draw_paintings
from .report import report_of, verdict


def reproduce(figure: Figure, options: ReproductionOptions) -> dict[str, Any]:
    """Write results.json, figure.png, report.md and report.html of `figure` into a folder.

    The rules are the shipped ones, or trained into the folder's `rules` by the settings that
    the shipped files hold, where they are not there yet.

    Args:
        figure: The figure.
        options: How it is made.

    Returns:
        What results.json holds.
    """
    out = writable(options.out)
    began = time.perf_counter()
    names = sorted({name for panel in figure.panels for name in (panel.rule, *panel.others)})
    rules = {
        name: load(shipped_file(name)) if options.shipped else _trained(name, options)
        for name in names
    }
    panels: list[dict[str, Any]] = []

    curves: list[dict[str, Any]] = []

    def write() -> dict[str, Any]:
        seconds = round(time.perf_counter() - began, 1)
        about = {"rules": _sources(names, options), "seconds": seconds}
        results = _write(figure, options, about, panels)
        said = "" if figure.paintings else verdict(results)
        page = About(title=figure.source, command=command_line())
        write_page(reproduction_page(results, curves, verdict=said, about=page), out)
        return results

    if figure.paintings:
        panels += draw_paintings(figure, rules, options)
        return write()
    comparisons: list[Comparison] = []
    for panel in figure.panels:
        if panel.repeats:
            comparisons.append(comparisons[-1])
            continue
        options.report(f"{panel.title}")
        comparisons.append(_compare(panel, rules, options))
        curves.append(curves_of(comparisons[-1]))
        panels.append(
            {
                "title": panel.title,
                "command": command(panel, options),
                **comparisons[-1].results(),
            }
        )
        # A figure may take an hour; what is done of it is there, whatever becomes of the rest.
        write()
    draw = plots.draw_summary if figure.summary else plots.draw_curves
    draw(_drawn(figure, comparisons), out / "figure.png", source=figure.source)
    return write()


def _drawn(figure: Figure, comparisons: list[Comparison]) -> list[plots.Panel]:
    return [
        plots.Panel(
            comparison=comparison,
            title=panel.title,
            rule=panel.rule,
            window=panel.window,
            median=panel.median,
        )
        for panel, comparison in zip(figure.panels, comparisons, strict=True)
    ]


def _write(
    figure: Figure,
    options: ReproductionOptions,
    about: dict[str, Any],
    panels: list[dict[str, Any]],
) -> dict[str, Any]:
    results = {
        "figure": figure.name,
        "source": figure.source,
        "claim": figure.claim,
        "rules": about["rules"],
        "seed": options.seed,
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": versions(),
        "seconds": about["seconds"],
        "panels": panels,
    }
    out = options.out
    write_output(out / "results.json", json.dumps(results, indent=2, allow_nan=False) + "\n")
    write_output(out / "report.md", report_of(figure, results, shipped=options.shipped))
    return results


def _sources(names: list[str], options: ReproductionOptions) -> dict[str, str]:
    return {name: "shipped" if options.shipped else f"rules/{name}" for name in names}


def command(panel: Panel, options: ReproductionOptions) -> str:
    """The command that makes a panel's comparison alone."""

    def place(name: str) -> str:
        return name if options.shipped else str(options.out / "rules" / name)

    words = ["innerloop", "compare", *map(place, (panel.rule, *panel.others))]
    words += ["--task", panel.task]
    for name, value in panel.settings.items():
        values = value if isinstance(value, tuple) else (value,)
        words += [f"--task.{name.replace('_', '-')}", *map(str, values)]
    words += ["--baselines", *panel.baselines] if panel.baselines else []
    problems = panel.problems if options.problems is None else options.problems
    numbers = {
        "--horizon": panel.horizon,
        "--horizon-multiple": panel.horizon_multiple,
        "--problems": problems,
        "--test-top-k": panel.test_top_k,
        "--seed": options.seed or None,
    }
    for option, number in numbers.items():
        words += [] if number is None else [option, str(number)]
    return shlex.join(words)


def settings_of(panel: Panel, options: ReproductionOptions) -> RunSettings:
    """What a panel compares: its experiment's settings, with its own in their place."""
    _, settings, _ = find_run(panel.task)
    given = {
        "problems": panel.problems if options.problems is None else options.problems,
        "horizon": panel.horizon,
        "horizon_multiple": panel.horizon_multiple,
        "test_top_k": panel.test_top_k,
        "baselines": panel.baselines or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(
        settings,
        task=Choice(settings.task.name, {**settings.task.settings, **panel.settings}),
        comparison=dataclasses.replace(settings.comparison, **given),
        seed=options.seed,
    )


def _compare(panel: Panel, rules: dict[str, Rule], options: ReproductionOptions) -> Comparison:
    settings = settings_of(panel, options)
    return compare(
        rules[panel.rule],
        make_task(settings.task, options.data_dir),
        settings.comparison,
        name=panel.task,
        others={name: rules[name] for name in panel.others},
        seed=settings.seed,
        report=options.report,
    )


def _trained(name: str, options: ReproductionOptions) -> Rule:
    """The rule that the shipped rule `name` was trained as; trained once, into the folder."""
    folder = inside(options.out, "rules", name)
    done = inside(folder, "trained.json")
    if done.is_file():
        return load(folder)
    settings = trained_on(describe(shipped_file(name))["run"])
    if settings is None:
        raise RunError(f"The shipped rule {name} does not say how it was trained.")
    options.report(f"training {name}")
    run = RunOptions(
        out=folder,
        resume=_is_begun(folder),
        progress=True,
        resume_hint="run the same command again",
    )
    trained = train_experiment(settings, run, data_dir=options.data_dir)
    write_output(done, json.dumps({"seconds": round(trained.seconds, 1)}) + "\n")
    return trained.rule


def _is_begun(folder: Path) -> bool:
    checkpoints = inside(folder, "checkpoints")
    return checkpoints.is_dir() and any(checkpoints.iterdir())
