"""The loop of meta-training: estimate, step the meta-optimizer, validate, keep the best."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Generator
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
from ..folders import only_one, refuse_links, remember, writable
from ..hosts import alone, is_first
from ..mesh import PROBLEMS, REPLICATED, flags, over_problems, problem_mesh, replicate, spread
from .checkpoints import Checkpoints
from .gradients import MetaGradient
from .interrupt import Interrupt, Interrupted
from .logs import Log
from .settings import LoopSettings

_SLOW = 1.0
"""Seconds from which on a meta-step is too long to wait for its end when asked to stop."""


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
    asked: Float[Array, ""]
    """Above 0 where a process of the run was asked to stop."""
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
    leave_within: float | None = None,
    no_best: str = "",
    asked: dict[str, Any] | None = None,
) -> Trained:
    """Descend `meta_gradient`'s estimates in the array leaves of `learner`.

    `problems` is what the estimator draws from. `validate` judges a learner, the lower the
    better, and `keep(learner, folder)` writes the best so far where there is a folder `out`.
    `no_best` is what is raised where no validation gave a finite number. `asked` is what the run
    was asked, which is kept in the folder and in each checkpoint: whoever resumes the run has to
    ask the same. The rest is as in `train`.
    """
    began = time.perf_counter()
    meta_optimizer = meta_optimizer or settings.meta_optimizer()
    mesh = problem_mesh(meta_gradient.problems) if mesh is None else mesh
    with contextlib.ExitStack() as stack:
        checkpoints = _open(None if out is None else Path(out), settings, resume, asked, stack)
        problems = replicate(problems, mesh)
        state = _begin(learner, problems, meta_gradient, meta_optimizer, mesh, key)
        found = checkpoints.restore(state) if checkpoints and resume else None
        run = _Run(
            state=state if found is None else found[1],
            # The host's count of steps; the state's own is for the record.
            step=0 if found is None else found[0],
            settings=settings,
            mesh=mesh,
            validate=validate,
            keep=None if out is None else lambda best: keep(best, Path(out)),
            checkpoints=checkpoints,
            resume_hint=resume_hint,
        )
        run.go_on(
            lambda state, asked: _step(
                (problems, asked), state, meta_gradient, meta_optimizer, mesh
            ),
            Log(
                out if is_first() else None,
                run.reported,
                settings.steps,
                progress=progress and is_first(),
                tensorboard=tensorboard and is_first(),
            ),
            leave_within,
        )
    state = run.state
    if int(state.skipped) == run.step:
        raise InnerloopError(
            f"All {run.step} meta-steps were skipped, since the meta-loss or its gradient was not "
            "finite: nothing was learned, and nothing is kept. Try a smaller --learning-rate, or "
            "smaller rates of the inner loop."
        )
    if not np.isfinite(state.best_loss):
        raise InnerloopError(no_best or "No validation gave a finite number: there is no best.")
    return Trained(
        rule=_on_one_device(state.best),
        validation=float(state.best_loss),
        steps=run.step,
        skipped=int(state.skipped),
        seconds=time.perf_counter() - began,
    )


@dataclasses.dataclass
class _Run:
    """A run of meta-training between two meta-steps, and how it gets to the next."""

    state: TrainState
    step: int
    settings: LoopSettings
    mesh: Mesh
    validate: Callable[[Any], float]
    keep: Callable[[Any], Any] | None
    checkpoints: Checkpoints | None
    resume_hint: str
    whole: tuple[int, TrainState] | None = None
    """What could be saved at this moment: no meta-step under way has its arrays."""

    @property
    def reported(self) -> int:
        """The last meta-step whose report, if there is to be one, is written."""
        return self.step - 1 if self._due() else self.step

    def go_on(
        self,
        advance: Callable[[TrainState, Array], TrainState],
        log: Log,
        leave_within: float | None,
    ) -> None:
        seconds = 0.0
        calm = flags(False, self.mesh)
        with log, Interrupt(leave_within, self._leave) as interrupt:
            self._report(log)
            while self.step < self.settings.steps:
                began = time.perf_counter()
                if seconds > _SLOW and leave_within is not None and alone():
                    # The step takes the arrays that it is given, and whoever asks the run to
                    # stop will not wait for its end.
                    self.whole = (self.step, jax.tree.map(jnp.copy, self.state))
                with _together(self.step):
                    asked = flags(True, self.mesh) if interrupt.asked else calm
                    self.state = advance(self.state, asked)
                    # Two programs with an all-reduce in flight at once can starve XLA's CPU
                    # threads of each other, so the host waits for each one.
                    jax.block_until_ready(self.state.step)
                self.step, self.whole = self.step + 1, None
                self._report(log)
                log.advance()
                seconds = time.perf_counter() - began
                # Those who are one run stop after the same step.
                asked = interrupt.asked if alone() else bool(self.state.asked > 0)
                if asked:
                    interrupt.answer()
                self._save(log, asked)
                if asked and self.step < self.settings.steps:
                    raise Interrupted(self._stopped(self.step))

    def _due(self) -> bool:
        """Whether this step is to be reported and is not: its totals are not taken yet."""
        settings, step = self.settings, self.step
        report = step % settings.log_every == 0 or step % settings.validate_every == 0
        return (report or step == settings.steps) and float(self.state.totals["count"]) > 0

    def _report(self, log: Log) -> None:
        """Metrics, and validation where it is time for it, of the step that was made."""
        if not self._due():
            return
        settings, step = self.settings, self.step
        self.whole = (step, self.state)
        state, entry = _drain(self.state, self.mesh)
        if int(state.in_row) >= settings.patience:
            raise InnerloopError(_non_finite(step, settings.patience))
        if step % settings.validate_every == 0 or step == settings.steps:
            entry["validation"] = loss = self.validate(_on_one_device(state.learner))
            # One that made no step, since all were skipped, is none that was trained; and −∞ would
            # be the best for ever.
            trained = int(state.skipped) < step
            if trained and np.isfinite(loss) and loss < float(state.best_loss):
                best = jax.tree.map(jnp.copy, state.learner)
                state = _with(state, self.mesh, best=best, best_loss=jnp.asarray(loss))
                if self.keep is not None and is_first():
                    self.keep(_on_one_device(best))
        log.write(step, entry)
        self.state, self.whole = state, None

    def _save(self, log: Log, asked: bool) -> None:
        if self.checkpoints is None:
            return
        last = self.step == self.settings.steps
        if self.step % (self.settings.checkpoint_every or self.step) == 0 or last or asked:
            log.sync()
            self.checkpoints.save(self.step, self.state, wait=last or asked)

    def _stopped(self, step: int) -> str:
        more = f"; to continue, {self.resume_hint}." if self.checkpoints else "."
        return f"Stopped at meta-step {step} of {self.settings.steps}{more}"

    def _leave(self) -> str:
        """Save what there is while a long computation is under way."""
        if self.checkpoints is None:
            return self._stopped(self.step)
        if self.whole is None or not alone():
            latest = self.checkpoints.latest
            kept = "no checkpoint" if latest is None else f"the checkpoint of meta-step {latest}"
            return (
                f"Stopped in the middle of meta-step {self.step + 1}, with {kept}; "
                f"to continue, {self.resume_hint}."
            )
        step, state = self.whole
        self.checkpoints.save(step, state, wait=True)
        return self._stopped(step)


@contextlib.contextmanager
def _together(step: int) -> Generator[None]:
    """What becomes of a run of several processes when one of them is gone is said in a sentence."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if alone():
            raise
        raise InnerloopError(
            f"After meta-step {step} another process of the run was gone ("
            f"{' '.join(str(error).split())[:160]}). Start all of them again, with --resume to go "
            "on from the last checkpoint."
        ) from error


def _open(
    out: Path | None,
    settings: LoopSettings,
    resume: bool,
    asked: dict[str, Any] | None,
    stack: contextlib.ExitStack,
) -> Checkpoints | None:
    if out is None:
        return None
    folder = writable(out) / "checkpoints"
    if is_first():
        stack.enter_context(only_one(out))
    refuse_links(folder)
    if not resume and folder.is_dir() and any(folder.iterdir()):
        raise InnerloopError(
            f"{out} holds a training run already; continue it with --resume, or give another --out."
        )
    if asked is not None:
        remember(out / "settings.json", asked, resume)
    if not settings.checkpoint_every:
        return None
    checkpoints = Checkpoints(writable(folder), keep=settings.checkpoints_kept, asked=asked)
    return stack.enter_context(checkpoints)


def _on_one_device(learner: Any) -> Any:
    """The arrays as this process alone can use them."""
    if alone():
        return learner
    return jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf)), learner)


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
        asked=jnp.zeros(()),
        totals=_no_totals(),
    )
    # Copies: what is donated to the first step must not be the caller's own arrays.
    return _lay_out(jax.tree.map(jnp.copy, state), mesh)


@eqx.filter_jit
def _init(meta_gradient: MetaGradient, learner: Any, problems: Any, key: PRNGKeyArray) -> PyTree:
    return meta_gradient.init(learner, problems, key=key)


def _no_totals() -> dict[str, Array]:
    names = ("meta_loss", "grad_norm", "diverged", "count", "finite")
    return {name: jnp.zeros(()) for name in names}


def _lay_out(state: TrainState, mesh: Mesh) -> TrainState:
    inner = spread(state.inner, mesh)
    return eqx.tree_at(lambda state: state.inner, replicate(state, mesh), inner)


@eqx.filter_jit(donate="all-except-first")
def _step(
    given: tuple[Any, Float[Array, " devices"]],
    state: TrainState,
    meta_gradient: MetaGradient,
    meta_optimizer: optax.GradientTransformation,
    mesh: Mesh,
) -> TrainState:
    problems, asked = given

    def local(shared, split):
        learner, problems = shared
        inner, asked = split
        gradient, inner, metrics = meta_gradient.estimate(learner, problems, inner)
        # A device whose problems all diverged has no meta-loss, and no say in it.
        counted = metrics.pop("counted", jnp.ones(()))
        metrics["meta_loss"] = jnp.where(counted > 0, counted * metrics["meta_loss"], 0.0)
        return jax.lax.pmean((gradient, metrics, counted, asked[0]), "problems"), inner

    (gradient, metrics, counted, asked), inner = over_problems(
        local, mesh, (state.learner, problems), (state.inner, asked), (REPLICATED, PROBLEMS)
    )
    metrics["meta_loss"] = metrics["meta_loss"] / counted  # NaN where nothing counted.
    arrays, static = eqx.partition(state.learner, eqx.is_inexact_array)
    norm = optax.tree.norm(gradient)
    finite = jnp.isfinite(norm) & jnp.isfinite(metrics["meta_loss"])
    updates, optimizer = meta_optimizer.update(gradient, state.optimizer, arrays)
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
        asked=asked,
        totals=jax.tree.map(jnp.add, state.totals, seen),
    )


def _drain(state: TrainState, mesh: Mesh) -> tuple[TrainState, dict[str, float]]:
    """The averages since the last call, and the state with its totals at zero.

    The meta-loss and the gradient's norm are averaged over the steps that were not skipped, and
    are NaN where there was none.
    """
    totals = {name: float(total) for name, total in state.totals.items()}
    count, finite = totals.pop("count"), totals.pop("finite")
    entry = {name: total / count for name, total in totals.items()}
    for name in ("meta_loss", "grad_norm"):
        entry[name] = totals[name] / finite if finite else float("nan")
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
