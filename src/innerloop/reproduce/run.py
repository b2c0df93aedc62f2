"""Reproducing a figure: train or take its rules, compare, draw, and say what came out."""

import dataclasses
import datetime
import json
import os
import platform
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..comparison import Comparison
from ..comparison.comparison import versions
from ..errors import InnerloopError
from ..experiments.find import find, find_named, make_task
from ..experiments.run import compare_on, train_experiment
from ..folders import inside, writable, write_output
from ..metatrain import TrainingSettings
from ..rules import Rule
from ..rules.files import describe, load, shipped_file
from .draw import draw_curves, draw_summary
from .figures import Figure, Panel
from .paintings import draw_paintings
from .report import report_of

Report = Callable[[str], None]


def reproduce(
    figure: Figure,
    *,
    out: Path,
    shipped: bool = False,
    seed: int = 0,
    problems: int | None = None,
    data_dir: str | None = None,
    report: Report = lambda message: None,
) -> dict[str, Any]:
    """Write results.json, figure.png and report.md of `figure` into `out`.

    The rules are the shipped ones, or trained into `out`/rules by the recipes that the
    shipped files hold, where they are not there yet. Returns what results.json holds. Raises
    `InnerloopError` where fewer than two `problems` are asked for.
    """
    if problems is not None and problems < 2:
        raise InnerloopError(f"problems is {problems}; it must be at least 2.")
    writable(out)
    began = time.perf_counter()
    names = sorted({name for panel in figure.panels for name in (panel.rule, *panel.others)})
    rules = {
        name: load(shipped_file(name))
        if shipped
        else _trained(name, inside(out, "rules", name), data_dir, report)
        for name in names
    }
    comparisons: list[Comparison] = []
    panels: list[dict[str, Any]] = []

    def written() -> dict[str, Any]:
        results = {
            "figure": figure.name,
            "source": figure.source,
            "claim": figure.claim,
            "rules": {name: "shipped" if shipped else f"rules/{name}" for name in names},
            "seed": seed,
            "date": datetime.date.today().isoformat(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
            "versions": versions(),
            "seconds": round(time.perf_counter() - began, 1),
            "panels": panels,
        }
        write_output(out / "results.json", json.dumps(results, indent=2, allow_nan=False) + "\n")
        write_output(out / "report.md", report_of(figure, results, shipped=shipped))
        return results

    if figure.paintings:
        panels += draw_paintings(
            figure, rules, out / "figure.png", seed=seed, data_dir=data_dir, report=report
        )
        return written()
    for panel in figure.panels:
        if panel.repeats:
            comparisons.append(comparisons[-1])
            continue
        report(f"{panel.title}")
        comparison = _compare(panel, rules, seed, problems, data_dir, report)
        comparisons.append(comparison)
        panels.append(
            {
                "title": panel.title,
                "command": command(panel, seed, problems, None if shipped else out / "rules"),
                **comparison.results(),
            }
        )
        # A figure may take an hour; what is done of it is there, whatever becomes of the rest.
        written()
    draw = draw_summary if figure.summary else draw_curves
    draw(figure, comparisons, out / "figure.png")
    return written()


def command(panel: Panel, seed: int, problems: int | None, rules: Path | None = None) -> str:
    """The command that makes a panel's comparison alone.

    The rules are those of the folder `rules`, or else the shipped ones.
    """

    def place(name: str) -> str:
        return name if rules is None else str(rules / name)

    words = ["innerloop", "compare", place(panel.rule), "--task", panel.task]
    for option, values in (
        ("--task-settings", panel.settings),
        ("--baselines", panel.baselines),
        ("--also", [place(name) for name in panel.others]),
    ):
        words += [option, *values] if values else []
    words += ["--horizon", str(panel.horizon)] if panel.horizon is not None else []
    problems = panel.problems if problems is None else problems
    words += ["--problems", str(problems)] if problems is not None else []
    words += ["--finalists", str(panel.finalists)] if panel.finalists is not None else []
    words += ["--seed", str(seed)] if seed else []
    return shlex.join(words)


def _compare(
    panel: Panel,
    rules: dict[str, Rule],
    seed: int,
    problems: int | None,
    data_dir: str | None,
    report: Report,
) -> Comparison:
    experiment = find(panel.task)
    return compare_on(
        make_task(experiment, panel.settings, data_dir),
        rules[panel.rule],
        experiment,
        seed=seed,
        problems=panel.problems if problems is None else problems,
        horizon=panel.horizon,
        baselines=panel.baselines,
        finalists=panel.finalists,
        beyond=panel.beyond,
        others={name: rules[name] for name in panel.others},
        report=report,
    )


def _trained(name: str, folder: Path, data_dir: str | None, report: Report) -> Rule:
    """The rule that the recipe of the shipped rule `name` gives; trained once, into `folder`."""
    recipe = describe(shipped_file(name))["run"]
    experiment = find_named(recipe["experiment"])
    assert experiment is not None, f"{name} was trained on none of the experiments"
    settings = TrainingSettings(**recipe["training"])
    done = inside(folder, "trained.json")
    if done.is_file():
        return load(folder)
    report(f"training {name}")
    rule_settings = [f"{key}={value}" for key, value in recipe.get("rule_settings", {}).items()]
    trained = train_experiment(
        experiment,
        out=folder,
        seed=recipe["seed"],
        resume=(folder / "settings.json").is_file(),
        begin=recipe.get("begin"),
        task_settings=recipe.get("task_settings", ()),
        rule_settings=rule_settings,
        # What a recipe leaves out did not exist when it was written, and meant what is default.
        training=dataclasses.asdict(settings),
        data_dir=data_dir,
        resume_hint="run the same command again",
    )
    write_output(done, json.dumps({"seconds": round(trained.seconds, 1)}) + "\n")
    return trained.rule
