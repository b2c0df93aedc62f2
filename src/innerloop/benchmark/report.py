"""The tables of a benchmark in Markdown."""

from collections.abc import Iterable
from typing import Any

HEADINGS = {
    "untouched": "## Untouched\n\nEvery optimizer as it is: rules as they are shipped, and "
    "baselines that need no tuning.",
    "tuned": "## One scalar tuned\n\nOne number is tuned on each task and horizon: the learning "
    "rate of a baseline, a factor of a rule's steps. Its first 17 values are a grid for all.",
}
"""What stands above each table; the two are never mixed."""


def speedup_tables(tables: dict[str, Any]) -> str:
    """The interquartile means of the speed-ups, and beneath them those of every task."""
    parts = []
    for table, horizons in tables.items():
        parts.append(HEADINGS[table])
        for horizon, entrants in horizons.items():
            parts.append(f"### {_steps(horizon)}")
            rows = [
                (
                    name,
                    _interval(found["speedup"]["steps"]),
                    found["speedup"]["steps"]["verdict"] or "–",
                    _interval(found["speedup"]["seconds"]),
                    found["speedup"]["seconds"]["verdict"] or "–",
                )
                for name, found in _ordered(entrants)
            ]
            heads = ("optimizer", "speed-up in steps", "", "speed-up in seconds", "")
            parts.append(_table(heads, rows))
            parts.append(_by_task(entrants))
    return "\n\n".join(parts)


def velodrome_tables(tables: dict[str, Any]) -> str:
    """The smoothed losses beside the published envelopes'."""
    parts = []
    for table, horizons in tables.items():
        parts.append(HEADINGS[table])
        for horizon, entrants in horizons.items():
            parts.append(f"### {_steps(horizon)}")
            rows = [
                (
                    *(name, task, _number(row["final"]), _number(row["published"])),
                    ("> " if row["beyond"] else "") + _number(row["speedup"]),
                )
                for name, found in entrants.items()
                for task, row in found["tasks"].items()
            ]
            parts.append(_table(("optimizer", "task", "loss", "envelope", "speed-up"), rows))
    return "\n\n".join(parts)


def profile_tables(tables: dict[str, Any]) -> str:
    """The shares of problems that are solved, and the areas under performance profiles."""
    parts = []
    for table, tolerances in tables.items():
        parts.append(HEADINGS[table])
        names = list(next(iter(tolerances.values())))
        rows = [
            (
                name,
                *(f"{100 * found[name]['solved']:.0f} %" for found in tolerances.values()),
                *(f"{found[name]['area']:.2f}" for found in tolerances.values()),
            )
            for name in names
        ]
        heads = (
            "optimizer",
            *(f"solved, τ = {each}" for each in tolerances),
            *(f"area, τ = {each}" for each in tolerances),
        )
        parts.append(_table(heads, rows))
    return "\n\n".join(parts)


def _by_task(entrants: dict[str, Any]) -> str:
    names = [name for name, _ in _ordered(entrants)]
    tasks = next(iter(entrants.values()))["tasks"]
    columns = [entrants[name]["tasks"] for name in names]
    rows = [
        (task, *(_number(column[task]["speedup"]["steps"]["value"]) for column in columns))
        for task in tasks
    ]
    return _table(("speed-up in steps", *names), rows)


def _ordered(entrants: dict[str, Any]) -> list[tuple[str, Any]]:
    """The fastest first."""
    return sorted(entrants.items(), key=lambda each: -(each[1]["speedup"]["steps"]["value"] or 0.0))


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = tuple(heads)
    lines = [heads, tuple("---" for _ in heads), *(tuple(row) for row in rows)]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _interval(found: dict[str, Any]) -> str:
    if found["value"] is None:
        return "–"
    if found["low"] is None:
        return _number(found["value"])
    return f"{_number(found['value'])} ({_number(found['low'])} to {_number(found['high'])})"


def _number(number: float | None) -> str:
    return "–" if number is None else f"{number:.3g}"


def _steps(horizon: str) -> str:
    return f"After {int(horizon):,} steps"
