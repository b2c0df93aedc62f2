"""Reptile: an initialisation moves towards where runs from it end."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PRNGKeyArray

from ... import keys
from ...errors import InnerloopError
from ...inner import InnerLoop, unroll
from ...registry import register
from ...rules import StartedRule
from ...runtime.settings import Count, check
from ...tasks import TaskFamily
from ._base import MetaGradient


class ReptileState(eqx.Module):
    """The keys of the problems that come next."""

    key: Key[Array, " problems"]


@register("reptile")
@final
class Reptile(MetaGradient):
    """θ₀ − E[θ_T] in place of the meta-gradient, for the initialisation of a `StartedRule`.

    It needs no derivative of a run, and keeps nothing of its steps. The arrays of the other rule
    stay as they are. A run whose end is not finite counts for nothing.

    Args:
        meta_batch_size: Problems worked on at once, 1 or more.
        horizon: Inner steps of a run, T.

    Raises:
        SettingsError: A setting has another type, or is out of its range.

    References:
        Nichol, Achiam & Schulman, "On first-order meta-learning algorithms" (2018,
        arXiv:1803.02999), Algorithm 2.
    """

    meta_batch_size: Count = eqx.field(static=True, default=16)
    horizon: Count = eqx.field(static=True, default=100)

    def __check_init__(self):
        check(self)

    def init(self, rule: Any, task: TaskFamily, *, key: PRNGKeyArray) -> ReptileState:
        if not isinstance(rule, StartedRule):
            raise InnerloopError(
                f"Reptile learns the initialisation of a StartedRule, and {type(rule).__name__} "
                "has none."
            )
        return ReptileState(jax.random.split(key, self.meta_batch_size))

    def estimate(
        self, rule: Any, task: TaskFamily, state: ReptileState
    ) -> tuple[Any, ReptileState, dict[str, Any]]:
        loop = InnerLoop.init(rule, task, state.key)
        loop, losses = unroll(rule, task, loop, self.horizon)
        ended = jnp.isfinite(losses[-1])

        def away(start: Array, ends: Array) -> Array:
            counts = ended.reshape(-1, *[1] * start.ndim)
            ways = jnp.where(counts, start - ends, 0.0)
            return jnp.sum(ways, axis=0) / jnp.maximum(jnp.sum(ended), 1)

        ways = tuple(map(away, rule.start, jax.tree.leaves(loop.params)))
        nothing = jax.tree.map(jnp.zeros_like, eqx.filter(rule, eqx.is_inexact_array))
        gradient = eqx.tree_at(lambda each: each.start, nothing, ways)
        metrics = {
            "meta_loss": jnp.sum(jnp.where(ended, losses[-1], 0.0)) / jnp.sum(ended),
            "counted": jnp.mean(ended),
            "diverged": 1 - jnp.mean(ended),
        }
        return gradient, ReptileState(jax.vmap(keys.next_problem)(state.key)), metrics
