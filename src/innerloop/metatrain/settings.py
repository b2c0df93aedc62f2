"""The settings of a training run that do not depend on what is trained, nor on how."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optax
from jax.sharding import Mesh

from ..runtime.settings import Count, Positive, check


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """The loop of meta-training, whatever it trains.

    Raises:
        SettingsError: A setting has another type, or is out of its range.

    Example:
        >>> import innerloop
        >>> settings = innerloop.LoopSettings(steps=100, validate_every=20)
        >>> settings.learning_rate
        0.003
    """

    steps: Count = 4000
    """Meta-steps: updates of what is trained."""
    learning_rate: Positive = 3e-3
    """The meta-learning rate: Adam's, falling to zero along a cosine."""
    clip: Positive = 1.0
    """The largest norm of a meta-gradient; larger ones are scaled down."""
    validate_every: Count = 250
    """Meta-steps between validations."""
    validation_problems: Count = 512
    """Held-out problems (or episodes) of a validation; the same ones every time."""
    log_every: Count = 50
    """Meta-steps between lines of metrics.jsonl."""
    checkpoint_every: Count | None = 500
    """Meta-steps between checkpoints; None for no checkpoints."""
    checkpoints_kept: Count = 2
    """How many checkpoints stay: the newest."""
    patience: Count = 100
    """Non-finite meta-gradients in a row after which the run stops."""

    def __post_init__(self):
        check(self)

    def meta_optimizer(self) -> optax.GradientTransformation:
        """Adam with clipping and a cosine schedule over `steps`."""
        schedule = optax.cosine_decay_schedule(self.learning_rate, self.steps)
        return optax.chain(optax.clip_by_global_norm(self.clip), optax.adam(schedule))


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings(LoopSettings):
    """The loop of training a rule; the defaults suit the quadratics.

    How the meta-gradient is estimated is an estimator's affair, see `TruncatedBackprop` and
    `EvolutionStrategies`.

    Raises:
        SettingsError: A setting has another type, or is out of its range.

    Example:
        >>> import innerloop
        >>> settings = innerloop.TrainingSettings(steps=100, validate_every=20, validate_at=50)
        >>> settings.validation_problems
        512
    """

    validate_at: Count | None = None
    """The inner step whose loss validation judges by; None for the estimator's horizon."""
    validate_over: Count = 1
    """How many losses up to that step validation averages. One minibatch's loss is noisy."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where a run writes and how it reports.

    Nothing here changes what is learned, but for `meta_optimizer`.

    Example:
        >>> import innerloop
        >>> options = innerloop.RunOptions(
        ...     progress=True, on_report=lambda step, metrics: print(step, metrics["meta_loss"])
        ... )
        >>> options.resume
        False
    """

    out: str | Path | None = None
    """The folder for checkpoints, metrics and the best so far; None to write nothing."""
    resume: bool = False
    """Go on from the newest checkpoint in `out`."""
    description: Any = None
    """What the run is asked: a dataclass of settings, or nested dicts. It is written to
    `out`/run.toml, where a resumed run must find the same, and into the saved file's header."""
    meta_optimizer: optax.GradientTransformation | None = None
    """Any Optax transformation; None for `LoopSettings.meta_optimizer`."""
    mesh: Mesh | None = None
    """The devices; None for all that divide the meta-batch."""
    on_report: Callable[[int, Mapping[str, float]], Any] | None = None
    """Called with the meta-step and its metrics whenever a line of metrics is written."""
    progress: bool = False
    """Show a progress bar on standard error, or a line for each validation."""
    tensorboard: bool = False
    """Write TensorBoard logs into `out` too."""
    resume_hint: str = "call train again with resume=True"
    """How to go on, for the message of an interrupted run."""
