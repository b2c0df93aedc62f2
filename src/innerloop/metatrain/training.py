"""Meta-training of a rule on a task."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from ..evaluation import evaluate
from ..rules import LSTMRule, Rule
from ..rules.check import check_rule
from ..rules.files import save
from ..tasks import Task
from ..tasks.check import check_task
from .gradients import MetaGradient
from .loop import Trained, meta_train
from .settings import TrainingSettings


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
    leave_within: float | None = None,
    description: dict[str, Any] | None = None,
    asked: dict[str, Any] | None = None,
) -> Trained:
    """Train `rule` on `task` by gradient descent through the runs that it drives.

    Minimises over φ the meta-objective Σ_t w_t f(θ_t), equation (3) of Andrychowicz et al.
    (2016). `rule` is by default the paper's LSTM; `meta_optimizer` any Optax
    transformation; `meta_gradient` the estimator that `settings` names.

    With a folder `out`, writes there `metrics.jsonl`, checkpoints, and `rule.safetensors`,
    the best rule so far by validation; `resume` continues from the newest checkpoint, and
    ends with bit for bit what an uninterrupted run gives on the same machine. Ctrl-C and SIGTERM
    are answered between two meta-steps; with `leave_within`, which is for commands, the whole
    process ends after so many seconds at the latest, with a checkpoint of what there is.

    `description` is what the rule's file is to say of the run. `asked`, where it is given, is
    kept as settings.json, and a run that is resumed has to be asked the same.

    Raises `InnerloopError` where the task is no valid task, the folder holds a run already
    and `resume` is not set, or the meta-gradient stays non-finite; `Interrupted`, its
    subclass, after Ctrl-C has been answered with a checkpoint.
    """
    settings = TrainingSettings() if settings is None else settings
    check_task(task)
    rule_key, inner_key, validation_key = jax.random.split(jax.random.key(seed), 3)
    rule = LSTMRule(key=rule_key) if rule is None else rule
    check_rule(rule)
    validation_task = task.split("validation")
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

    return meta_train(
        rule,
        task.split("train"),
        meta_gradient=meta_gradient or settings.meta_gradient(),
        validate=validate,
        keep=lambda rule, folder: save(rule, folder / "rule.safetensors", run=description),
        settings=settings,
        key=inner_key,
        meta_optimizer=meta_optimizer,
        out=out,
        resume=resume,
        mesh=mesh,
        progress=progress,
        tensorboard=tensorboard,
        resume_hint=resume_hint,
        leave_within=leave_within,
        asked=asked,
        no_best=f"No validation gave a finite loss at step {judged_at} of the inner loop, so "
        "there is no rule to keep: train for longer, or with a smaller --learning-rate.",
    )
