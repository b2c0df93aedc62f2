"""Meta-training of a rule on a task."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ..errors import SettingsError
from ..evaluation import evaluate
from ..rules import LSTMRule, Rule
from ..rules.check import check_rule, check_update
from ..rules.files import check_savable, save
from ..runtime.promotion import usual_promotion
from ..runtime.settings import to_dict
from ..tasks import TaskFamily, shapes
from ..tasks.check import check_task
from .estimators import MetaGradient, TruncatedBackprop
from .run import Judge, Trained, meta_train
from .settings import RunOptions, TrainingSettings

_NO_BEST = (
    "No validation gave a finite loss at step {} of the inner loop, so there is no rule to keep: "
    "train for more steps, or with a smaller learning_rate."
)


@usual_promotion()
def train(
    task: TaskFamily,
    rule: Rule | None = None,
    *,
    settings: TrainingSettings | None = None,
    estimator: MetaGradient | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    options: RunOptions | None = None,
) -> Trained:
    """Train `rule` on `task` by gradient descent through (or around) the runs that it drives.

    Minimises over φ the meta-objective Σ_t w_t f(θ_t), equation (3) of Andrychowicz et al.
    (2016).

    Args:
        task: The family of problems.
        rule: The rule to begin with; by default the paper's LSTM with random weights.
        settings: The loop's: how many meta-steps, at which learning rate, validated how often.
        estimator: How the meta-gradient is estimated; by default `TruncatedBackprop()`.
        seed: From 0 to 2³² − 1. The same seed gives the same numbers on the same machine.
        out: A folder for metrics.jsonl, checkpoints, and rule.safetensors, the best rule so far
            by validation. None to write nothing.
        resume: Go on from the newest checkpoint in `out`. The run ends with bit for bit what an
            uninterrupted run gives on the same machine.
        options: What else concerns the run's surroundings: the meta-optimizer, devices,
            reports. `out` and `resume` take precedence over its own.

    Returns:
        The best rule by validation.

    Raises:
        InnerloopError: The task or the rule is not valid, or the rule cannot be saved though
            there is a folder to save it in; and what `meta_train` raises.
        Interrupted: After Ctrl-C or SIGTERM, with a checkpoint.

    Example:
        >>> import innerloop
        >>> settings = innerloop.TrainingSettings(steps=2, validation_problems=4)
        >>> estimator = innerloop.TruncatedBackprop(meta_batch_size=4, horizon=4, truncation=2)
        >>> trained = innerloop.train(
        ...     innerloop.Quadratic(), settings=settings, estimator=estimator
        ... )
        >>> trained.steps
        2
    """
    settings = settings or TrainingSettings()
    estimator = estimator or TruncatedBackprop()
    options = options or RunOptions()
    if out is not None or resume:
        options = dataclasses.replace(options, out=out or options.out, resume=resume)
    check_task(task)
    rule_key, inner_key, validation_key = jax.random.split(jax.random.key(seed), 3)
    rule = LSTMRule(key=rule_key) if rule is None else rule
    check_rule(rule)
    check_update(rule, shapes(task))
    if options.out is not None:
        check_savable(rule)  # Not at the first validation, after hours of training.
    validation_task = task.split("validation")
    judged_at = _judged_at(settings, estimator)

    def validate(rule: Rule) -> float:
        problems, marks = settings.validation_problems, (judged_at,)
        curves = evaluate(rule, validation_task, key=validation_key, problems=problems, marks=marks)
        return float(np.mean(curves.losses[-settings.validate_over :]))

    def keep(rule: Rule, folder: Path) -> None:
        save(rule, folder / "rule.safetensors", run=_header(options.description))

    return meta_train(
        rule,
        task.split("train"),
        estimator=estimator,
        judge=Judge(validate=validate, keep=keep, no_best=_NO_BEST.format(judged_at)),
        settings=settings,
        key=inner_key,
        options=options,
    )


def _header(description: Any) -> dict[str, Any]:
    return (
        to_dict(description) if dataclasses.is_dataclass(description) else dict(description or {})
    )


def _judged_at(settings: TrainingSettings, estimator: MetaGradient) -> int:
    """The inner step that validation judges by."""
    step = settings.validate_at or getattr(estimator, "horizon", None)
    if step is None:
        raise SettingsError("validate_at", None, "a step, since the estimator has no horizon")
    if settings.validate_over > step:
        accepted = f"at most the step that validation judges, {step}"
        raise SettingsError("validate_over", settings.validate_over, accepted)
    return step
