"""Gradient meta-learners: a learned initialisation and a rule, which is all there is to them."""

import abc
import dataclasses
from typing import Annotated, Any, ClassVar, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from ..errors import InnerloopError
from ..inner import InnerLoop, unroll
from ..rules import Rule
from ..rules._batch import batched
from ..runtime.settings import Count, Range, check
from ..tasks import TaskFamily
from ._base import MetaLearner, Predictor, Shape, cross_entropy
from .adjoint import attach_adjoint, has_adjoint
from .backbones import Backbone, Params, Statistics
from .embedding import gather_statistics
from .episode import Labelled
from .head import HEAD, apply_head, init_head, logits
from .spread import Spread, gather_spread, unknown, whiten
from .views import embed_views

Inputs = tuple[Array, Int[Array, " n"]]
"""Images, or their features, and the class of each."""


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
    adapt: Literal["all", "head"] = "all"
    """What the inner loop changes: all layers, or the output layer alone, upon features whose
    root mean square is 1 (ANIL, Raghu et al. 2020). With "head" units are normalised by averages
    over meta-training."""
    head: Literal["own", "shared"] = "own"
    """Whether each class has a row of its own in the output layer that is learned, as published,
    or all begin at one row. With "shared" no order of the classes matters, and there may be any
    number of them, in training as in use (Ye & Chao 2022)."""
    features: Literal["scaled", "whitened"] = "scaled"
    """What the output layer sees with `adapt="head"`: features, or these in coordinates where the
    classes of meta-training are as wide in all directions, scaled by how well each direction
    tells classes apart (`innerloop.fewshot.PLDA` has the covariances, which `init_from` takes)."""
    shrinkage: Annotated[float, Range(at_least=0)] = 1.0
    """With whitened features what is added to the width of the classes, as in `PLDA`."""
    mirrored: bool = False
    """With `adapt="head"` whether an image has the mean of its features and its mirror image's."""
    shifted: bool = False
    """With `adapt="head"` whether features are means over images moved four ways, as in `PLDA`."""
    learn_embedding: bool = True
    """Learn the layers below the output layer; without it they stay as `init_from` has them."""

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
        statistics: With `adapt="head"` what units are normalised by in use; None otherwise.
        spread: The covariances of features that are whitened; None otherwise.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: An instance of the class's `Settings`; None for the defaults.
        key: Draws the initial arrays.

    References:
        Finn, Abbeel & Levine, "Model-agnostic meta-learning for fast adaptation of deep networks"
        (2017, arXiv:1703.03400), for the initialisation; Ravi & Larochelle, "Optimization as a
        model for few-shot learning" (2017), for the rule; Raghu et al., "Rapid learning or feature
        reuse?" (2020, arXiv:1909.09157), for `adapt="head"`; Ye & Chao, "How to train your MAML to
        excel in few-shot classification" (2022, arXiv:2106.16245), for `head="shared"`.
    """

    Settings: ClassVar[type[Any]] = GradientSettings

    params: Params
    rule: Rule
    statistics: Statistics | None
    spread: Spread | None

    def __init__(
        self, shape: Shape, backbone: Backbone, settings: Any = None, *, key: PRNGKeyArray
    ):
        super().__init__(shape, backbone, settings, key=key)
        params_key, rule_key = jax.random.split(key)
        self.params = self._drawn(params_key)
        self.statistics = backbone.init_statistics() if self.only_head else None
        whitened = self.settings.features == "whitened"
        self.spread = unknown(backbone.width) if whitened else None
        self.rule = self.make_rule(self.adapted(self.params), key=rule_key)

    @abc.abstractmethod
    def make_rule(self, params: Params, *, key: PRNGKeyArray) -> Rule:
        """The rule, untrained.

        Args:
            params: The layers of the initialisation that it changes.
            key: Draws its weights.
        """

    @property
    def only_head(self) -> bool:
        """Whether the inner loop changes the output layer alone."""
        return self.settings.adapt == "head"

    @property
    def keeps_features(self) -> bool:
        return self.only_head

    @property
    def learns_embedding(self) -> bool:
        return self.settings.learn_embedding or not self.only_head

    def _drawn(self, key: PRNGKeyArray) -> Params:
        rows = 1 if self.settings.head == "shared" else self.shape.way
        return {**self.backbone.init(key=key), HEAD: init_head(self.backbone.width, rows)}

    def start(self, params: Params, way: int) -> Params:
        """Where the inner loop begins: the layers that it changes, with a row for each class."""
        layers = self.adapted(params)
        if self.settings.head == "own":
            return layers
        rows = jax.tree.map(lambda leaf: jnp.repeat(leaf, way, axis=0), layers[HEAD])
        return {**layers, HEAD: rows}

    def adapted(self, params: Params) -> Params:
        """The layers of `params` that the inner loop changes."""
        return {HEAD: params[HEAD]} if self.only_head else params

    def embed(
        self, images: UInt8[Array, "n height width channels"], *, transductive: bool = False
    ) -> Float[Array, "n features"]:
        """Features of images with a root mean square of 1, which `adapt="head"` builds upon.

        Args:
            images: Pixels from 0 to 255.
            transductive: Normalise by the statistics of these images, not by `statistics`.
        """
        params, statistics = self._embedding()
        used = None if transductive else statistics
        views = {"mirrored": self.settings.mirrored, "shifted": self.settings.shifted}
        features = embed_views(self.backbone, params, images, used, **views)
        return features * jax.lax.rsqrt(jnp.mean(features**2, 1, keepdims=True) + 1e-12)

    def whiten(self, features: Float[Array, "n features"]) -> Float[Array, "n features"]:
        """What the output layer sees of features that are kept: themselves, unless whitened."""
        if self.spread is None:
            return features
        return whiten(self.spread, features, self.settings.shrinkage, self.shape.shot)

    def _embedding(self) -> tuple[Params, Statistics | None]:
        """(parameters, statistics), with no gradient to what is not learned."""
        if self.settings.learn_embedding:
            return self.params, self.statistics
        held, statistics = jax.lax.stop_gradient((self.params, self.statistics))
        return {**held, HEAD: self.params[HEAD]}, statistics

    def finalize(self, source: Any, *, key: PRNGKeyArray) -> "GradientMetaLearner":
        """With `statistics` averaged over episodes, where a learned embedding needs them."""
        if not (self.only_head and self.settings.learn_embedding):
            return self
        found = gather_statistics(self, source, key)
        ready = eqx.tree_at(lambda learner: learner.statistics, self, found)
        if self.spread is None:
            return ready
        spread = gather_spread(ready, source, key)
        return eqx.tree_at(lambda learner: learner.spread, ready, spread)

    @property
    def way(self) -> int | None:
        return None if self.settings.head == "shared" else self.shape.way

    @property
    def inner_steps(self) -> int:
        return self.settings.steps

    @property
    def learns_rule(self) -> bool:
        return True

    def meta_loss(self, episode: Any, way: int, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """The cross-entropy of the queries after the inner loop."""
        if self.only_head:
            return self._head_loss(episode, way, key)
        predict = self.adapt(episode.support, way, key=key)
        own = self.settings.query_statistics == "query"
        logits = predict(episode.query.images, transductive=own)
        return cross_entropy(logits, episode.query.labels)

    def _head_loss(self, episode: Any, way: int, key: PRNGKeyArray) -> Float[Array, ""]:
        support, query = episode.support, episode.query
        images = jnp.concatenate([support.images, query.images])
        features = self.whiten(self.embed(images, transductive=self.settings.learn_embedding))
        seen, asked = jnp.split(features, [support.images.shape[0]])
        params = self._run((seen, support.labels), way, key=key)[0].params
        return cross_entropy(apply_head(params[HEAD], asked), query.labels)

    def adapt(self, support: Labelled, way: int, *, key: PRNGKeyArray) -> Predictor:
        params = self.run(support, way, key=key)[0].params
        if self.only_head:
            return AdaptedHead(self, params[HEAD])
        _, statistics = self.backbone.features(params, support.images)
        return Adapted(self.backbone, params, statistics)

    def run(self, support: Labelled, way: int, *, key: PRNGKeyArray) -> tuple[InnerLoop, Any]:
        """(where the inner loop ends, the rule's state after each step [steps, …]).

        The parameters are those after `steps` updates; loss and gradients are those that the
        last of them saw. To first order derivatives reach back from the parameters alone.
        """
        images = support.images
        inputs = self.whiten(self.embed(images)) if self.only_head else images
        return self._run((inputs, support.labels), way, key=key)

    def _run(self, support: Inputs, way: int, *, key: PRNGKeyArray) -> tuple[InnerLoop, Any]:
        if self.way not in (None, way):
            raise InnerloopError(f"This learner tells {self.way} classes apart; these are {way}.")
        settings, (init_key, loss_key) = self.settings, jax.random.split(key)
        initial = self._embedding()[0] if settings.learn_init else self._drawn(init_key)
        initial = self.start(initial, way)
        rule = self.rule if self.learns_rule else _held(self.rule)
        task = _SupportTask(None if self.only_head else self.backbone, settings.batch)
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
class AdaptedHead(Predictor):
    """An output layer that an inner loop ended at, upon an embedding that stayed."""

    learner: GradientMetaLearner
    head: dict[str, Float[Array, "..."]]

    def __call__(
        self, images: UInt8[Array, "n height width channels"], *, transductive: bool = False
    ) -> Float[Array, "n way"]:
        features = self.learner.embed(images, transductive=transductive)
        return apply_head(self.head, self.learner.whiten(features))


@final
class _SupportTask(TaskFamily):
    """The support set's cross-entropy as the inner loop's loss; the problem is the set.

    Without a backbone the set's images are their features.
    """

    backbone: Backbone | None
    batch: int | None = eqx.field(static=True)

    one_by_one = True

    def sample(self, *, key: PRNGKeyArray) -> Any:
        raise NotImplementedError("A support set is given, not drawn.")

    def init(self, problem: Inputs, *, key: PRNGKeyArray) -> Params:
        raise NotImplementedError("The initialisation is given, not drawn.")

    def loss(self, params: Params, problem: Inputs, *, key: PRNGKeyArray) -> Float[Array, ""]:
        inputs, labels = problem
        if self.batch is not None and self.batch < labels.shape[0]:
            chosen = jax.random.permutation(key, labels.shape[0])[: self.batch]
            inputs, labels = inputs[chosen], labels[chosen]
        if self.backbone is None:
            return cross_entropy(apply_head(params[HEAD], inputs), labels)
        return cross_entropy(logits(self.backbone, params, inputs)[0], labels)
