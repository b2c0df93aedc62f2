"""The few-shot methods by name: what makes each of them, from settings that a file can hold."""

import dataclasses
import difflib
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import optax
from jaxtyping import PRNGKeyArray

from ..errors import InnerloopError
from ..rules import LSTMRule, MetaLSTMRule, MetaSGDRule, MultiRule, OptaxRule, Rule
from ._base import MetaLearner
from .baselines import FineTuning, NearestNeighbour
from .gradient import GradientMetaLearner
from .matching import MatchingNetwork
from .network import Conv4, Params
from .prototypes import PrototypicalNetwork


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a learner's network depends on: the images, and the classes it tells apart.

    `classes` is how many classes there are in all of meta-training, which the baselines need.
    """

    way: int
    shot: int
    side: int
    channels: int
    classes: int


def meta_lstm(
    shape: Shape,
    *,
    key: PRNGKeyArray,
    steps: int | None = None,
    hidden: int = 20,
    forget: str = "learned",
    gates: str = "shared",
    learn_init: bool = True,
    second_order: bool = False,
    alone: bool = False,
    batch: int | None = None,
    rate: float | None = None,
    keep: float | None = None,
    filters: int = 32,
) -> GradientMetaLearner:
    """The Meta-Learner LSTM: 12 steps in 1-shot and 5 in 5-shot episodes, as published.

    `gates` is "shared" over all coordinates, or "layerwise": weights of its own in each layer.
    Training begins at the learned rate `rate` and the forget gate `keep`; None for the published
    0.007 to 0.018 and 0.982 to 0.993.
    """
    if gates not in ("shared", "layerwise"):
        raise InnerloopError(f"gates is '{gates}'; it must be 'shared' or 'layerwise'.")

    def rule(params: Params, key: PRNGKeyArray) -> Rule:
        def one(key: PRNGKeyArray) -> MetaLSTMRule:
            return MetaLSTMRule(
                key=key,
                hidden=hidden,
                forget=forget,  # pyright: ignore[reportArgumentType]
                rate=rate,
                keep=keep,
            )

        if gates == "shared":
            return one(key)
        keys = jax.random.split(key, len(params))
        return MultiRule({name: one(k) for name, k in zip(params, keys, strict=True)})

    return _gradient(
        shape,
        rule,
        key,
        filters,
        steps=(12 if shape.shot == 1 else 5) if steps is None else steps,
        learn_init=learn_init,
        second_order=second_order,
        alone=alone,
        batch=batch,
    )


def maml(
    shape: Shape,
    *,
    key: PRNGKeyArray,
    steps: int = 5,
    rate: float = 0.1,
    second_order: bool = True,
    alone: bool = False,
    filters: int = 32,
) -> GradientMetaLearner:
    """MAML: gradient descent of a fixed rate from a learned initialisation."""

    def rule(params: Params, key: PRNGKeyArray) -> Rule:
        return OptaxRule(optax.sgd, rate)

    return _gradient(
        shape,
        rule,
        key,
        filters,
        steps=steps,
        second_order=second_order,
        alone=alone,
        learn_rule=False,
    )


def meta_sgd(
    shape: Shape,
    *,
    key: PRNGKeyArray,
    steps: int = 1,
    rate: float = 0.1,
    second_order: bool = True,
    alone: bool = False,
    filters: int = 32,
) -> GradientMetaLearner:
    """Meta-SGD: a learned initialisation and a learned rate for every parameter."""

    def rule(params: Params, key: PRNGKeyArray) -> Rule:
        return MetaSGDRule(params, rate)

    return _gradient(shape, rule, key, filters, steps=steps, second_order=second_order, alone=alone)


def lstm(
    shape: Shape,
    *,
    key: PRNGKeyArray,
    steps: int = 5,
    hidden: int = 20,
    second_order: bool = False,
    alone: bool = False,
    filters: int = 32,
) -> GradientMetaLearner:
    """The optimizer of Andrychowicz et al. (2016) from a learned initialisation."""

    def rule(params: Params, key: PRNGKeyArray) -> Rule:
        return LSTMRule(key=key, hidden=hidden, output_scale=0.1)

    return _gradient(shape, rule, key, filters, steps=steps, second_order=second_order, alone=alone)


def protonet(
    shape: Shape, *, key: PRNGKeyArray, scale: float = 1.0, filters: int = 32
) -> PrototypicalNetwork:
    """Prototypical networks."""
    return PrototypicalNetwork(_network(shape, filters), key=key, scale=scale)


def matching(shape: Shape, *, key: PRNGKeyArray, filters: int = 32) -> MatchingNetwork:
    """Matching networks."""
    return MatchingNetwork(_network(shape, filters), key=key)


def matching_fce(
    shape: Shape,
    *,
    key: PRNGKeyArray,
    reads: int = 5,
    hidden: int | None = None,
    filters: int = 32,
) -> MatchingNetwork:
    """Matching networks with full context embeddings, by LSTMs of `hidden` units.

    None for as many units as an embedding has features, as published.
    """
    return MatchingNetwork(
        _network(shape, filters), key=key, full_context=True, reads=reads, hidden=hidden
    )


def nearest_neighbour(
    shape: Shape, *, key: PRNGKeyArray, distance: str = "cosine", filters: int = 32
) -> NearestNeighbour:
    """The nearest-neighbour baseline."""
    network = _network(shape, filters, shape.classes)
    return NearestNeighbour(network, key=key, distance=distance)  # pyright: ignore[reportArgumentType]


def finetune(
    shape: Shape,
    *,
    key: PRNGKeyArray,
    rate: float = 0.1,
    decay: float = 0.0,
    steps: int = 100,
    filters: int = 32,
) -> FineTuning:
    """The fine-tuning baseline."""
    network = _network(shape, filters, shape.classes)
    return FineTuning(network, key=key, rate=rate, decay=decay, steps=steps)


METHODS: dict[str, Callable[..., MetaLearner]] = {
    "finetune": finetune,
    "nearest-neighbour": nearest_neighbour,
    "matching": matching,
    "matching-fce": matching_fce,
    "meta-lstm": meta_lstm,
    "maml": maml,
    "meta-sgd": meta_sgd,
    "lstm": lstm,
    "protonet": protonet,
}
"""In the order of Table 1 of Ravi & Larochelle (2017), and what came after."""


def find_method(name: str) -> Callable[..., MetaLearner]:
    """What makes the method of that name. Raises `InnerloopError`, with the nearest."""
    if name in METHODS:
        return METHODS[name]
    near = difflib.get_close_matches(name, METHODS, n=1, cutoff=0.4)
    meant = f" Did you mean '{near[0]}'?" if near else ""
    raise InnerloopError(f"There is no method '{name}'.{meant} There are {', '.join(METHODS)}.")


def _network(shape: Shape, filters: int, classes: int | None = None) -> Conv4:
    return Conv4(side=shape.side, channels=shape.channels, filters=filters, classes=classes)


def _gradient(
    shape: Shape,
    make_rule: Callable[[Params, PRNGKeyArray], Rule],
    key: PRNGKeyArray,
    filters: int,
    **settings: Any,
) -> GradientMetaLearner:
    params_key, rule_key = jax.random.split(key)
    network = _network(shape, filters, shape.way)
    params = network.init(key=params_key)
    return GradientMetaLearner(network, params, make_rule(params, rule_key), **settings)


def inner_steps(learner: MetaLearner) -> int:
    """How many updates a learner makes on a support set; 0 for those that only compare."""
    return learner.steps if isinstance(learner, (GradientMetaLearner, FineTuning)) else 0


def trained_jointly(learner: MetaLearner) -> bool:
    """Whether a learner is trained on batches of all classes and not on episodes."""
    return isinstance(learner, (NearestNeighbour, FineTuning))


def number_of_parameters(learner: MetaLearner) -> int:
    """How many numbers are learned over the episodes."""
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(learner, eqx.is_inexact_array)))
