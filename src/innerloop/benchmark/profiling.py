"""A suite's runs as profiles: how many of its problems each entrant solves, and how fast."""

from typing import Any

import numpy as np
from jaxtyping import Float

from .measuring import Measured
from .profiles import data_profile, performance_profile, solved_at
from .settings import Table

TOLERANCES = (1e-1, 1e-3, 1e-5)
"""τ: the part of the reachable decrease that may be left."""
_RATIOS = np.geomspace(1, 100, 41)


def profiled(measured: Measured) -> dict[str, Any]:
    """What results.json holds of a suite of problems without noise: by table and tolerance.

    Each entrant has the share of problems that it solves, both profiles, and the area under its
    performance profile over log α, as a part of what there is.

    A problem counts as solved where the part of the reachable decrease that is left is at most the
    tolerance. What is reachable is the lowest value that any entrant of either table reached.

    Args:
        measured: The runs; of each problem the first seed's counts, and of each entrant the
            longest horizon's.
    """
    return {
        table: {f"{tolerance:g}": _profiles(measured, table, tolerance) for tolerance in TOLERANCES}
        for table in measured.settings.tables
    }


def _profiles(measured: Measured, table: Table, tolerance: float) -> dict[str, Any]:
    costs = {name: _costs(measured, table, name, tolerance) for name in measured.names(table)}
    budgets = np.unique(np.geomspace(1, max(measured.settings.horizons), 41).round())
    performance, data = performance_profile(costs, _RATIOS), data_profile(costs, budgets)
    return {
        name: {
            "solved": float(np.mean(np.isfinite(cost))),
            "area": float(np.mean(performance[name])),
            "performance": {"ratios": _RATIOS.tolist(), "share": performance[name].tolist()},
            "data": {"evaluations": budgets.tolist(), "share": data[name].tolist()},
        }
        for name, cost in costs.items()
    }


def _costs(
    measured: Measured, table: Table, name: str, tolerance: float
) -> Float[np.ndarray, " problems"]:
    found = []
    for task in measured.tasks:
        losses = _curve(measured, task, table, name)
        found.append(solved_at(losses, float(losses[0]), _lowest(measured, task), tolerance))
    return np.asarray(found)


def _curve(measured: Measured, task: str, table: Table, name: str) -> Float[np.ndarray, " steps"]:
    return measured.losses[task, max(measured.settings.horizons), table, name][:, 0]


def _lowest(measured: Measured, task: str) -> float:
    """The lowest finite value that anybody reached."""
    curves = [_curve(measured, task, each.table, each.name) for each in measured.entrants]
    every = np.concatenate(curves).astype(float)
    return float(np.min(every[np.isfinite(every)], initial=np.inf))
