"""The hand-designed optimizers that a learned rule has to beat."""

import optax
from jaxtyping import Array, Float

from ..rules import OptaxRule


def nesterov(learning_rate: float | Float[Array, ""]) -> optax.GradientTransformation:
    """SGD with Nesterov momentum 0.9."""
    return optax.sgd(learning_rate, momentum=0.9, nesterov=True)


BASELINES = {
    "sgd": optax.sgd,
    "nesterov": nesterov,
    "rmsprop": optax.rmsprop,
    "adam": optax.adam,
    "adamw": optax.adamw,
}
"""Name → a function of the learning rate; all else is as Optax has it by default."""


def baseline(name: str, learning_rate: float) -> OptaxRule:
    """The baseline `name` at a learning rate, as a rule."""
    return OptaxRule(BASELINES[name], learning_rate)
