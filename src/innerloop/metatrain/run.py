"""A run of meta-training: it begins or resumes, reports, validates, saves, and ends."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from ..errors import RunError
from ..runtime.checkpoints import Checkpoints
from ..runtime.devices import flags, problem_mesh, replicate
from ..runtime.folders import only_one, refuse_links, writable
from ..runtime.hosts import alone, is_first
from ..runtime.interrupts import Interrupt, Interrupted
from ..runtime.metrics import Log
from ..runtime.promotion import usual_promotion
from ..runtime.runfile import FILE, remember
from .estimators import MetaGradient
from .settings import LoopSettings, RunOptions
from .step import Stepper, TrainState


@dataclasses.dataclass(frozen=True)
class Trained:
    """The outcome of a training run: the best rule by validation, and how it was found."""

    rule: Any
    """A rule, or whatever else was trained."""
    validation: float
    """What validation gave for it. Of a rule: its mean loss at the horizon (or `validate_at`),
    over validation problems and the last `validate_over` steps."""
    steps: int
    """Meta-steps that the whole run made, those before it was resumed included."""
    skipped: int
    """Meta-steps skipped because their gradient was not finite."""
    seconds: float
    """Time spent in this call, compilation included."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judge:
    """How a run finds out which of its learners is best, and where that one goes."""

    validate: Callable[[Any], float]
    """A learner's loss; the lower the better."""
    keep: Callable[[Any, Path], Any]
    """Writes the best learner so far into the run's folder."""
    no_best: str = "No validation gave a finite number: there is no best."
    """The message where none was finite."""


@usual_promotion()
def meta_train(
    learner: Any,
    source: Any,
    *,
    estimator: MetaGradient,
    judge: Judge,
    settings: LoopSettings,
    key: PRNGKeyArray,
    options: RunOptions | None = None,
) -> Trained:
    """Descend `estimator`'s estimates of the meta-gradient in the array leaves of `learner`.

    Args:
        learner: What is trained: an `equinox.Module`.
        source: What the estimator draws problems from.
        estimator: How the meta-gradient is estimated.
        judge: How a learner is validated and saved.
        settings: The loop's.
        key: Draws the problems.
        options: Where the run writes, and how it reports.

    Returns:
        The best learner by validation.

    Raises:
        RunError: The folder holds a run already and `resume` is not set, or holds none and it
            is; the meta-gradient stays non-finite; no validation is finite.
        Interrupted: After Ctrl-C or SIGTERM, with a checkpoint.
    """
    began = time.perf_counter()
    options = options or RunOptions()
    mesh = problem_mesh(estimator.meta_batch_size) if options.mesh is None else options.mesh
    optimizer = options.meta_optimizer or settings.meta_optimizer()
    with contextlib.ExitStack() as stack:
        checkpoints = _open(settings, options, stack)
        stepper = Stepper(replicate(source, mesh), estimator, optimizer, mesh)
        state = stepper.init(learner, key)
        found = checkpoints.restore(state) if checkpoints and options.resume else None
        # The host's count of steps; the state's own is for the record.
        step, state = (0, state) if found is None else found
        run = _Run(stepper, state, step, settings, judge, options, checkpoints)
        run.finish()
    state = run.state
    if int(state.skipped) == run.step:
        raise RunError(
            f"All {run.step} meta-steps were skipped, since the meta-loss or its gradient was not "
            "finite: nothing was learned, and nothing is kept. Try a smaller learning_rate, or "
            "smaller rates of the inner loop.",
            arguments=("learning_rate",),
        )
    if not np.isfinite(state.best_loss):
        raise RunError(judge.no_best)
    return Trained(
        rule=_on_one_device(state.best),
        validation=float(state.best_loss),
        steps=run.step,
        skipped=int(state.skipped),
        seconds=time.perf_counter() - began,
    )


@dataclasses.dataclass
class _Run:
    """A run between two meta-steps, and how it gets to the next."""

    stepper: Stepper
    state: TrainState
    step: int
    settings: LoopSettings
    judge: Judge
    options: RunOptions
    checkpoints: Checkpoints | None

    def finish(self) -> None:
        """Go on to the last meta-step, or until asked to stop."""
        mesh = self.stepper.mesh
        calm = flags(False, mesh)
        with self._log() as log, Interrupt() as interrupt:
            self._report(log)
            while self.step < self.settings.steps:
                with _together(self.step):
                    asked = flags(True, mesh) if interrupt.asked else calm
                    self.state = self.stepper(self.state, asked)
                    # Two programs with an all-reduce in flight at once can starve XLA's CPU
                    # threads of each other, so the host waits for each one.
                    jax.block_until_ready(self.state.step)
                self.step += 1
                self._report(log)
                log.advance()
                # Those who are one run stop after the same step.
                stop = interrupt.asked if alone() else bool(self.state.asked > 0)
                self._save(log, stop)
                if stop:
                    raise Interrupted(self._stopped())

    def _log(self) -> Log:
        options, first = self.options, is_first()
        # The last meta-step whose report, if there is to be one, is written.
        reported = self.step - 1 if self._due() else self.step
        return Log(
            options.out if first else None,
            reported,
            self.settings.steps,
            progress=options.progress and first,
            tensorboard=options.tensorboard and first,
        )

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
        self.state, entry = self.stepper.drain(self.state)
        if int(self.state.in_row) >= settings.patience:
            raise RunError(_non_finite(step, settings.patience))
        if step % settings.validate_every == 0 or step == settings.steps:
            entry["validation"] = self._validate()
        log.write(step, entry)
        if self.options.on_report is not None and is_first():
            self.options.on_report(step, entry)

    def _validate(self) -> float:
        state = self.state
        loss = self.judge.validate(_on_one_device(state.learner))
        # A learner that made no step, since all were skipped, is none that was trained; and −∞
        # would be the best for ever.
        trained = int(state.skipped) < self.step
        if trained and np.isfinite(loss) and loss < float(state.best_loss):
            best = jax.tree.map(jnp.copy, state.learner)
            self.state = self.stepper.put(state, best=best, best_loss=jnp.asarray(loss))
            if self.options.out is not None and is_first():
                self.judge.keep(_on_one_device(best), Path(self.options.out))
        return loss

    def _save(self, log: Log, stop: bool) -> None:
        if self.checkpoints is None:
            return
        last = self.step == self.settings.steps
        if self.step % (self.settings.checkpoint_every or self.step) == 0 or last or stop:
            log.sync()
            self.checkpoints.save(self.step, self.state, wait=last or stop)

    def _stopped(self) -> str:
        # No full stop after a hint that ends with a command: it would be copied with it.
        more = f"; to continue, {self.options.resume_hint}" if self.checkpoints else "."
        return f"Stopped at meta-step {self.step} of {self.settings.steps}{more}"


@contextlib.contextmanager
def _together(step: int) -> Generator[None]:
    """Says in a sentence that another process of the run is gone."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if alone():
            raise
        raise RunError(
            f"After meta-step {step} another process of the run was gone ("
            f"{' '.join(str(error).split())[:160]}). Start all of them again and resume from the "
            "last checkpoint.",
            arguments=("resume",),
        ) from error


def _open(
    settings: LoopSettings, options: RunOptions, stack: contextlib.ExitStack
) -> Checkpoints | None:
    """The folder's lock, taken until the run ends, and its checkpoints."""
    if options.out is None:
        return None
    out = writable(options.out)
    folder = out / "checkpoints"
    if is_first():
        stack.enter_context(only_one(out))
    refuse_links(folder)
    if not options.resume and folder.is_dir() and any(folder.iterdir()):
        raise RunError(
            f"{out} holds a training run already; resume it, or name another folder.",
            arguments=("resume", "out"),
        )
    asked = options.description
    if asked is not None:
        # Under the lock, so that the file is that of the run whose checkpoints lie beside it.
        remember(out / FILE, asked, resume=options.resume)
    if not settings.checkpoint_every:
        return None
    checkpoints = Checkpoints(writable(folder), keep=settings.checkpoints_kept, asked=asked)
    return stack.enter_context(checkpoints)


def _on_one_device(learner: Any) -> Any:
    """The arrays as this process alone can use them."""
    if alone():
        return learner
    return jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf)), learner)


def _non_finite(step: int, patience: int) -> str:
    return (
        f"At step {step} the meta-gradient has not been finite for {patience} meta-steps in a "
        "row: try a smaller learning_rate or clip, a shorter truncation, or a rule with a smaller "
        "output scale; and check that the task's loss stays finite near its start."
    )
