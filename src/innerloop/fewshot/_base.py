"""What a meta-learner is: it turns a support set into a predictor."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from ..runtime.settings import Count, check
from .backbones import Backbone
from .episode import Labelled

Judge = Callable[[dict[str, Any]], float]
"""The accuracy, from 0 to 1, of a learner with these settings changed."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """The episodes and images that a learner is made for.

    Attributes:
        way: Classes in an episode.
        shot: Support images of each class.
        side: Height and width of the images, in pixels.
        channels: Channels of the images.
        classes: All classes of meta-training, for learners that are trained on batches.

    Raises:
        SettingsError: A number is not a whole number of at least 1.

    Example:
        >>> from innerloop import fewshot
        >>> fewshot.Shape(way=5, shot=1, side=28, channels=1, classes=100).way
        5
    """

    way: Count
    shot: Count
    side: Count
    channels: Count
    classes: Count

    def __post_init__(self):
        check(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoSettings:
    """The settings of a method that has none."""


class Predictor(eqx.Module):
    """A classifier that has learned from a support set."""

    @abc.abstractmethod
    def __call__(
        self, images: UInt8[Array, "n height width channels"], *, transductive: bool = False
    ) -> Float[Array, "n way"]:
        """Logits of the classes.

        Args:
            images: Pixels from 0 to 255, uint8 [n, height, width, channels].
            transductive: Normalise units by the statistics of all these images together, as in
                meta-training. Without it units are normalised by statistics that were there
                before, and every image is judged alone.

        Returns:
            Logits, float32 [n, way].
        """


class MetaLearner(eqx.Module):
    """A frozen pytree whose array leaves are learned over many episodes.

    A method is a subclass that is registered by `innerloop.register`, has `adapt` and
    `meta_loss`, and is made from the same four things as every other, so that a file can hold it
    and a command can train it. Settings are a frozen dataclass, named by the class attribute
    `Settings`. A subclass with arrays of its own extends `__init__` by them.

    Attributes:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: An instance of the class's `Settings`.

    Args:
        shape: As the attribute.
        backbone: As the attribute.
        settings: As the attribute; None for the defaults.
        key: Draws the initial arrays.
    """

    registry_kind: ClassVar[str] = "method"
    Settings: ClassVar[type[Any]] = NoSettings
    trained_on: ClassVar[Literal["episodes", "batches"]] = "episodes"
    """What `meta_loss` is given: an `Episode`, or a batch of all classes, a `Labelled`."""

    shape: Shape = eqx.field(static=True)
    backbone: Backbone
    settings: Any = eqx.field(static=True)

    def __init__(
        self, shape: Shape, backbone: Backbone, settings: Any = None, *, key: PRNGKeyArray
    ):
        self.shape, self.backbone = shape, backbone
        self.settings = type(self).Settings() if settings is None else settings

    @abc.abstractmethod
    def adapt(self, support: Labelled, way: int, *, key: PRNGKeyArray) -> Predictor:
        """Learn from a support set.

        Args:
            support: Labelled images.
            way: Classes in it.
            key: Draws whatever is random.
        """

    def meta_loss(self, episode: Any, way: int, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """What meta-training descends, in nats; see `trained_on` for what `episode` is.

        Raises:
            NotImplementedError: There is nothing to learn.
        """
        raise NotImplementedError(f"There is nothing to learn in {type(self).__name__}.")

    @property
    def way(self) -> int | None:
        """How many classes an episode must have; None for any number."""
        return None

    @property
    def inner_steps(self) -> int:
        """Updates that are made on a support set; 0 for learners that only compare."""
        return 0

    @property
    def keeps_features(self) -> bool:
        """Whether `embed(images)` is all that it sees of images in use, and no episode changes it.

        The features of an image may then be kept from one episode to the next.
        """
        return False

    @property
    def learns_embedding(self) -> bool:
        """Whether meta-training changes what `embed` gives."""
        return True

    @property
    def learns_rule(self) -> bool:
        """Whether it has a field `rule` with an update rule that is learned."""
        return False

    @property
    def number_of_parameters(self) -> int:
        """How many numbers are learned over the episodes."""
        return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(self, eqx.is_inexact_array)))

    def finalize(self, source: Any, *, key: PRNGKeyArray) -> "MetaLearner":
        """This learner ready for use after meta-training: itself, for most.

        Args:
            source: The sampler that it was trained on.
            key: Draws from it.
        """
        return self

    def for_use(self) -> "MetaLearner":
        """This learner without the arrays that only meta-training reads; files hold these."""
        return self

    def tune(self, judge: Judge) -> dict[str, Any]:
        """The settings that do best on validation episodes; {} where none are tuned.

        Args:
            judge: Tells the accuracy of this learner with settings changed.
        """
        return {}

    def with_settings(self, **changes: Any) -> "MetaLearner":
        """This learner with the same arrays and other settings."""
        other = object.__new__(type(self))
        for field in dataclasses.fields(self):
            object.__setattr__(other, field.name, getattr(self, field.name))
        settings: Any = dataclasses.replace(self.settings, **changes)
        object.__setattr__(other, "settings", settings)
        return other


def cross_entropy(logits: Float[Array, "n classes"], labels: Int[Array, " n"]) -> Float[Array, ""]:
    """The mean negative log-probability (nats) of the labels."""
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
    return -jnp.mean(chosen)
