"""The settings of a training run."""

import dataclasses
import types
import typing
from typing import Any, Literal

import numpy as np
import optax

from ..errors import InnerloopError
from .estimators import EvolutionStrategies, MetaGradient, TruncatedBackprop


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """What every run of meta-training is told, whatever it trains.

    Raises `InnerloopError` where a setting is out of its range, or of another type.
    """

    steps: int = 4000
    """Meta-steps: updates of the rule."""
    problems: int = 128
    """Problems worked on at once."""
    learning_rate: float = 3e-3
    """The meta-learning rate: Adam's, falling to zero along a cosine."""
    clip: float = 1.0
    """The largest norm of a meta-gradient; larger ones are scaled down."""
    validate_every: int = 250
    """Meta-steps between validations."""
    validation_problems: int = 512
    """Held-out problems a validation runs on; the same ones every time."""
    log_every: int = 50
    """Meta-steps between lines of metrics.jsonl."""
    checkpoint_every: int | None = 500
    """Meta-steps between checkpoints; None for none at all."""
    checkpoints_kept: int = 2
    """How many of them stay, the newest ones."""
    patience: int = 100
    """Non-finite meta-gradients in a row after which the run stops."""

    def __post_init__(self):
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            setting = getattr(self, field.name)
            if isinstance(setting, np.generic):  # settings.json knows none of NumPy's numbers.
                setting = setting.item()
                object.__setattr__(self, field.name, setting)
            _check_type(field.name, setting, hints[field.name])
            if isinstance(setting, bool) or not isinstance(setting, (int, float)):
                continue
            if not setting > 0:
                raise InnerloopError(f"{field.name} is {setting}; it must be positive.")

    def meta_optimizer(self) -> optax.GradientTransformation:
        """Adam with clipping and a cosine schedule."""
        schedule = optax.cosine_decay_schedule(self.learning_rate, self.steps)
        return optax.chain(optax.clip_by_global_norm(self.clip), optax.adam(schedule))


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings(LoopSettings):
    """How a rule is trained; the defaults are the recipe of the quadratics.

    Raises `InnerloopError` where a setting is out of its range, or of another type.
    """

    method: Literal["backprop", "evolution"] = "backprop"
    """How the meta-gradient is estimated: truncated backpropagation through time, or
    evolution strategies, for which `window`, `stagger`, `second_order`, `coordinates` and
    `clip_each` mean nothing."""
    horizon: int = 100
    """Inner steps before a problem makes way for a fresh one."""
    shortest: int | None = None
    """Draw every problem's horizon log-uniformly from so many steps to `horizon`; None to
    keep it fixed."""
    window: int = 20
    """Inner steps backpropagated through at a time (the unroll); it must divide the horizon."""
    objective: Literal["uniform", "linear", "last", "log"] = "uniform"
    """The loss weights w_t: uniform, linear in t, only the last step, or the mean log loss."""
    stagger: bool = True
    """Start the problems at different points of their horizon."""
    second_order: bool = False
    """Keep the second derivatives that the paper leaves out."""
    coordinates: int | None = None
    """Backpropagate through at most so many coordinates of each parameter leaf, drawn at
    random and weighted to stand for the rest; None for all."""
    sigma: float = 0.05
    """How far evolution strategies change φ: the standard deviation."""
    clip_each: float | None = None
    """The largest norm of one problem's meta-gradient; None for no limit."""
    validate_at: int | None = None
    """The step whose loss validation judges by; None for the horizon."""
    validate_over: int = 1
    """How many losses up to that step validation averages: a single minibatch's is noise."""

    def __post_init__(self):
        super().__post_init__()
        judged_at = self.validate_at or self.horizon
        if self.validate_over > judged_at:
            raise InnerloopError(
                f"validate_over is {self.validate_over}; it must be at most the step that is "
                f"judged, {judged_at}."
            )

    def meta_gradient(self) -> MetaGradient:
        """The estimator of these sizes."""
        if self.method == "evolution":
            return EvolutionStrategies(
                problems=self.problems,
                horizon=self.horizon,
                shortest=self.shortest,
                objective=self.objective,
                sigma=self.sigma,
            )
        return TruncatedBackprop(
            problems=self.problems,
            horizon=self.horizon,
            shortest=self.shortest,
            window=self.window,
            objective=self.objective,
            stagger=self.stagger,
            second_order=self.second_order,
            coordinates=self.coordinates,
            clip_each=self.clip_each,
        )


_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    types.NoneType: "None",
}


def _check_type(name: str, setting: Any, hint: Any) -> None:
    """Settings come from keyword arguments and files, where '3e-4' is easily a text."""
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if setting not in choices:
            raise InnerloopError(
                f"{name} is {setting!r}; it must be {', '.join(choices[:-1])} or {choices[-1]}."
            )
        return
    kinds = typing.get_args(hint) or (hint,)
    if not any(_is(setting, kind) for kind in kinds):
        wanted = " or ".join(_WORDS[kind] for kind in kinds)
        raise InnerloopError(f"{name} is {setting!r}; it must be {wanted}.")


def _is(setting: Any, kind: type) -> bool:
    if isinstance(setting, bool):  # An int to Python alone.
        return kind is bool
    return isinstance(setting, (int, float) if kind is float else kind)
