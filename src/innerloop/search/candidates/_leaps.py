"""What the candidates with leaps share: the units of the network, and how it is trained."""

from collections.abc import Hashable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from ...inner import InnerLoop, unroll
from ...metatrain import TruncatedBackprop
from ...rules import LeapRule, Rule, ScheduledRule
from ...rules._flat import ravel
from ...tasks import TaskFamily
from .._base import Scene, affordable, objective
from ..look import Look

LARGEST = 20_000
"""Coordinates up to which the network is small enough."""
NEARER = 0.1
"""How much nearer to the solution leaps end than runs begin: what first rates are multiplied by."""
_SMALL = 100
_LEAPS = 4
_PROBLEMS = 64
_LOOK_SECONDS = 10.0  # Of the runs that give the units.
_SECONDS = 0.1  # Of a meta-step, at most.
_LEAST = 1e-3  # A unit, in terms of the mean one.


def leaping(scene: Scene, rule: Rule) -> LeapRule:
    """Leaps before `rule`, in units of what tuned Adam meets and how far it goes."""
    adam = ScheduledRule(scene.params, "adam", horizon=scene.horizon, rate=scene.rate)
    problem_keys = jax.random.split(scene.key, affordable(scene.look, _LOOK_SECONDS, _PROBLEMS))
    slopes, spread = _units(adam, scene.task, problem_keys, scene.horizon)
    hidden = 128 if scene.look.coordinates <= 1000 else 64
    return LeapRule(
        *(rule, scene.params),
        key=scene.key,
        leaps=min(_LEAPS, max(1, scene.horizon // 10)),
        hidden=hidden,
        slopes=slopes,
        spread=spread,
    )


@eqx.filter_jit
def _units(rule: Rule, task: TaskFamily, problem_keys: Array, horizon: int) -> tuple[Array, Array]:
    """(sizes of first gradients, distances that the rule goes), float [coordinates] each."""
    loop = InnerLoop.init(rule, task, problem_keys)
    ended, _ = unroll(rule, task, loop, horizon)
    flat = jax.vmap(lambda tree: ravel(tree, jnp.float32))
    return _usual(flat(loop.grads)), _usual(flat(ended.params) - flat(loop.params))


def _usual(vectors: Array) -> Array:
    """The root mean square of each coordinate over problems, but never near 0."""
    squares = jnp.where(jnp.isfinite(vectors), vectors, 0.0) ** 2
    means = jnp.mean(squares, axis=0)
    return jnp.sqrt(means + _LEAST**2 * jnp.mean(means) + 1e-30)


def by_leaps(scene: Scene) -> TruncatedBackprop:
    """Each leap by the loss where it lands.

    Small problems are differentiated twice, so that a leap learns to land where the gradient tells
    the next one more.
    A problem's meta-gradient is not clipped by itself: it would be as large as the network.
    """
    leaps = min(_LEAPS, max(1, scene.horizon // 10))
    room = _SECONDS / (scene.look.gradient_seconds * leaps)
    return TruncatedBackprop(
        meta_batch_size=int(max(2, min(128, room) // 2 * 2)),
        horizon=leaps,
        truncation=leaps,
        objective=objective(scene.look),
        stagger=False,
        second_order=scene.look.coordinates <= _SMALL,
    )


def suits_leaps(look: Look) -> bool:
    """Whether the network is small enough, and the way back through the runs fits."""
    return look.coordinates <= LARGEST


def leap_optimizer(rate: float) -> optax.GradientTransformation:
    """Adam for the leaps: 0.001 for the network, and a part of the inner rate for `start`."""
    return _apart(network=optax.adam(1e-3), start=optax.adam(rate / 3), rule=optax.set_to_zero())


def rule_optimizer(scene: Scene) -> optax.GradientTransformation:
    """Adam for the logarithms of rates of the rule that goes on.

    The leaps go along where the way back is a smooth one: small problems without noise.
    """
    small = scene.look.coordinates <= _SMALL and not scene.look.noisy
    leaps = optax.adam(1e-3) if small else optax.set_to_zero()
    start = optax.adam(scene.rate / 3) if small else optax.set_to_zero()
    return _apart(network=leaps, start=start, rule=optax.adam(0.03))


def _apart(**parts: optax.GradientTransformation) -> optax.GradientTransformation:
    whole: dict[Hashable, optax.GradientTransformation] = {**parts}

    def labels(tree: Any) -> Any:
        def label(path: Any, _: Any) -> str:
            name = getattr(path[0], "name", "")
            return name if name in parts else "network"

        return jax.tree_util.tree_map_with_path(label, tree)

    return optax.multi_transform(whole, labels)
