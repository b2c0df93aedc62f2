"""What the candidates with a learned schedule share: how it is trained."""

from typing import Any

import jax
import optax

from ...metatrain import EvolutionStrategies, MetaGradient, TruncatedBackprop
from ...rules import Rule, ScheduledRule, StartedRule
from .._base import Scene, batch_size, divisor, objective
from ..look import Look

_FLOATS = 3e7
"""Numbers that a run may keep for the way back."""


def by_backprop(scene: Scene) -> MetaGradient:
    """Second order through whole runs: rates that are judged by the next steps alone end small."""
    look = scene.look
    size = batch_size(look)
    truncation = look.horizon
    while truncation > 10 and truncation * size * look.coordinates > _FLOATS:
        truncation = divisor(look.horizon, truncation - 1)
    return TruncatedBackprop(
        meta_batch_size=size,
        horizon=look.horizon,
        truncation=truncation,
        objective=objective(look),
        second_order=True,
        clip_each=1.0,
    )


def by_short_runs(scene: Scene) -> MetaGradient | None:
    """The first steps alone: for an initialisation they are nearly all that it needs."""
    short = max(10, scene.horizon // 10)
    if short >= scene.horizon:
        return None
    return TruncatedBackprop(
        meta_batch_size=int(min(32, 2 * batch_size(scene.look))),
        horizon=short,
        truncation=short,
        objective=objective(scene.look),
        second_order=True,
        clip_each=1.0,
    )


def by_evolution(scene: Scene) -> MetaGradient:
    """Whole runs of slightly different rules: for problems too large to go back through."""
    return EvolutionStrategies(
        meta_batch_size=batch_size(scene.look, most=16),
        horizon=scene.look.horizon,
        objective=objective(scene.look),
        sigma=0.1,
        judged=1.0,
    )


def can_go_back(look: Look) -> bool:
    """Whether ten steps of two problems fit."""
    return 20 * look.coordinates <= _FLOATS


def meta_optimizer(rule: Rule, rate: float) -> optax.GradientTransformation:
    """Adam: 0.03 for logarithms of rates, and a part of the inner rate for an initialisation."""

    def labels(tree: Any) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, _: "start" if getattr(path[0], "name", "") == "start" else "rates", tree
        )

    return optax.multi_transform({"start": optax.adam(rate / 3), "rates": optax.adam(0.03)}, labels)


def scheduled(scene: Scene, base: str, per: str = "array") -> ScheduledRule:
    """The base at the rate that it was tuned to."""
    rate = scene.rates.get(base, 0.01)
    return ScheduledRule(scene.params, base, horizon=scene.horizon, rate=rate, per=per)


def started(scene: Scene, base: str, per: str) -> StartedRule:
    """The same from an initialisation that begins as one of the task's own."""
    return StartedRule(scheduled(scene, base, per), scene.params)
