"""Evolution strategies: the meta-gradient from whole runs of perturbed rules."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from ...errors import InnerloopError
from ...inner import start, unroll
from ...rules import Rule
from ...tasks import Task
from ._base import MetaGradient

_NEXT = 2**32 - 1
_HORIZON = 2**32 - 5
_DIRECTION = 2**32 - 6


class EvolutionState(eqx.Module):
    """The keys of the problems that come next."""

    key: Key[Array, " problems"]


@final
class EvolutionStrategies(MetaGradient):
    problems: int = eqx.field(static=True, default=16)
    horizon: int = eqx.field(static=True, default=1000)
    shortest: int | None = eqx.field(static=True, default=None)
    sigma: float = eqx.field(static=True, default=0.05)
    judged: float = eqx.field(static=True, default=0.2)

    def init(self, rule: Rule, task: Task, *, key: PRNGKeyArray) -> EvolutionState:
        return EvolutionState(jax.random.split(key, self.problems))

    def estimate(self, rule, task, state):
        arrays, static = eqx.partition(rule, eqx.is_inexact_array)
        flat, back = jax.flatten_util.ravel_pytree(arrays)

        def one(key):
            direction = jax.random.normal(jax.random.fold_in(key, jnp.uint32(_DIRECTION)), flat.shape)
            draw = jax.random.uniform(jax.random.fold_in(key, jnp.uint32(_HORIZON)))
            shortest = self.shortest or self.horizon
            steps = (shortest * (self.horizon / shortest) ** draw).astype(jnp.int32)

            def judged(sign):
                perturbed = eqx.combine(back(flat + sign * self.sigma * direction), static)
                return self._run(perturbed, task, key, steps)

            up, down = jax.vmap(judged)(jnp.asarray([1.0, -1.0]))
            both = jnp.isfinite(up) & jnp.isfinite(down)
            slope = jnp.where(both, up - down, 0) / (2 * self.sigma)
            slope = jnp.clip(slope, -1/self.sigma, 1/self.sigma)
            return slope * direction, 0.5 * (up + down), both

        gradients, values, finite = jax.lax.map(one, state.key)
        gradient = back(jnp.mean(gradients, axis=0))
        keys = jax.vmap(lambda key: jax.random.fold_in(key, jnp.uint32(_NEXT)))(state.key)
        metrics = {
            "meta_loss": jnp.sum(jnp.where(finite, values, 0)) / jnp.maximum(1, jnp.sum(finite)),
            "diverged": 1 - jnp.mean(finite),
        }
        return gradient, EvolutionState(keys), metrics

    def _run(self, rule, task, key, steps):
        loop = start(rule, task, key[None])
        skipped = (steps * (1 - self.judged)).astype(jnp.int32)

        def advance(_, carry):
            loop, total = carry
            loop, losses = unroll(rule, task, loop, 1)
            counts = loop.step[0] > skipped
            return loop, total + jnp.where(counts, jnp.log(losses[0, 0]), 0.0)

        loop, total = jax.lax.fori_loop(0, steps, advance, (loop, jnp.zeros(())))
        return total / (steps - skipped)
