"""One meta-step: estimate the meta-gradient, step the meta-optimizer. Pure functions of a state."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from ..runtime.devices import PROBLEMS, REPLICATED, over_problems, replicate, shard
from .estimators import MetaGradient


class TrainState(eqx.Module):
    """Everything that a run carries from one meta-step to the next."""

    learner: eqx.Module
    best: eqx.Module
    best_loss: Float[Array, ""]
    optimizer: PyTree
    inner: PyTree
    step: Int[Array, ""]
    skipped: Int[Array, ""]
    in_row: Int[Array, ""]
    """How many meta-steps have been skipped since the last that was not."""
    asked: Float[Array, ""]
    """Above 0 where a process of the run was asked to stop."""
    totals: dict[str, Float[Array, ""]]


class Stepper(eqx.Module):
    """What a meta-step is made of, other than its state."""

    source: Any
    """What the estimator draws problems from: a task family, or a sampler of episodes."""
    estimator: MetaGradient
    meta_optimizer: optax.GradientTransformation = eqx.field(static=True)
    mesh: Mesh = eqx.field(static=True)

    def init(self, learner: Any, key: PRNGKeyArray) -> TrainState:
        """The state before the first meta-step, laid out over the devices."""
        zero = jnp.zeros((), jnp.int32)
        state = TrainState(
            learner=learner,
            best=learner,
            best_loss=jnp.asarray(jnp.inf),
            optimizer=self.meta_optimizer.init(eqx.filter(learner, eqx.is_inexact_array)),
            inner=_init(self.estimator, learner, self.source, key),
            step=zero,
            skipped=zero,
            in_row=zero,
            asked=jnp.zeros(()),
            totals=_no_totals(),
        )
        # Copies: what is donated to the first step must not be the caller's own arrays.
        state = jax.tree.map(jnp.copy, state)
        inner = shard(state.inner, self.mesh)
        return eqx.tree_at(lambda state: state.inner, replicate(state, self.mesh), inner)

    def __call__(self, state: TrainState, asked: Float[Array, " devices"]) -> TrainState:
        """The state after a meta-step. The arrays of `state` are used up."""
        return _step((self, asked), state)

    def drain(self, state: TrainState) -> tuple[TrainState, dict[str, float]]:
        """The averages since the last call, and the state with its totals at zero.

        The meta-loss and the gradient's norm are averaged over the steps that were not skipped,
        and are NaN where there was none.
        """
        totals = {name: float(total) for name, total in state.totals.items()}
        count, finite = totals.pop("count"), totals.pop("finite")
        entry = {name: total / count for name, total in totals.items()}
        for name in ("meta_loss", "grad_norm"):
            entry[name] = totals[name] / finite if finite else float("nan")
        entry["skipped"] = int(state.skipped)
        return self.put(state, totals=_no_totals()), entry

    def put(self, state: TrainState, **fields: Any) -> TrainState:
        """`state` with other fields, replicated over the devices."""
        placed = {name: replicate(field, self.mesh) for name, field in fields.items()}
        return dataclasses.replace(state, **placed)


@eqx.filter_jit
def _init(estimator: MetaGradient, learner: Any, source: Any, key: PRNGKeyArray) -> PyTree:
    return estimator.init(learner, source, key=key)


def _no_totals() -> dict[str, Array]:
    names = ("meta_loss", "grad_norm", "diverged", "count", "finite")
    return {name: jnp.zeros(()) for name in names}


@eqx.filter_jit(donate="all-except-first")
def _step(given: tuple[Stepper, Float[Array, " devices"]], state: TrainState) -> TrainState:
    stepper, asked = given
    gradient, metrics, asked, inner = _estimate(stepper, state, asked)
    arrays, static = eqx.partition(state.learner, eqx.is_inexact_array)
    norm = optax.tree.norm(gradient)
    finite = jnp.isfinite(norm) & jnp.isfinite(metrics["meta_loss"])
    updates, optimizer = stepper.meta_optimizer.update(gradient, state.optimizer, arrays)
    proposed = (optax.apply_updates(arrays, updates), optimizer)
    arrays, optimizer = jax.tree.map(
        lambda new, old: jnp.where(finite, new, old), proposed, (arrays, state.optimizer)
    )
    # What is skipped adds nothing to these two sums, and does not count in their means.
    seen = {
        **metrics,
        "meta_loss": jnp.where(finite, metrics["meta_loss"], 0.0),
        "grad_norm": jnp.where(finite, norm, 0.0),
        "count": jnp.ones(()),
        "finite": finite.astype(float),
    }
    return TrainState(
        learner=eqx.combine(arrays, static),
        best=state.best,
        best_loss=state.best_loss,
        optimizer=optimizer,
        inner=inner,
        step=state.step + 1,
        skipped=state.skipped + jnp.where(finite, 0, 1),
        in_row=jnp.where(finite, 0, state.in_row + 1),
        asked=asked,
        totals=jax.tree.map(jnp.add, state.totals, seen),
    )


def _estimate(
    stepper: Stepper, state: TrainState, asked: Float[Array, " devices"]
) -> tuple[Any, dict[str, Array], Array, PyTree]:
    """(meta-gradient, metrics, asked, inner state): averages over the problems of all devices."""

    def local(shared, split):
        learner, source = shared
        inner, asked = split
        gradient, inner, metrics = stepper.estimator.estimate(learner, source, inner)
        # A device whose problems all diverged has no meta-loss, and no say in it.
        counted = metrics.pop("counted", jnp.ones(()))
        metrics["meta_loss"] = jnp.where(counted > 0, counted * metrics["meta_loss"], 0.0)
        return jax.lax.pmean((gradient, metrics, counted, asked[0]), "problems"), inner

    (gradient, metrics, counted, asked), inner = over_problems(
        local,
        stepper.mesh,
        (state.learner, stepper.source),
        (state.inner, asked),
        (REPLICATED, PROBLEMS),
    )
    metrics["meta_loss"] = metrics["meta_loss"] / counted  # NaN where nothing counted.
    return gradient, metrics, asked, inner
