"""Persistent evolution strategies: evolution over truncations, without truncation's bias."""

from typing import Annotated, Any, final

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from ... import keys
from ...inner import InnerLoop, unroll
from ...registry import register
from ...rules import Rule
from ...runtime.settings import Count, Positive, Range, check
from ...tasks import TaskFamily, over_batch
from ...tasks.mixture import families_of
from ..objectives import OBJECTIVES, ObjectiveName
from ._base import MetaGradient
from ._horizons import check_truncation

_SIGNS = (1.0, -1.0)


class PersistentState(eqx.Module):
    """Pairs of inner loops in mid-run. Every leaf leads with the axis `problems`.

    The leaves of `loop` are [problems, 2, …]: the runs of the rules changed by +ε and by −ε.
    """

    key: Key[Array, "*problems"]
    loop: InnerLoop
    accumulated: Float[Array, "*problems weights"]
    """The sum of all changes ε of the rule since the problem's start."""
    until: Int[Array, "*problems"]
    """The step at which the problem makes way for a fresh one."""
    done: Bool[Array, "*problems"]
    """Whether the next meta-step begins with a fresh problem."""


@register("persistent-evolution-strategies")
@final
class PersistentEvolutionStrategies(MetaGradient):
    """(L(φ + ε_t) − L(φ − ε_t)) Σ_{s≤t} ε_s / 2σ², for a truncation t of a longer run.

    Vicol, Metz & Sohl-Dickstein, "Unbiased gradient estimation in unrolled computation graphs
    with persistent evolution strategies" (2021, arXiv:2112.13835, equation 9 and Algorithm 2).
    Each problem is run by two rules that differ in opposite ways, on the same minibatches. Each
    meta-step runs both for one truncation, with a fresh change ε of the rule, and weights the
    difference of their losses with the sum of all changes since the problem's start. The sum
    carries what earlier changes did to the present state, so that the estimate is unbiased for
    the whole run (of the meta-objective smoothed by a Gaussian), while a meta-step costs no more
    than a truncation. Like `EvolutionStrategies` it needs no derivative of the run.

    A loss above `loss_bound`, or one that is not finite, counts as `loss_bound`. A run that
    diverges stays with that loss until its horizon, so that an early divergence costs more than
    a late one. Where both runs of a pair diverge, a fresh problem takes their place. The metric
    `meta_loss` has the same bound, and is NaN where no run at hand has a finite loss.

    A rule that has a method `with_horizon(steps)` is told the length of a run, in every second run
    on average, so that it learns both to use the number and to do without. The number is traced.

    A problem has one pair. A second pair would cost as much as another problem, and would tell
    less. Of a `Mixture`, `meta_batch_size` problems of each family are run.

    Args:
        meta_batch_size: Problems (of each family) worked on at once, each by two rules.
        horizon: The most inner steps of a run.
        min_horizon: Draw every run's length log-uniformly from this to the horizon, in whole
            truncations; None to keep it fixed.
        truncation: Inner steps of a meta-step; it divides the horizon.
        objective: The loss weights w_t: uniform, linear in t, only the last step of a run's own
            length, or the mean log loss.
        sigma: How far φ is changed at each meta-step: a standard deviation.
        loss_bound: What larger losses, and those that are not finite, count as.
        stagger: Begin the first problems at random offsets of their horizons, so that every
            meta-gradient sees early and late steps alike.

    Raises:
        SettingsError: A setting has another type or is out of its range, the truncation does not
            divide the horizon, or `min_horizon` is not between the two.
    """

    meta_batch_size: Count = eqx.field(static=True, default=16)
    horizon: Count = eqx.field(static=True, default=1000)
    min_horizon: Count | None = eqx.field(static=True, default=None)
    truncation: Count = eqx.field(static=True, default=50)
    objective: ObjectiveName = eqx.field(static=True, default="uniform")
    sigma: Positive = eqx.field(static=True, default=0.01)
    loss_bound: Annotated[float, Range(above=0, at_most=1e6)] = eqx.field(static=True, default=20.0)
    stagger: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        check(self)
        check_truncation(self.horizon, self.truncation, self.min_horizon)

    def init(
        self, rule: Rule, task: TaskFamily, *, key: PRNGKeyArray
    ) -> tuple[PersistentState, ...]:
        """A state for each family of `task`, which is one unless it is a `Mixture`."""
        families = families_of(task)
        parts = [key] if len(families) == 1 else jax.random.split(key, len(families))
        return tuple(self._init(rule, *each) for each in zip(families, parts, strict=True))

    def _init(self, rule: Rule, task: TaskFamily, key: PRNGKeyArray) -> PersistentState:
        own = jax.random.split(key, self.meta_batch_size)
        loop = InnerLoop.init(rule, task, own)
        loop = jax.tree.map(lambda x: jnp.stack([x, x], axis=1), loop)
        until = jax.vmap(self._horizon)(own)
        if self.stagger:
            until = until - jax.vmap(self._offset)(own, until)
        accumulated = jnp.zeros((self.meta_batch_size, _weights(rule)[0].size))
        return PersistentState(own, loop, accumulated, until, jnp.zeros(own.shape, bool))

    def estimate(
        self, rule: Rule, task: TaskFamily, state: tuple[PersistentState, ...]
    ) -> tuple[Rule, tuple[PersistentState, ...], dict[str, Any]]:
        found = [
            self._estimate(rule, family, each)
            for family, each in zip(families_of(task), state, strict=True)
        ]
        gradients, states, metrics = zip(*found, strict=True)
        # Every family counts alike; one that has no finite loss makes the average NaN.
        gradient, averages = jax.tree.map(
            lambda *each: sum(each) / len(each), *zip(gradients, metrics, strict=True)
        )
        return gradient, states, averages

    def _estimate(
        self, rule: Rule, task: TaskFamily, state: PersistentState
    ) -> tuple[Rule, PersistentState, dict[str, Any]]:
        _, back = _weights(rule)

        def one(state):
            return self._truncation(rule, task, state)

        gradients, state, losses, finite = over_batch(task, one)(state)
        known = jnp.where(jnp.any(finite), 0.0, jnp.nan)
        metrics = {"meta_loss": jnp.mean(losses) + known, "diverged": 1 - jnp.mean(finite)}
        return back(jnp.mean(gradients, axis=0)), state, metrics

    def _truncation(
        self, rule: Rule, task: TaskFamily, state: PersistentState
    ) -> tuple[Array, PersistentState, Float[Array, ""], Bool[Array, " 2"]]:
        """(gradient, state, mean loss, which runs are finite) of one problem's next truncation."""
        vector, back = _weights(rule)
        key = jax.lax.select(state.done, keys.next_problem(state.key), state.key)
        step = jnp.where(state.done, 0, state.loop.step[0])
        change = self.change(key, step, vector.size)
        accumulated = jnp.where(state.done, 0.0, state.accumulated) + change
        until = jnp.where(state.done, self._horizon(key), state.until)
        told = _told(rule, key, until)

        def run(sign, loop):
            changed = eqx.combine(back(vector + sign * change), told)
            loop = jax.tree.map(lambda x: x[None], loop)
            # By the changed rule, since a rule's state may begin with what it has learned.
            loop = jax.lax.cond(
                state.done, lambda: InnerLoop.init(changed, task, key[None]), lambda: loop
            )
            loop, losses = unroll(changed, task, loop, self.truncation)
            return jax.tree.map(lambda x: x[0], loop), losses[:, 0]

        # Over the rule and its loop alone, so that both runs share their minibatches.
        loop, losses = over_batch(task, run)(jnp.asarray(_SIGNS), state.loop)
        finite = jnp.isfinite(losses[:, -1])
        bounded = jnp.where(jnp.isfinite(losses), losses, self.loss_bound)
        bounded = jnp.minimum(bounded, self.loss_bound)
        up, down = (self._judged(each, step, until) for each in bounded)
        gradient = (up - down) / (2 * self.sigma**2) * accumulated
        done = (step + self.truncation >= until) | ~jnp.any(finite)
        state = PersistentState(key, loop, accumulated, until, done)
        return gradient, state, jnp.mean(bounded), finite

    def change(
        self, key: PRNGKeyArray, step: Int[Array, ""], size: int
    ) -> Float[Array, " weights"]:
        """The change ε of the rule, in flat form, for a problem's truncation that begins at `step`.

        Args:
            key: The problem's key.
            step: The steps made before the truncation.
            size: The number of φ's coordinates.
        """
        own = keys.step(keys.direction(key), step)
        return self.sigma * jax.random.normal(own, (size,))

    def _judged(
        self, losses: Float[Array, " truncation"], step: Int[Array, ""], until: Int[Array, ""]
    ) -> Float[Array, ""]:
        steps = step + jnp.arange(1, self.truncation + 1)
        return OBJECTIVES[self.objective](losses[:, None], steps[:, None], until)

    def _horizon(self, key: PRNGKeyArray) -> Int[Array, ""]:
        """How long a problem is run: log-uniform in whole truncations, both ends included."""
        if self.min_horizon is None:
            return jnp.asarray(self.horizon, jnp.int32)
        shortest, longest = self.min_horizon // self.truncation, self.horizon // self.truncation
        draw = jax.random.uniform(keys.horizon(key))
        windows = jnp.floor(shortest * ((longest + 1) / shortest) ** draw)
        return self.truncation * jnp.minimum(windows, longest).astype(jnp.int32)

    def _offset(self, key: PRNGKeyArray, horizon: Int[Array, ""]) -> Int[Array, ""]:
        """How much of its horizon a problem leaves out: whole truncations, but not all of them."""
        draw = jax.random.uniform(keys.offset(key))
        return self.truncation * jnp.floor(draw * (horizon // self.truncation)).astype(jnp.int32)


def _told(rule: Any, key: PRNGKeyArray, steps: Int[Array, ""]) -> Any:
    """The rule, told the length of a run that is one of those whose length is told."""
    if not hasattr(rule, "with_horizon"):
        return rule
    return rule.with_horizon(jnp.where(jax.random.bernoulli(keys.telling(key)), steps, 0))


def _weights(rule: Rule) -> tuple[Float[Array, " weights"], Any]:
    """φ as one vector, and the function that makes of a vector a tree like the rule's arrays."""
    return jax.flatten_util.ravel_pytree(eqx.filter(rule, eqx.is_inexact_array))
