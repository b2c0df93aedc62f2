"""What the quasi-Newton candidates share: what the runs on training problems have in common."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from ... import keys
from ...evaluation import evaluate
from ...inner import InnerLoop, unroll
from ...metatrain import MetaGradient
from ...metatrain.estimators.reptile import Reptile
from ...rules import BFGSRule, Rule
from ...tasks import TaskFamily
from .._base import Scene, affordable, batch_size
from ..score import standings

_PROBLEMS = 64
_SECONDS = 10.0  # Of each round of runs.
DENSE = 256
"""Coordinates up to which a whole inverse Hessian is learned."""


def common_curvature(scene: Scene, rounds: int = 2) -> BFGSRule:
    """BFGS that begins with the mean of the inverse Hessians that its runs end with.

    Where that is worse on fresh problems, as where they have no curvature in common, it is BFGS
    as it is.
    """
    problems = affordable(scene.look, _SECONDS, _PROBLEMS)
    rule = BFGSRule(scene.rates.get("bfgs", 0.1), size=scene.look.coordinates)
    fresh = BFGSRule(rule.rate)
    for number in range(rounds):
        problem_keys = jax.random.split(jax.random.fold_in(scene.key, number), problems)
        inverse = _mean_inverse(rule if number else fresh, scene.task, problem_keys, scene.horizon)
        if bool(jnp.all(jnp.isfinite(inverse))):
            rule = eqx.tree_at(lambda each: each.inverse, rule, inverse)
    curves = {
        name: evaluate(
            *(each, scene.task),
            key=keys.next_problem(scene.key),
            problems=problems,
            marks=(scene.horizon,),
        ).losses
        for name, each in (("learned", rule), ("fresh", fresh))
    }
    standing = standings(curves)
    return rule if standing["learned"] <= standing["fresh"] else fresh


@eqx.filter_jit
def _mean_inverse(rule: BFGSRule, task: TaskFamily, problem_keys: Array, horizon: int) -> Array:
    loop = InnerLoop.init(rule, task, problem_keys)
    loop, _ = unroll(rule, task, loop, horizon)
    memory, _ = loop.state
    ended = jnp.isfinite(loop.loss) & jnp.all(jnp.isfinite(memory), axis=(1, 2))
    # A problem that is flat in some direction has an inverse of any size there.
    size = jnp.trace(memory, axis1=1, axis2=2)
    ended = ended & (size <= 10 * jnp.nanmedian(jnp.where(ended, size, jnp.nan)))
    total = jnp.sum(jnp.where(ended[:, None, None], memory, 0.0), axis=0)
    return total / jnp.maximum(jnp.sum(ended), 1)


def reptile(scene: Scene) -> MetaGradient:
    """The initialisation moves towards where the runs end."""
    return Reptile(meta_batch_size=batch_size(scene.look, seconds=1.0), horizon=scene.horizon)


def start_optimizer(scene: Scene, rule: Rule) -> optax.GradientTransformation:
    """Adam for the initialisation, at the inner rate; all else stays."""
    return optax.adam(scene.rate)
