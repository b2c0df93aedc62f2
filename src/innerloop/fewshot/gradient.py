"""Gradient meta-learners: a learned initialisation and a rule, which is all there is to them."""

import abc
import dataclasses
from typing import Any, ClassVar, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ..errors import InnerloopError
from ..inner import InnerLoop, unroll
from ..rules import Rule
from ..rules._batch import batched
from ..runtime.settings import Count, check
from ..tasks import TaskFamily
from ._base import MetaLearner, Predictor, Shape, cross_entropy
from .adjoint import attach_adjoint, has_adjoint
from .backbones import Backbone, Params, Statistics
from .episode import Labelled
from .head import HEAD, init_head, logits


@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientSettings:
    """What all gradient meta-learners are told.

    Raises:
        SettingsError: A setting has another type, or is out of its range.

    Example:
        >>> from innerloop import fewshot
        >>> fewshot.GradientSettings(steps=3, second_order=True).learn_init
        True
    """

    steps: Count = 5
    """Inner steps: updates on a support set."""
    second_order: bool = False
    """Keep the derivatives of the inner gradients."""
    learn_init: bool = True
    """Learn the initialisation; without it every episode begins at random parameters."""
    query_statistics: Literal["query", "support"] = "query"
    """What normalises the queries of meta-training: their own statistics, as published, or the
    support set's, as in use."""
    batch: Count | None = None
    """Support images that an inner step sees, drawn at random; None for all, as published."""

    def __post_init__(self):
        check(self)


class GradientMetaLearner(MetaLearner):
    """θ_0 = params, then θ_t = θ_{t−1} + rule(∇L(θ_{t−1})) on the support set.

    A learned initialisation of a backbone and a linear layer, and a rule, which is all there is
    to a method: a subclass says by `make_rule` which one. The settings are a `GradientSettings`
    or a subclass of it.

    While it learns, units are normalised by the statistics of the images at hand. Those of the
    support set under the final parameters are kept to normalise the queries by, and with the
    next episode they are gone.

    Attributes:
        params: The initialisation: the backbone's layers, and "head".
        rule: The update rule.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: An instance of the class's `Settings`; None for the defaults.
        key: Draws the initial arrays.

    References:
        Finn, Abbeel & Levine, "Model-agnostic meta-learning for fast adaptation of deep networks"
        (2017, arXiv:1703.03400), for the initialisation; Ravi & Larochelle, "Optimization as a
        model for few-shot learning" (2017), for the rule.
    """

    Settings: ClassVar[type[Any]] = GradientSettings

    params: Params
    rule: Rule

    def __init__(
        self, shape: Shape, backbone: Backbone, settings: Any = None, *, key: PRNGKeyArray
    ):
        super().__init__(shape, backbone, settings, key=key)
        params_key, rule_key = jax.random.split(key)
        self.params = _init(shape, backbone, params_key)
        self.rule = self.make_rule(self.params, key=rule_key)

    @abc.abstractmethod
    def make_rule(self, params: Params, *, key: PRNGKeyArray) -> Rule:
        """The rule, untrained.

        Args:
            params: The initialisation that it is for.
            key: Draws its weights.
        """

    @property
    def way(self) -> int | None:
        return self.shape.way

    @property
    def inner_steps(self) -> int:
        return self.settings.steps

    @property
    def learns_rule(self) -> bool:
        return True

    def meta_loss(self, episode: Any, way: int, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """The cross-entropy of the queries after the inner loop."""
        predict = self.adapt(episode.support, way, key=key)
        own = self.settings.query_statistics == "query"
        logits = predict(episode.query.images, transductive=own)
        return cross_entropy(logits, episode.query.labels)

    def adapt(self, support: Labelled, way: int, *, key: PRNGKeyArray) -> "Adapted":
        params = self.run(support, way, key=key)[0].params
        _, statistics = self.backbone.features(params, support.images)
        return Adapted(self.backbone, params, statistics)

    def run(self, support: Labelled, way: int, *, key: PRNGKeyArray) -> tuple[InnerLoop, Any]:
        """(where the inner loop ends, the rule's state after each step [steps, …]).

        The parameters are those after `steps` updates; loss and gradients are those that the
        last of them saw. To first order derivatives reach back from the parameters alone.
        """
        if way != self.way:
            raise InnerloopError(f"This learner tells {self.way} classes apart; these are {way}.")
        settings, (init_key, loss_key) = self.settings, jax.random.split(key)
        initial = self.params if settings.learn_init else _init(self.shape, self.backbone, init_key)
        rule = self.rule if self.learns_rule else _held(self.rule)
        task = _SupportTask(self.shape, self.backbone, settings.batch)
        # First order, the gradient at the start is a constant too.
        seen = initial if settings.second_order else jax.lax.stop_gradient(initial)
        loop = InnerLoop.init_one(rule, task, support, seen, loss_key)
        learned, by_adjoint = (rule, initial), not settings.second_order and has_adjoint(rule)
        if by_adjoint:
            rule, initial = _held(learned)
        loop = eqx.tree_at(lambda loop: loop.params, loop, initial)
        loops = jax.tree.map(lambda leaf: leaf[None], loop)
        # The last step needs no gradient where it arrives, so that it is taken by itself.
        loops, before = unroll(
            rule,
            task,
            loops,
            self.inner_steps - 1,
            second_order=settings.second_order,
            # Inside the loop a state is in the layout of a batch.
            record=lambda moment, arrival: _Before(
                batched(rule).unpack(moment.state, 1), moment.grads, moment.loss
            ),
        )
        loop = jax.tree.map(lambda leaf: leaf[0], loops)
        grads, loss = loop.grads, loop.loss
        if not settings.second_order:
            grads, loss = jax.lax.stop_gradient((grads, loss))
        last = _Before(loop.state, grads, loss)
        before = jax.tree.map(
            lambda each, last: jnp.concatenate([each[:, 0], last[None]]), before, last
        )
        updates, state = rule.update(grads, loop.state, loop.params, value=loss)
        params = jax.tree.map(jnp.add, loop.params, updates)
        if by_adjoint:
            params = attach_adjoint(*learned, before.grads, before.loss, params)
        # What is recorded is the state before each step: the first is empty, the last is to come.
        ended = jax.tree.map(
            lambda each, last: jnp.concatenate([each[1:], last[None]]), before.state, state
        )
        return (
            eqx.tree_at(lambda loop: (loop.params, loop.state), loop, (params, state)),
            ended,
        )


def _init(shape: Shape, backbone: Backbone, key: PRNGKeyArray) -> Params:
    return {**backbone.init(key=key), HEAD: init_head(backbone.width, shape.way)}


def _held(tree: Any) -> Any:
    """`tree`, whose numbers are constants to differentiation."""
    arrays, rest = eqx.partition(tree, eqx.is_inexact_array)
    return eqx.combine(jax.lax.stop_gradient(arrays), rest)


class _Before(eqx.Module):
    """What a rule is shown at a step, and the state that it then is in."""

    state: Any
    grads: Params
    loss: Float[Array, "*problems"]


@final
class Adapted(Predictor):
    """A backbone and output layer with the parameters that an inner loop ended at."""

    backbone: Backbone
    params: Params
    statistics: Statistics

    def __call__(
        self, images: UInt8[Array, "n height width channels"], *, transductive: bool = False
    ) -> Float[Array, "n way"]:
        statistics = None if transductive else self.statistics
        return logits(self.backbone, self.params, images, statistics)[0]


@final
class _SupportTask(TaskFamily):
    """The support set's cross-entropy as the inner loop's loss; the problem is the set."""

    shape: Shape = eqx.field(static=True)
    backbone: Backbone
    batch: int | None = eqx.field(static=True)

    one_by_one = True

    def sample(self, *, key: PRNGKeyArray) -> Labelled:
        raise NotImplementedError("A support set is given, not drawn.")

    def init(self, problem: Labelled, *, key: PRNGKeyArray) -> Params:
        return _init(self.shape, self.backbone, key)

    def loss(self, params: Params, problem: Labelled, *, key: PRNGKeyArray) -> Float[Array, ""]:
        images, labels = problem.images, problem.labels
        if self.batch is not None and self.batch < images.shape[0]:
            chosen = jax.random.permutation(key, images.shape[0])[: self.batch]
            images, labels = images[chosen], labels[chosen]
        return cross_entropy(logits(self.backbone, params, images)[0], labels)
