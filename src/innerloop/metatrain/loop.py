"""The loop of meta-training: estimate, step the meta-optimizer, validate, keep the best."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from ..errors import InnerloopError
from ..folders import writable
from ..mesh import PROBLEMS, REPLICATED, over_problems, problem_mesh, replicate, spread
from .checkpoints import Checkpoints
from .gradients import MetaGradient
from .interrupt import Interrupt, Interrupted
from .logs import Log
from .settings import LoopSettings


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
    totals: dict[str, Float[Array, ""]]


@dataclasses.dataclass(frozen=True)
class Trained:
    """The outcome of a training run: the best rule by validation, and how it was found."""

    rule: Any
    """A rule, or whatever else was trained."""
    validation: float
    """What validation gave for it. Of a rule: its mean loss at the horizon (or `validate_at`),
    over validation problems and the last `validate_over` steps."""
    steps: int
    skipped: int
    """Meta-steps skipped because their gradient was not finite."""
    seconds: float
    """Time spent in this call, compilation included."""


def meta_train(
    learner: Any,
    problems: Any,
    *,
    meta_gradient: MetaGradient,
    validate: Callable[[Any], float],
    keep: Callable[[Any, Path], Any],
    settings: LoopSettings,
    key: PRNGKeyArray,
    meta_optimizer: optax.GradientTransformation | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    mesh: Mesh | None = None,
    progress: bool = False,
    tensorboard: bool = False,
    resume_hint: str = "call train again with resume=True",
    no_best: str = "",
) -> Trained:
    """Descend `meta_gradient`'s estimates in the array leaves of `learner`.

    `problems` is what the estimator draws from. `validate` judges a learner, the lower the
    better, and `keep(learner, folder)` writes the best so far where there is a folder `out`.
    The rest is as in `train`.
    """
    began = time.perf_counter()
    meta_optimizer = meta_optimizer or settings.meta_optimizer()
    mesh = problem_mesh(meta_gradient.problems) if mesh is None else mesh
    checkpoints = None if out is None else _open(Path(out), settings, resume)
    problems = replicate(problems, mesh)
    state = _begin(learner, problems, meta_gradient, meta_optimizer, mesh, key)
    found = checkpoints.restore(state) if checkpoints and resume else None
    if found is not None:
        state = _lay_out(found[1], mesh)
    # The host's count of steps; the state's own is for the record.
    step = int(state.step)

    reports = Log(out, step, settings.steps, progress=progress, tensorboard=tensorboard)
    with reports as log, Interrupt() as interrupt:
        while step < settings.steps:
            state = _step(problems, state, meta_gradient, meta_optimizer, mesh)
            # Two programs with an all-reduce in flight at once can starve XLA's CPU threads
            # of each other, so the host waits for each one.
            jax.block_until_ready(state.step)
            step += 1
            last = step == settings.steps
            entry: dict[str, float] = {}
            if step % settings.log_every == 0 or last:
                state, entry = _drain(state, mesh)
                if int(state.in_row) >= settings.patience:
                    raise InnerloopError(_non_finite(step, settings.patience))
            if step % settings.validate_every == 0 or last:
                entry["validation"] = loss = validate(state.learner)
                if loss < float(state.best_loss):
                    best = jax.tree.map(jnp.copy, state.learner)
                    state = _with(state, mesh, best=best, best_loss=jnp.asarray(loss))
                    if out is not None:
                        keep(best, Path(out))
            if entry:
                log.write(step, entry)
            log.advance()
            if checkpoints is not None and (
                step % (settings.checkpoint_every or step) == 0 or last or interrupt.asked
            ):
                checkpoints.save(step, state, wait=last or interrupt.asked)
            if interrupt.asked and not last:
                more = f"; to continue, {resume_hint}." if checkpoints else "."
                raise Interrupted(f"Stopped at meta-step {step} of {settings.steps}{more}")
    if checkpoints is not None:
        checkpoints.close()
    if not np.isfinite(state.best_loss):
        raise InnerloopError(no_best or "No validation gave a finite number: there is no best.")
    best = jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf)), state.best)
    return Trained(
        rule=best,
        validation=float(state.best_loss),
        steps=step,
        skipped=int(state.skipped),
        seconds=time.perf_counter() - began,
    )


def _open(out: Path, settings: LoopSettings, resume: bool) -> Checkpoints | None:
    folder = writable(out) / "checkpoints"
    if not resume and folder.is_dir() and any(folder.iterdir()):
        raise InnerloopError(
            f"{out} holds a training run already; continue it with --resume, or give another --out."
        )
    return Checkpoints(writable(folder)) if settings.checkpoint_every else None


def _begin(
    learner: Any,
    problems: Any,
    meta_gradient: MetaGradient,
    meta_optimizer: optax.GradientTransformation,
    mesh: Mesh,
    key: PRNGKeyArray,
) -> TrainState:
    inner = _init(meta_gradient, learner, problems, key)
    zero = jnp.zeros((), jnp.int32)
    state = TrainState(
        learner=learner,
        best=learner,
        best_loss=jnp.asarray(jnp.inf),
        optimizer=meta_optimizer.init(eqx.filter(learner, eqx.is_inexact_array)),
        inner=inner,
        step=zero,
        skipped=zero,
        in_row=zero,
        totals=_no_totals(),
    )
    # Copies: what is donated to the first step must not be the caller's own arrays.
    return _lay_out(jax.tree.map(jnp.copy, state), mesh)


@eqx.filter_jit
def _init(meta_gradient: MetaGradient, learner: Any, problems: Any, key: PRNGKeyArray) -> PyTree:
    return meta_gradient.init(learner, problems, key=key)


def _no_totals() -> dict[str, Array]:
    names = ("meta_loss", "grad_norm", "diverged", "count")
    return {name: jnp.zeros(()) for name in names}


def _lay_out(state: TrainState, mesh: Mesh) -> TrainState:
    inner = spread(state.inner, mesh)
    return eqx.tree_at(lambda state: state.inner, replicate(state, mesh), inner)


@eqx.filter_jit(donate="all-except-first")
def _step(
    problems: Any,
    state: TrainState,
    meta_gradient: MetaGradient,
    meta_optimizer: optax.GradientTransformation,
    mesh: Mesh,
) -> TrainState:
    def local(shared, inner):
        learner, problems = shared
        gradient, inner, metrics = meta_gradient.estimate(learner, problems, inner)
        return jax.lax.pmean((gradient, metrics), "problems"), inner

    (gradient, metrics), inner = over_problems(
        local, mesh, (state.learner, problems), state.inner, (REPLICATED, PROBLEMS)
    )
    arrays, static = eqx.partition(state.learner, eqx.is_inexact_array)
    norm = optax.tree.norm(gradient)
    finite = jnp.isfinite(norm) & jnp.isfinite(metrics["meta_loss"])
    updates, optimizer = meta_optimizer.update(gradient, state.optimizer, arrays)
    proposed = (optax.apply_updates(arrays, updates), optimizer)
    arrays, optimizer = jax.tree.map(
        lambda new, old: jnp.where(finite, new, old), proposed, (arrays, state.optimizer)
    )
    seen = {**metrics, "grad_norm": norm, "count": jnp.ones(())}
    seen["meta_loss"] = jnp.where(finite, seen["meta_loss"], 0.0)
    seen["grad_norm"] = jnp.where(finite, norm, 0.0)
    skipped = jnp.where(finite, 0, 1)
    return TrainState(
        learner=eqx.combine(arrays, static),
        best=state.best,
        best_loss=state.best_loss,
        optimizer=optimizer,
        inner=inner,
        step=state.step + 1,
        skipped=state.skipped + skipped,
        in_row=jnp.where(finite, 0, state.in_row + 1),
        totals=jax.tree.map(jnp.add, state.totals, seen),
    )


def _drain(state: TrainState, mesh: Mesh) -> tuple[TrainState, dict[str, float]]:
    """The averages since the last call, and the state with its totals at zero."""
    totals = {name: float(total) for name, total in state.totals.items()}
    count = totals.pop("count")
    entry = {name: total / count for name, total in totals.items()}
    entry["skipped"] = int(state.skipped)
    return _with(state, mesh, totals=_no_totals()), entry


def _with(state: TrainState, mesh: Mesh, **fields: Any) -> TrainState:
    placed = {name: replicate(field, mesh) for name, field in fields.items()}
    return dataclasses.replace(state, **placed)


def _non_finite(step: int, patience: int) -> str:
    return (
        f"At step {step} the meta-gradient has not been finite for {patience} meta-steps in a "
        "row: try a smaller --learning-rate, a smaller --clip, a shorter --window, or a rule with "
        "a smaller output scale; and check that the task's loss stays finite near its start."
    )
