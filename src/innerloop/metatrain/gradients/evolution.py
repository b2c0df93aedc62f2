"""Evolution strategies: the meta-gradient from whole runs of slightly different rules."""

from typing import Any, final

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from ...errors import InnerloopError
from ...inner import start, unroll
from ...rules import Rule
from ...tasks import Task
from ..objectives import OBJECTIVES
from ._base import MetaGradient

_NEXT_PROBLEM = 2**32 - 1  # Folded into a problem's key, as in truncated backpropagation.
_HORIZON = 2**32 - 5
_DIRECTION = 2**32 - 6  # For the way its rule is changed.
_MOST = 2.0  # The largest difference between two runs that counts.


class EvolutionState(eqx.Module):
    """The keys of the problems that come next."""

    key: Key[Array, " problems"]


@final
class EvolutionStrategies(MetaGradient):
    """(J(φ + σε) − J(φ − σε)) ε / 2σ, with Gaussian ε: antithetic evolution strategies.

    The gradient of the meta-objective smoothed by a Gaussian of standard deviation `sigma`
    (Salimans et al. 2017, arXiv:1703.03864; for learned optimizers Metz et al. 2019,
    arXiv:1810.10180). Every problem is run twice from its start to its end by two rules that
    differ in opposite ways, on the same minibatches. It needs no derivative of the run, so
    that chaotic and long runs do it no harm, and truncates nothing; its noise grows with the
    number of φ's coordinates, which should be some hundreds.

    With `shortest`, every run's length is drawn log-uniformly from `shortest` to `horizon`.
    `objective` is taken over the last `judged` of a run (0.2: its last fifth). A run that ends
    in numbers that are not finite counts as worse than its counterpart by 2, which is also the
    largest difference that counts. Raises `InnerloopError` for settings out of range.
    """

    problems: int = eqx.field(static=True, default=16)
    horizon: int = eqx.field(static=True, default=100)
    shortest: int | None = eqx.field(static=True, default=None)
    objective: str = eqx.field(static=True, default="log")
    sigma: float = eqx.field(static=True, default=0.05)
    judged: float = eqx.field(static=True, default=0.2)

    def __check_init__(self):
        for name in ("problems", "horizon"):
            if getattr(self, name) < 1:
                raise InnerloopError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        shortest = self.horizon if self.shortest is None else self.shortest
        if not 1 <= shortest <= self.horizon:
            raise InnerloopError(
                f"shortest is {shortest}; it must be from 1 to the horizon ({self.horizon})."
            )
        if not self.sigma > 0:
            raise InnerloopError(f"sigma is {self.sigma}; it must be positive.")
        if not 0 < self.judged <= 1:
            raise InnerloopError(f"judged is {self.judged}; it must be above 0 and at most 1.")
        if self.objective not in OBJECTIVES:
            names = ", ".join(OBJECTIVES)
            raise InnerloopError(f"There is no objective '{self.objective}'; there are {names}.")

    def init(self, rule: Rule, task: Task, *, key: PRNGKeyArray) -> EvolutionState:
        return EvolutionState(jax.random.split(key, self.problems))

    def estimate(
        self, rule: Rule, task: Task, state: EvolutionState
    ) -> tuple[Rule, EvolutionState, dict[str, Any]]:
        arrays, static = eqx.partition(rule, eqx.is_inexact_array)
        vector, back = jax.flatten_util.ravel_pytree(arrays)

        def one(key):
            way = jax.random.normal(jax.random.fold_in(key, jnp.uint32(_DIRECTION)), vector.shape)
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
        keys = jax.vmap(lambda key: jax.random.fold_in(key, jnp.uint32(_NEXT_PROBLEM)))(state.key)
        metrics = {
            # Of no run that ended there is no mean: 0 / 0.
            "meta_loss": jnp.sum(jnp.where(counted, values, 0.0)) / jnp.sum(counted),
            "counted": jnp.mean(counted),
            "diverged": 1 - jnp.mean(ended),
        }
        return back(jnp.mean(gradients, axis=0)), EvolutionState(keys), metrics

    def _length(self, key: PRNGKeyArray) -> Int[Array, ""]:
        draw = jax.random.uniform(jax.random.fold_in(key, jnp.uint32(_HORIZON)))
        shortest = self.horizon if self.shortest is None else self.shortest
        return (shortest * (self.horizon / shortest) ** draw).astype(jnp.int32)

    def _run(
        self, rule: Rule, task: Task, key: PRNGKeyArray, steps: Int[Array, ""]
    ) -> Float[Array, ""]:
        loop = start(rule, task, key[None])
        skipped = (steps * (1 - self.judged)).astype(jnp.int32)
        objective = OBJECTIVES[self.objective]

        def advance(_, carry):
            loop, total = carry
            loop, losses = unroll(rule, task, loop, 1)
            counts = loop.step[0] > skipped
            return loop, total + jnp.where(counts, objective(losses, loop.step[None], steps), 0.0)

        _, total = jax.lax.fori_loop(0, steps, advance, (loop, jnp.zeros(())))
        return total / (steps - skipped)
