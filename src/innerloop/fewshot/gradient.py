"""Gradient meta-learners: a learned initialisation and a rule, which is all there is to them."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ..errors import InnerloopError
from ..inner import InnerLoop, unroll
from ..rules import Rule
from ..rules._batch import batched
from ..tasks import TaskFamily
from ._base import MetaLearner, Predictor, cross_entropy
from .adjoint import arrived, replayable
from .episode import Episode, Labelled
from .network import Conv4, Params, Statistics


@final
class GradientMetaLearner(MetaLearner):
    """θ_0 = init, then θ_t = θ_{t−1} + rule(∇L(θ_{t−1})) on the support set, `steps` times.

    With `MetaLSTMRule` that is the Meta-Learner LSTM (Ravi & Larochelle 2017), with gradient
    descent of a fixed rate MAML (Finn et al. 2017), with `MetaSGDRule` Meta-SGD (Li et al.
    2017), with `LSTMRule` the optimizer of Andrychowicz et al. (2016) from a learned start.

    `second_order` keeps the derivatives of ∇L, which the Meta-Learner LSTM leaves out and MAML
    keeps. Without `learn_init` every episode begins at random parameters; without `learn_rule`
    the rule stays as it is. `batch` splits the support set: every step sees so many of its
    images, drawn at random; None for all of them, as published.

    While it learns, units are normalised by the statistics of the images at hand. Those of the
    support set under the final parameters are kept to normalise the queries by, and with the
    next episode they are gone. In meta-training the queries are normalised by their own, as
    published; with `alone` by the support set's, as in use. Raises `InnerloopError` where
    `steps` or `batch` is not positive.
    """

    network: Conv4
    initial: Params
    rule: Rule
    steps: int = eqx.field(static=True)
    second_order: bool = eqx.field(static=True)
    learn_init: bool = eqx.field(static=True)
    learn_rule: bool = eqx.field(static=True)
    batch: int | None = eqx.field(static=True)
    alone: bool = eqx.field(static=True)

    def __init__(
        self,
        network: Conv4,
        initial: Params,
        rule: Rule,
        *,
        steps: int,
        second_order: bool = False,
        learn_init: bool = True,
        learn_rule: bool = True,
        batch: int | None = None,
        alone: bool = False,
    ):
        for name, size in {"steps": steps, "batch": batch}.items():
            if size is not None and size < 1:
                raise InnerloopError(f"{name} is {size}; it must be at least 1.")
        self.network, self.initial, self.rule, self.steps = network, initial, rule, steps
        self.second_order, self.batch = second_order, batch
        self.learn_init, self.learn_rule, self.alone = learn_init, learn_rule, alone

    def meta_loss(self, episode: Episode, way: int, *, key: PRNGKeyArray) -> Float[Array, ""]:
        predict = self.adapt(episode.support, way, key=key)
        logits = predict(episode.query.images, batch_statistics=not self.alone)
        return cross_entropy(logits, episode.query.labels)

    def adapt(self, support: Labelled, way: int, *, key: PRNGKeyArray) -> "Adapted":
        params = self.run(support, way, key=key)[0].params
        _, statistics = self.network.features(params, support.images)
        return Adapted(self.network, params, statistics)

    def run(self, support: Labelled, way: int, *, key: PRNGKeyArray) -> tuple[InnerLoop, Any]:
        """(where the inner loop ends, the rule's state after each step [steps, …]).

        The parameters are those after `steps` updates; loss and gradients are those that the
        last of them saw. To first order derivatives reach back from the parameters alone.
        """
        if way != self.network.classes:
            raise InnerloopError(
                f"This learner tells {self.network.classes} classes apart; these are {way}."
            )
        init_key, loss_key = jax.random.split(key)
        initial = self.initial if self.learn_init else self.network.init(key=init_key)
        rule = self.rule if self.learn_rule else _held(self.rule)
        task = _SupportTask(self.network, self.batch)
        # First order, the gradient at the start is a constant too.
        seen = initial if self.second_order else jax.lax.stop_gradient(initial)
        loop = InnerLoop.init_one(rule, task, support, seen, loss_key)
        learned, replayed = (rule, initial), not self.second_order and replayable(rule)
        if replayed:
            rule, initial = _held(learned)
        loop = eqx.tree_at(lambda loop: loop.params, loop, initial)
        loops = jax.tree.map(lambda leaf: leaf[None], loop)
        # The last step needs no gradient where it arrives, so that it is taken by itself.
        loops, before = unroll(
            rule,
            task,
            loops,
            self.steps - 1,
            second_order=self.second_order,
            # Inside the loop a state is in the layout of a batch.
            record=lambda moment, arrival: _Before(
                batched(rule).unpack(moment.state, 1), moment.grads, moment.loss
            ),
        )
        loop = jax.tree.map(lambda leaf: leaf[0], loops)
        grads, loss = loop.grads, loop.loss
        if not self.second_order:
            grads, loss = jax.lax.stop_gradient((grads, loss))
        last = _Before(loop.state, grads, loss)
        before = jax.tree.map(
            lambda each, last: jnp.concatenate([each[:, 0], last[None]]), before, last
        )
        updates, state = rule.update(grads, loop.state, loop.params, value=loss)
        params = jax.tree.map(jnp.add, loop.params, updates)
        if replayed:
            params = arrived(*learned, before.grads, before.loss, params)
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
    """A network with the parameters that an inner loop ended at."""

    network: Conv4
    params: Params
    statistics: Statistics

    def __call__(
        self, images: UInt8[Array, "n height width channels"], *, batch_statistics: bool = False
    ) -> Float[Array, "n way"]:
        statistics = None if batch_statistics else self.statistics
        return self.network.logits(self.params, images, statistics)[0]


@final
class _SupportTask(TaskFamily):
    """The support set's cross-entropy as the inner loop's loss; the problem is the set."""

    network: Conv4
    batch: int | None = eqx.field(static=True)

    one_by_one = True

    def sample(self, *, key: PRNGKeyArray) -> Labelled:
        raise NotImplementedError("A support set is given, not drawn.")

    def init(self, problem: Labelled, *, key: PRNGKeyArray) -> Params:
        return self.network.init(key=key)

    def loss(self, params: Params, problem: Labelled, *, key: PRNGKeyArray) -> Float[Array, ""]:
        images, labels = problem.images, problem.labels
        if self.batch is not None and self.batch < images.shape[0]:
            chosen = jax.random.permutation(key, images.shape[0])[: self.batch]
            images, labels = images[chosen], labels[chosen]
        return cross_entropy(self.network.logits(params, images)[0], labels)
