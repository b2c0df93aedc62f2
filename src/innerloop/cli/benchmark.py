"""`innerloop benchmark`: rules outside their family."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..errors import InnerloopError, UnknownNameError
from ._common import Place, prepare, say
from ._labels import labels
from ._settings import Flat, asks_for_help, named, parse, settings_type, some_of

SUMMARY = "Judge rules outside their family, on suites of tasks that none was trained on."
_DOC = """Judge rules outside their family, on suites of tasks that none was trained on.

zoo: fourteen small real tasks, speed-ups over tuned Adam. cutest: unconstrained problems of
CUTEst, performance and data profiles (needs the extra cutest). velodrome: two tasks of
learned_optimization, against its published envelopes (needs peers/velodrome.json in the data).

Two tables that are never mixed: untouched, every rule as it is, and tuned, where a factor of each
rule's steps is tuned as the rates of the baselines are. Writes results.json, report.md,
benchmark.png, and every run into cells/: the same command goes on where it was stopped, and runs
nothing twice. --full adds a horizon of 10,000 steps."""


def main(words: Sequence[str]) -> None:
    """Run the command; JAX is imported here."""
    if not asks_for_help(words):
        prepare(some_of(Place, words).flat.devices)
    from ..benchmark import BenchmarkSettings, run_benchmark, suite_of

    suite = suite_of(named(words, "--suite")["--suite"] or "zoo")
    horizons = suite.full if "--full" in words else suite.horizons
    given: dict[str, Any] = {"horizons": horizons, "seeds": suite.seeds}
    asked: Any = parse(_arguments_type(BenchmarkSettings, given), words, command="benchmark")
    if not asked.rules:
        raise UnknownNameError("Name a rule: innerloop benchmark RULE ... --suite NAME.")
    rules = {
        label: _rule(spec) for label, spec in zip(_names(asked.rules), asked.rules, strict=True)
    }
    folder = asked.place.out or Path("runs") / f"benchmark-{suite.name}"
    settings = BenchmarkSettings(**vars(asked.settings))
    run_benchmark(rules, suite, settings, folder, data_dir=asked.place.data, progress=True)
    say((folder / "report.md").read_text(encoding="utf-8"))
    say(f"Written to {folder}: results.json, report.md, benchmark.png")


def _rule(spec: str) -> Any:
    """A shipped rule, a file's, or what a file of the user's own makes."""
    import inspect

    from ..experiments.find import is_file
    from ..rules.files import load
    from ..userfiles import load_file_object

    if not is_file(spec):
        return load(spec)
    found = load_file_object(spec, "rule")
    try:
        return found() if inspect.isclass(found) else found
    except TypeError as error:
        raise InnerloopError(
            f"{spec} cannot be made without arguments ({error}); name an instance of it."
        ) from error


def _names(rules: Sequence[str]) -> list[str]:
    """Labels; an object of a file has its own name."""
    from ..experiments.find import is_file

    return labels([spec.rpartition(":")[2] if is_file(spec) else spec for spec in rules])


def _arguments_type(cls: Any, given: dict[str, Any]) -> type:
    settings = settings_type(cls, given, within="")
    arg = tyro.conf.arg
    fields: list[Any] = [
        ("rules", Annotated[tyro.conf.Positional[tuple[str, ...]], arg(
            help="Shipped rules' names (`innerloop list`), files, training runs' folders, or "
            "rules of your own as path/to/file.py:NAME.", metavar="RULE ...")]),
        ("suite", Annotated[str, arg(help="The tasks: zoo, cutest or velodrome.",
            metavar="NAME")], dataclasses.field(default="zoo")),
        ("full", Annotated[bool, arg(help="Longer horizons too: hours more.")],
            dataclasses.field(default=False)),
        ("place", Annotated[Place, Flat], dataclasses.field(default=Place())),
        ("settings", Annotated[settings, Flat], dataclasses.field(default_factory=settings)),
    ]  # fmt: skip
    return dataclasses.make_dataclass(
        "Benchmark", fields, frozen=True, kw_only=True, namespace={"__doc__": _DOC}
    )
