"""The hand-designed optimizers that a learned rule has to beat."""

import functools

import optax

from ..rules import OptaxRule

BASELINES = {
    "sgd": optax.sgd,
    "nesterov": functools.partial(optax.sgd, momentum=0.9, nesterov=True),
    "rmsprop": optax.rmsprop,
    "adam": optax.adam,
    "adamw": optax.adamw,
}
"""Name → a function of the learning rate; all else is as Optax has it by default."""


def baseline(name: str, learning_rate: float) -> OptaxRule:
    """The baseline `name` at a learning rate, as a rule."""
    return OptaxRule(BASELINES[name], learning_rate)
