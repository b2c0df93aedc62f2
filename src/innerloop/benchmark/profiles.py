"""Performance profiles (Dolan & Moré 2002) and data profiles (Moré & Wild 2009)."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

Costs = Mapping[str, Float[np.ndarray, " problems"]]


def solved_at(
    losses: Float[np.ndarray, " steps"], first: float, lowest: float, tolerance: float
) -> float:
    """The step at which a solver first has f(x) ≤ f_L + τ (f(x₀) − f_L); infinity for never.

    That is Moré and Wild's test: the part of the reachable decrease that is left is at most τ.

    Args:
        losses: f at steps 0, 1, …; what is not finite never counts.
        first: f(x₀).
        lowest: f_L, the lowest value that any solver reached.
        tolerance: τ, from 0 to 1.
    """
    with np.errstate(invalid="ignore"):
        reached = losses <= lowest + tolerance * (first - lowest)
    return float(np.argmax(reached)) if np.any(reached) else float("inf")


def performance_profile(
    costs: Costs, ratios: Float[np.ndarray, " ratios"]
) -> dict[str, Float[np.ndarray, " ratios"]]:
    """For each solver, the share of problems that it solves at α times the best solver's cost.

    Args:
        costs: Of each solver, what each problem costs; infinity for what it does not solve. A
            problem that nobody solves counts as unsolved for all.
        ratios: The values of α, from 1.

    Returns:
        For each solver, the share at each α, from 0 to 1.

    References:
        Dolan & Moré, "Benchmarking optimization software with performance profiles" (2002).
    """
    best = np.min(np.stack(list(costs.values())), axis=0)
    found = {}
    for name, cost in costs.items():
        with np.errstate(invalid="ignore"):
            # A cost of 0 is a problem that is solved where it begins.
            ratio = np.where(cost == best, 1.0, cost / np.maximum(best, 1.0))
        ratio = np.where(np.isfinite(cost), ratio, np.inf)
        found[name] = np.mean(ratio[:, None] <= ratios, axis=0)
    return found


def data_profile(
    costs: Costs, budgets: Float[np.ndarray, " budgets"]
) -> dict[str, Float[np.ndarray, " budgets"]]:
    """For each solver, the share of problems that it solves within a budget.

    Moré and Wild count function values in units of n + 1, what a gradient costs by differences.
    Here gradients are counted as they are.

    Args:
        costs: As for `performance_profile`, in evaluations of the gradient.
        budgets: Numbers of evaluations.

    Returns:
        For each solver, the share at each budget, from 0 to 1.

    References:
        Moré & Wild, "Benchmarking derivative-free optimization algorithms" (2009).
    """
    return {name: np.mean(cost[:, None] <= budgets, axis=0) for name, cost in costs.items()}
