"""What the candidates with leaps share: the units of the network, and how it is trained."""

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
from .._base import Scene, objective
from ..look import Look

LARGEST = 20_000
"""Coordinates up to which the network is small enough."""
NEARER = 0.1
"""How much nearer to the solution leaps end than runs begin: what first rates are multiplied by."""
_LEAPS = 4
_PROBLEMS = 64
_SECONDS = 0.1  # Of a meta-step, at most.
_LEAST = 1e-3  # A unit, in terms of the mean one.


def leaping(scene: Scene, rule: Rule) -> LeapRule:
    """Leaps before `rule`, in units of what tuned Adam meets and how far it goes."""
    adam = ScheduledRule(scene.params, "adam", horizon=scene.horizon, rate=scene.rate)
    problem_keys = jax.random.split(scene.key, _PROBLEMS)
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
    """Each leap by the loss where it lands: nothing is differentiated twice.

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
    )


def suits_leaps(look: Look) -> bool:
    """Whether the network is small enough, and the way back through the runs fits."""
    return look.coordinates <= LARGEST


def leap_optimizer(rule: Rule, rate: float) -> optax.GradientTransformation:
    """Adam: 0.001 for the network, a part of the inner rate for `start`, 0.03 for log rates."""

    def labels(tree: Any) -> Any:
        def label(path: Any, _: Any) -> str:
            name = getattr(path[0], "name", "")
            return name if name in ("rule", "start") else "network"

        return jax.tree_util.tree_map_with_path(label, tree)

    parts = {"network": 1e-3, "start": rate / 3, "rule": 0.03}
    return optax.multi_transform({name: optax.adam(each) for name, each in parts.items()}, labels)
