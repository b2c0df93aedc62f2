"""Evolution strategies: the meta-gradient from whole runs of slightly different rules."""

from typing import Annotated, Any, final

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from ... import keys
from ...errors import SettingsError
from ...inner import InnerLoop, unroll
from ...registry import register
from ...rules import Rule
from ...runtime.settings import Count, Positive, Range, check
from ...tasks import TaskFamily
from ..objectives import OBJECTIVES, ObjectiveName
from ._base import MetaGradient

_MOST = 2.0  # The largest difference between two runs that counts.


class EvolutionState(eqx.Module):
    """The keys of the problems that come next."""

    key: Key[Array, " problems"]


@register("evolution-strategies")
@final
class EvolutionStrategies(MetaGradient):
    """(J(φ + σε) − J(φ − σε)) ε / 2σ, with Gaussian ε: antithetic evolution strategies.

    The gradient of the meta-objective J smoothed by a Gaussian of standard deviation σ. Every
    problem is run twice from its start to its end by two rules that differ in opposite ways, on the
    same minibatches. It needs no derivative of the run and truncates nothing, and chaotic and long
    runs do it no harm. Its noise grows with the number of φ's coordinates, which should be some
    hundreds.

    A run that ends in numbers that are not finite counts as worse than its counterpart by 2, which
    is also the largest difference that counts.

    Args:
        meta_batch_size: Problems worked on at once, each by two rules; 1 or more.
        horizon: Inner steps of a run, 1 or more.
        min_horizon: Draw every run's length log-uniformly from this to the horizon; None to keep
            it fixed.
        objective: The loss weights w_t: uniform, linear in t, only the last step, or the mean
            log loss.
        sigma: σ, how far φ is changed: a standard deviation, positive.
        judged: The last part of a run that the objective is taken over, above 0 and at most 1: 0.2
            is its last fifth.

    Raises:
        SettingsError: A setting has another type, or is out of its range.

    Example:
        >>> import innerloop
        >>> innerloop.EvolutionStrategies(meta_batch_size=8, min_horizon=10).horizon
        100

    References:
        Salimans et al., "Evolution strategies as a scalable alternative to reinforcement learning"
        (2017, arXiv:1703.03864); for learned optimizers Metz et al., "Understanding and correcting
        pathologies in the training of learned optimizers" (2019, arXiv:1810.10180).
    """

    meta_batch_size: Count = eqx.field(static=True, default=16)
    horizon: Count = eqx.field(static=True, default=100)
    min_horizon: Count | None = eqx.field(static=True, default=None)
    objective: ObjectiveName = eqx.field(static=True, default="log")
    sigma: Positive = eqx.field(static=True, default=0.05)
    judged: Annotated[float, Range(above=0, at_most=1)] = eqx.field(static=True, default=0.2)

    def __check_init__(self):
        check(self)
        if self.min_horizon is not None and self.min_horizon > self.horizon:
            accepted = f"at most the horizon, {self.horizon}"
            raise SettingsError("min_horizon", self.min_horizon, accepted)

    def init(self, rule: Rule, task: TaskFamily, *, key: PRNGKeyArray) -> EvolutionState:
        return EvolutionState(jax.random.split(key, self.meta_batch_size))

    def estimate(
        self, rule: Rule, task: TaskFamily, state: EvolutionState
    ) -> tuple[Rule, EvolutionState, dict[str, Any]]:
        arrays, static = eqx.partition(rule, eqx.is_inexact_array)
        vector, back = jax.flatten_util.ravel_pytree(arrays)

        def one(key):
            way = jax.random.normal(keys.direction(key), vector.shape)
            steps = self._length(key)

            def judged(sign):
                changed = eqx.combine(back(vector + sign * self.sigma * way), static)
                return self._run(changed, task, key, steps)

            # Mapped over the rule alone, so that both share their minibatches.
            signs = jnp.asarray([1.0, -1.0])
            up, down = jax.lax.map(judged, signs) if task.one_by_one else jax.vmap(judged)(signs)
            worst = jnp.where(jnp.isfinite(up), -_MOST, _MOST)
            ended = jnp.isfinite(up) & jnp.isfinite(down)
            known = jnp.isfinite(up) | jnp.isfinite(down)
            difference = jnp.where(ended, up - down, jnp.where(known, worst, 0.0))
            slope = jnp.clip(difference, -_MOST, _MOST) / (2 * self.sigma)
            return slope * way, jnp.stack([up, down]), ended

        # One after another: a run has as much to do as keeps a core busy.
        gradients, values, ended = jax.lax.map(one, state.key)
        counted = jnp.isfinite(values)
        following = jax.vmap(keys.next_problem)(state.key)
        metrics = {
            # Of no run that ended there is no mean: 0 / 0.
            "meta_loss": jnp.sum(jnp.where(counted, values, 0.0)) / jnp.sum(counted),
            "counted": jnp.mean(counted),
            "diverged": 1 - jnp.mean(ended),
        }
        return back(jnp.mean(gradients, axis=0)), EvolutionState(following), metrics

    def _length(self, key: PRNGKeyArray) -> Int[Array, ""]:
        draw = jax.random.uniform(keys.horizon(key))
        min_horizon = self.horizon if self.min_horizon is None else self.min_horizon
        return (min_horizon * (self.horizon / min_horizon) ** draw).astype(jnp.int32)

    def _run(
        self, rule: Rule, task: TaskFamily, key: PRNGKeyArray, steps: Int[Array, ""]
    ) -> Float[Array, ""]:
        loop = InnerLoop.init(rule, task, key[None])
        skipped = (steps * (1 - self.judged)).astype(jnp.int32)
        objective = OBJECTIVES[self.objective]

        def advance(_, carry):
            loop, total = carry
            loop, losses = unroll(rule, task, loop, 1)
            counts = loop.step[0] > skipped
            return loop, total + jnp.where(counts, objective(losses, loop.step[None], steps), 0.0)

        _, total = jax.lax.fori_loop(0, steps, advance, (loop, jnp.zeros(())))
        return total / (steps - skipped)
