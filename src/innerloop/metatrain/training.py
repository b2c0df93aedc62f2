"""Meta-training: sample, estimate, step the meta-optimizer, validate, keep the best."""

import dataclasses
import time
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
from ..evaluation import evaluate
from ..folders import writable
from ..mesh import PROBLEMS, REPLICATED, over_problems, problem_mesh, replicate, spread
from ..rules import LSTMRule, Rule
from ..rules.files import save
from ..tasks import Task
from ..tasks.check import check_task
from .checkpoints import Checkpoints
from .gradients import MetaGradient
from .interrupt import Interrupt, Interrupted
from .logs import Log
from .settings import TrainingSettings


class TrainState(eqx.Module):
    """Everything that a run carries from one meta-step to the next."""

    rule: Rule
    best: Rule
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

    rule: Rule
    validation: float
    """The best rule's mean loss at the horizon (or `validate_at`), over validation problems and
    the last `validate_over` steps."""
    steps: int
    skipped: int
    """Meta-steps skipped because their gradient was not finite."""
    seconds: float
    """Time spent in this call, compilation included."""


def train(
    task: Task,
    rule: Rule | None = None,
    *,
    settings: TrainingSettings | None = None,
    meta_optimizer: optax.GradientTransformation | None = None,
    meta_gradient: MetaGradient | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    mesh: Mesh | None = None,
    progress: bool = False,
    tensorboard: bool = False,
    resume_hint: str = "call train again with resume=True",
    description: dict[str, Any] | None = None,
) -> Trained:
    """Train `rule` on `task` by gradient descent through the runs that it drives.

    Minimises over φ the meta-objective Σ_t w_t f(θ_t), equation (3) of Andrychowicz et al.
    (2016). `rule` is by default the paper's LSTM; `meta_optimizer` any Optax
    transformation; `meta_gradient` the estimator that `settings` names.

    With a folder `out`, writes there `metrics.jsonl`, checkpoints, and `rule.safetensors`,
    the best rule so far by validation; `resume` continues from the newest checkpoint, and
    ends with bit for bit what an uninterrupted run gives on the same machine.

    Raises `InnerloopError` where the task is no valid task, the folder holds a run already
    and `resume` is not set, or the meta-gradient stays non-finite; `Interrupted`, its
    subclass, after Ctrl-C has been answered with a checkpoint.
    """
    began = time.perf_counter()
    settings = TrainingSettings() if settings is None else settings
    check_task(task)
    rule_key, inner_key, validation_key = jax.random.split(jax.random.key(seed), 3)
    rule = LSTMRule(key=rule_key) if rule is None else rule
    meta_gradient = meta_gradient or settings.meta_gradient()
    meta_optimizer = meta_optimizer or settings.meta_optimizer()
    mesh = problem_mesh(meta_gradient.problems) if mesh is None else mesh
    checkpoints = None if out is None else _open(Path(out), settings, resume)

    validation_task = task.split("validation")
    task = replicate(task.split("train"), mesh)
    state = _begin(rule, task, meta_gradient, meta_optimizer, mesh, inner_key)
    found = checkpoints.restore(state) if checkpoints and resume else None
    if found is not None:
        state = _lay_out(found[1], mesh)
    # The host's count of steps; the state's own is for the record.
    step = int(state.step)

    judged_at = settings.validate_at or settings.horizon

    def validate(rule: Rule) -> float:
        curves = evaluate(
            rule,
            validation_task,
            key=validation_key,
            problems=settings.validation_problems,
            marks=(judged_at,),
        )
        return float(np.mean(curves.losses[-settings.validate_over :]))

    reports = Log(out, step, settings.steps, progress=progress, tensorboard=tensorboard)
    with reports as log, Interrupt() as interrupt:
        while step < settings.steps:
            state = _step(task, state, meta_gradient, meta_optimizer, mesh)
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
                entry["validation"] = loss = validate(state.rule)
                if loss < float(state.best_loss):
                    best = jax.tree.map(jnp.copy, state.rule)
                    state = _with(state, mesh, best=best, best_loss=jnp.asarray(loss))
                    if out is not None:
                        save(best, Path(out) / "rule.safetensors", run=description)
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
        raise InnerloopError(
            f"No validation gave a finite loss at step {judged_at} of the inner loop, so "
            "there is no rule to keep: train for longer, or with a smaller --learning-rate."
        )
    best = jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf)), state.best)
    return Trained(
        rule=best,
        validation=float(state.best_loss),
        steps=step,
        skipped=int(state.skipped),
        seconds=time.perf_counter() - began,
    )


def _open(out: Path, settings: TrainingSettings, resume: bool) -> Checkpoints | None:
    folder = writable(out) / "checkpoints"
    if not resume and folder.is_dir() and any(folder.iterdir()):
        raise InnerloopError(
            f"{out} holds a training run already; continue it with --resume, or give another --out."
        )
    return Checkpoints(writable(folder)) if settings.checkpoint_every else None


def _begin(
    rule: Rule,
    task: Task,
    meta_gradient: MetaGradient,
    meta_optimizer: optax.GradientTransformation,
    mesh: Mesh,
    key: PRNGKeyArray,
) -> TrainState:
    inner = _init(meta_gradient, rule, task, key)
    zero = jnp.zeros((), jnp.int32)
    state = TrainState(
        rule=rule,
        best=rule,
        best_loss=jnp.asarray(jnp.inf),
        optimizer=meta_optimizer.init(eqx.filter(rule, eqx.is_inexact_array)),
        inner=inner,
        step=zero,
        skipped=zero,
        in_row=zero,
        totals=_no_totals(),
    )
    # Copies: what is donated to the first step must not be the caller's own arrays.
    return _lay_out(jax.tree.map(jnp.copy, state), mesh)


@eqx.filter_jit
def _init(meta_gradient: MetaGradient, rule: Rule, task: Task, key: PRNGKeyArray) -> PyTree:
    return meta_gradient.init(rule, task, key=key)


def _no_totals() -> dict[str, Array]:
    names = ("meta_loss", "grad_norm", "diverged", "count")
    return {name: jnp.zeros(()) for name in names}


def _lay_out(state: TrainState, mesh: Mesh) -> TrainState:
    inner = spread(state.inner, mesh)
    return eqx.tree_at(lambda state: state.inner, replicate(state, mesh), inner)


@eqx.filter_jit(donate="all-except-first")
def _step(
    task: Task,
    state: TrainState,
    meta_gradient: MetaGradient,
    meta_optimizer: optax.GradientTransformation,
    mesh: Mesh,
) -> TrainState:
    def local(shared, inner):
        rule, task = shared
        gradient, inner, metrics = meta_gradient.estimate(rule, task, inner)
        return jax.lax.pmean((gradient, metrics), "problems"), inner

    (gradient, metrics), inner = over_problems(
        local, mesh, (state.rule, task), state.inner, (REPLICATED, PROBLEMS)
    )
    arrays, static = eqx.partition(state.rule, eqx.is_inexact_array)
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
        rule=eqx.combine(arrays, static),
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
