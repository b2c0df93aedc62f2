"""From times to ratios: which sides of a case are compared, and what the ratio has to be."""

import contextlib
import dataclasses
import json
import os
import platform
import statistics
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

OUT = Path("runs/bench/results.json")
Times = dict[tuple[str, str], list[float]]
"""Seconds a unit of work, by case and side."""


@dataclasses.dataclass(frozen=True)
class Row:
    """`ours` against `peer` in one case."""

    case: str
    peer: str
    unit: str
    target: float | None = None
    ours: str = "ours"
    cost: bool = False
    """Whether the ratio is of costs (time, memory), the less the better, or of rates."""


def rows() -> list[Row]:
    """All comparisons, with the targets of the project."""
    quadratics, many = "quadratics, 128 problems", "quadratics, 1,024 problems"
    mlp = "MLP of 16k parameters, 8 problems"
    return [
        Row(quadratics, "torch.compile", "meta-steps/s", 2.0),
        Row(quadratics, "PyTorch eager", "meta-steps/s", 4.0),
        Row(quadratics, "our forward pass alone", "ms", 3.2, "our meta-gradient", cost=True),
        Row(many, "torch.compile", "meta-steps/s", 2.0),
        Row(many, "PyTorch eager", "meta-steps/s"),
        Row(mlp, "torch.compile", "meta-steps/s", 2.0),
        Row(mlp, "PyTorch eager", "meta-steps/s"),
        Row("arithmetic of 1,024 quadratics", "the machine's matrix products", "GFLOP/s"),
        Row("MAML 28×28, 5 steps", "PyTorch eager", "tasks/s", 2.5),
        Row("MAML 28×28, 1 step", "PyTorch eager", "tasks/s"),
        Row("Meta-Learner LSTM 84×84, 5-shot", "PyTorch eager", "episodes/s", 1.2),
        Row("Meta-Learner LSTM 28×28, 5-shot", "PyTorch eager", "episodes/s"),
        Row("an MLP's training step", "optax.adam", "ms", ours="learned rule", cost=True),
        Row("memory of an unroll of 100 steps", "automatic", "MB", 0.5, "adjoint", cost=True),
        Row("start of innerloop demo", "first run", "s", 0.4, "second run", cost=True),
    ]


def times_of(benchmarks) -> Times:
    """Each side's times from all turns."""
    times: Times = defaultdict(list)
    for one in benchmarks:
        if not one.stats.data:
            continue  # It failed.
        info = one.extra_info
        times[info["case"], info["side"]] += [t / info["per"] for t in one.stats.data]
    return dict(times)


def write(times: Times, **about: object) -> list[str]:
    """Writes `runs/bench/results.json`, and returns the table as lines of text."""
    found, lines = [], ["", _HEADER]
    for row in rows():
        sides = [times.get((row.case, side)) for side in (row.ours, row.peer)]
        if None in sides:
            continue
        ours, peer = (statistics.median(side) for side in sides)
        if row.unit.endswith("/s"):
            ours, peer = 1 / ours, 1 / peer
        elif row.unit == "ms":
            ours, peer = 1e3 * ours, 1e3 * peer
        spread = [_spread(side) for side in sides]
        found.append(
            {
                "case": row.case,
                "ours": ours,
                "peer": peer,
                "peer_name": row.peer,
                "unit": row.unit,
                "ratio": ours / peer,
                "target": row.target,
                "at_most": row.cost,
                "ours_spread": spread[0],
                "peer_spread": spread[1],
            }
        )
        lines.append(_line(found[-1]))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"machine": machine() | about, "rows": found}, indent=2) + "\n")
    return [*lines, f"Written to {OUT}."]


def _spread(times: list[float]) -> float:
    """Half the range from the first to the third quartile, as a share of the median."""
    if len(times) < 3:
        return 0.0
    first, median, third = statistics.quantiles(times, n=4)
    return (third - first) / 2 / median


_HEADER = f"{'case':<34}{'ours':>10} {'against':<31}{'peer':>9} {'unit':<13}{'ratio':>6}  target"


def _line(row: dict) -> str:
    sign = "≤" if row["at_most"] else "≥"
    target = "" if row["target"] is None else f"{sign} {row['target']}"
    if row["target"] is not None:
        met = (row["ratio"] <= row["target"]) if row["at_most"] else (row["ratio"] >= row["target"])
        target += "" if met else "  missed"
    return (
        f"{row['case']:<34}{row['ours']:>10.4g} {row['peer_name']:<31}{row['peer']:>9.4g} "
        f"{row['unit']:<13}{row['ratio']:>6.2f}  {target}"
    )


def machine() -> dict[str, object]:
    """The machine and the versions that were measured."""
    versions = {"jax": version("jax"), "python": platform.python_version()}
    with contextlib.suppress(PackageNotFoundError):
        versions["torch"] = version("torch")
    return {"processor": _processor(), "cores": os.cpu_count(), **versions}


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
