"""An embedding trained on all classes at once, and a linear classifier upon it in use."""

import dataclasses
from typing import Annotated, Any, ClassVar, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from ...registry import register
from ...runtime.settings import Count, Positive, Range, check
from .._base import Judge, Shape, cross_entropy
from ..augment import Augmentation
from ..backbones import Backbone
from ..classifiers import Layer, fit_classifier, unit
from ..embedding import Compared, MetricLearner
from ..episode import Labelled
from ..head import apply_head

_SCALE = 10.0  # Of cosines at the start of training: they are from −1 to 1, and logits are not.
_TURN_WEIGHT = 0.5
_TEMPERATURE = 4.0  # Of a teacher's and a student's opinions, as in Tian et al. (2020).


@dataclasses.dataclass(frozen=True, kw_only=True)
class JointSettings:
    """The settings of joint training and of what follows it."""

    loss: Literal["cosine", "linear"] = "cosine"
    """The output layer of training: cosines times a learned scale, or a linear layer."""
    rotations: bool = False
    """Whether a second output layer tells how far an image is turned (Gidaris et al. 2019)."""
    episodic: Annotated[float, Range(at_least=0)] = 0.0
    """The weight of an episodic loss beside: the cross-entropy of each image by its cosines with
    the centroids of the batch's other images. It needs several images of a class in a batch."""
    distilled: Annotated[float, Range(at_least=0, at_most=1)] = 0.5
    """The weight of a teacher's opinion against the labels, where there is a teacher."""
    classifier: Literal["cosine", "euclidean", "logistic", "ridge"] = "cosine"
    """What is fitted to a support set; chosen on validation episodes."""
    penalty: Positive = 1.0
    """The penalty of logistic and ridge regression; chosen on validation episodes."""
    copies: Count = 1
    """How often each support image is taken; all but the first copy are augmented."""

    def __post_init__(self):
        check(self)


@register("joint")
@final
class Joint(MetricLearner):
    """Joint training on all classes of meta-training; a linear classifier in an episode.

    Training minimises the cross-entropy among all classes. In an episode the embedding stays as
    it is, and `fit_classifier` fits an output layer to the support set.

    Attributes:
        head: The output layer of training, [classes, width]; None in use.
        turns: The output layer that tells quarter turns, [4, width]; None without it.
        scale: What cosines are multiplied by.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: A `Joint.Settings`: loss, rotations, episodic, distilled, classifier, penalty and
            copies; None for the defaults.
        key: Draws the backbone's parameters and the output layers'.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from innerloop import fewshot
        >>> shape = fewshot.Shape(way=2, shot=1, side=4, channels=1, classes=3)
        >>> backbone = fewshot.Conv4(side=4, channels=1, filters=2, blocks=1)
        >>> learner = fewshot.Joint(shape, backbone, key=jax.random.key(0))
        >>> batch = fewshot.Labelled(jnp.zeros((2, 4, 4, 1), jnp.uint8), jnp.asarray([0, 2]))
        >>> learner.meta_loss(batch, 3, key=jax.random.key(1)).shape
        ()

    References:
        Tian et al., "Rethinking few-shot image classification" (2020, arXiv:2003.11539);
        Gidaris & Komodakis (2018, arXiv:1804.09458); Gidaris et al. (2019, arXiv:1906.05186);
        Laenen & Bertinetto (2021, arXiv:2012.09831), for the episodic loss over all pairs.
    """

    Settings: ClassVar[type[Any]] = JointSettings
    trained_on = "batches"

    head: Layer | None
    turns: Layer | None
    scale: Float[Array, ""]

    def __init__(
        self, shape: Shape, backbone: Backbone, settings: Any = None, *, key: PRNGKeyArray
    ):
        keys = jax.random.split(key, 3)
        super().__init__(shape, backbone, settings, key=keys[0])
        self.head = _layer(keys[1], shape.classes, backbone.width)
        self.turns = _layer(keys[2], 4, backbone.width) if self.settings.rotations else None
        self.scale = jnp.asarray(_SCALE)

    def meta_loss(self, episode: Any, way: int, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """The cross-entropy (nats) of a batch's labels among all classes, and what else is asked.

        With rotations half of the batch is turned at random, and half the cross-entropy of the
        turns is added.
        """
        images, labels = episode.images, episode.labels
        n = images.shape[0]
        turns = jnp.zeros(n, jnp.int32)
        if self.turns is not None:
            turns = jnp.where(jnp.arange(n) < n // 2, 0, jax.random.randint(key, (n,), 0, 4))
            images = turn_images(images, turns)
        features = self.embed(images, transductive=True)
        loss = self._class_loss(features, episode)
        if self.turns is not None:
            loss += _TURN_WEIGHT * cross_entropy(apply_head(self.turns, features), turns)
        if self.settings.episodic:
            loss += self.settings.episodic * self._episodic_loss(features, labels)
        return loss

    def _class_loss(self, features: Float[Array, "n width"], batch: Labelled) -> Float[Array, ""]:
        assert self.head is not None, "A learner for use has no output layer to train."
        if self.settings.loss == "linear":
            logits = apply_head(self.head, features)
        else:
            logits = self.scale * unit(features) @ unit(self.head["weight"]).T
        loss = cross_entropy(logits, batch.labels)
        if batch.targets is None:
            return loss
        weight = self.settings.distilled
        return (1 - weight) * loss + weight * distillation(batch.targets, logits)

    def _episodic_loss(
        self, features: Float[Array, "n width"], labels: Int[Array, " n"]
    ) -> Float[Array, ""]:
        near, known = cosines_without_itself(unit(features), labels, self.shape.classes)
        logits = jnp.where(known, self.scale * near, -1e9)
        mine = jnp.take_along_axis(known, labels[:, None], axis=1)[:, 0]
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)[:, 0]
        return -jnp.sum(jnp.where(mine, chosen, 0.0)) / jnp.maximum(1, jnp.sum(mine))

    @property
    def keeps_features(self) -> bool:
        return self.settings.copies == 1  # A copy that is changed is another image.

    def compare(
        self,
        support: Float[Array, "n features"],
        labels: Int[Array, " n"],
        query: Float[Array, "m features"],
        way: int,
    ) -> Float[Array, "m way"]:
        kind, penalty = self.settings.classifier, self.settings.penalty
        layer = fit_classifier(kind, support, labels, way, penalty=penalty)
        return self.scale * apply_head(layer, unit(query))

    def adapt(self, support: Labelled, way: int, *, key: PRNGKeyArray) -> Compared:
        images, labels = support.images, support.labels
        if self.settings.copies > 1:
            change = Augmentation(flip=True, shift=images.shape[1] // 10)
            keys = jax.random.split(key, self.settings.copies - 1)
            images = jnp.concatenate([images, *(change(images, key=each) for each in keys)])
            labels = jnp.tile(labels, self.settings.copies)
        return Compared(self, self.embed(images), labels, way)

    def for_use(self) -> "Joint":
        return eqx.tree_at(
            lambda learner: (learner.head, learner.turns),
            self,
            (None, None),
            is_leaf=lambda x: x is None,
        )

    def tune(self, judge: Judge) -> dict[str, Any]:
        """The classifier, its penalty, and whether support images are copied."""
        choices: list[dict[str, Any]] = [{"classifier": kind} for kind in ("cosine", "euclidean")]
        choices += [
            {"classifier": kind, "penalty": penalty}
            for kind in ("logistic", "ridge")
            for penalty in (0.1, 1.0, 10.0)
        ]
        best = max(choices, key=judge)
        return max([best, {**best, "copies": 5}], key=judge)


def _layer(key: PRNGKeyArray, classes: int, width: int) -> Layer:
    weight = jax.random.normal(key, (classes, width)) / jnp.sqrt(width)
    return {"weight": weight, "bias": jnp.zeros(classes)}


def distillation(
    taught: Float[Array, "n classes"], logits: Float[Array, "n classes"]
) -> Float[Array, ""]:
    """The cross-entropy (nats) of a student's opinions with a teacher's, both softened.

    It is multiplied by the square of the temperature, so that its slope has the size of the one
    for labels (Hinton et al. 2015, arXiv:1503.02531).
    """
    wanted = jax.nn.softmax(taught / _TEMPERATURE)
    given = jax.nn.log_softmax(logits / _TEMPERATURE)
    return -(_TEMPERATURE**2) * jnp.mean(jnp.sum(wanted * given, axis=1))


def cosines_without_itself(
    rows: Float[Array, "n width"], labels: Int[Array, " n"], classes: int
) -> tuple[Float[Array, "n classes"], Bool[Array, "n classes"]]:
    """Each row's cosine with each class's centroid, to which it does not itself count.

    Args:
        rows: Features of length 1.
        labels: The class of each, from 0 to classes − 1.
        classes: All classes.

    Returns:
        The cosines, and which of them have a centroid: classes with another row.
    """
    members = jax.nn.one_hot(labels, classes)
    sums, counts = members.T @ rows, jnp.sum(members, 0)
    dots = rows @ sums.T
    # |s − r|² = |s|² − 2 s·r + 1 for a row r of length 1 that is part of the sum s.
    squares = jnp.sum(sums**2, 1) - members * (2 * dots - 1)
    near = (dots - members) * jax.lax.rsqrt(jnp.maximum(squares, 1e-6))
    return near, counts - members > 0.5


def turn_images(
    images: UInt8[Array, "n side side channels"], turns: Int[Array, " n"]
) -> UInt8[Array, "n side side channels"]:
    """Square images, each turned anticlockwise by its number of quarter turns, 0 to 3."""

    def where(flags: Array, one: Array, other: Array) -> Array:
        return jnp.where(flags[:, None, None, None], one, other)

    # A quarter turn swaps the axes and then reverses the rows; a half turn reverses both.
    images = where(turns % 2 == 1, jnp.swapaxes(images, 1, 2), images)
    images = where((turns == 1) | (turns == 2), images[:, ::-1], images)
    return where((turns == 2) | (turns == 3), images[:, :, ::-1], images)
