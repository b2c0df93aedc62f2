"""An embedding that somebody else trained, and a classifier upon it."""

import dataclasses
from typing import Any, ClassVar, Literal, final

import equinox as eqx
from jaxtyping import Array, Float, Int

from ...runtime.settings import Positive, check
from .._base import Shape
from ..backbones import Backbone, Params
from ..classifiers import fit_classifier, unit
from ..embedding import MetricLearner
from ..head import apply_head
from ..spread import Directions
from .plda import log_densities


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedSettings:
    """The settings of what follows a pretrained embedding."""

    classifier: Literal["cosine", "euclidean", "logistic", "ridge"] = "ridge"
    """What is fitted to a support set, where no directions are known."""
    penalty: Positive = 1.0
    """The penalty of logistic and ridge regression."""
    scale: Positive = 20.0
    """What the classifier's outputs are multiplied by: one over the temperature."""

    def __post_init__(self):
        check(self)


@final
class Pretrained(MetricLearner):
    """A classifier upon features that no episode and no meta-training changes.

    Where it is known how features lie within and between classes, the classifier is that of `PLDA`,
    upon features of length 1. Otherwise it is a linear one, fitted to the support set.

    `fewshot.load("vgg16-photographs")` is one, upon VGG16. The class is not registered, as there
    is nothing to train and nothing to save.

    Attributes:
        known_as: The learner's name.
        along: The directions of features, or None.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features, without statistics.
        settings: Which classifier; None for the defaults.
        params: The backbone's parameters.
        known_as: As the attribute.
        along: As the attribute.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from innerloop import fewshot
        >>> shape = fewshot.Shape(way=2, shot=1, side=16, channels=3, classes=2)
        >>> backbone = fewshot.VGG16(side=16, channels=3, filters=1)
        >>> params = backbone.init(key=jax.random.key(0))
        >>> learner = fewshot.Pretrained(shape, backbone, params=params, known_as="small")
        >>> support, labels = jnp.eye(2, 16), jnp.asarray([0, 1])
        >>> learner.compare(support, labels, support, 2).argmax(1).tolist()
        [0, 1]

    References:
        Tian et al., "Rethinking few-shot image classification: a good embedding is all you need?"
        (2020, arXiv:2003.11539).
    """

    Settings: ClassVar[type[Any]] = PretrainedSettings

    known_as: str = eqx.field(static=True)
    along: Directions | None

    def __init__(
        self,
        shape: Shape,
        backbone: Backbone,
        settings: PretrainedSettings | None = None,
        *,
        params: Params,
        known_as: str,
        along: Directions | None = None,
    ):
        self.shape, self.backbone = shape, backbone
        self.settings = PretrainedSettings() if settings is None else settings
        self.params, self.statistics, self.known_as = params, {}, known_as
        self.along = along

    def compare(
        self,
        support: Float[Array, "n features"],
        labels: Int[Array, " n"],
        query: Float[Array, "m features"],
        way: int,
    ) -> Float[Array, "m way"]:
        if self.along is None:
            return classify(self.settings, support, labels, query, way)
        seen, asked = self.along(unit(support)), self.along(unit(query))
        return self.settings.scale * log_densities(seen, labels, asked, self.along.ratio, way)


def classify(
    settings: PretrainedSettings,
    support: Float[Array, "n features"],
    labels: Int[Array, " n"],
    query: Float[Array, "m features"],
    way: int,
) -> Float[Array, "m way"]:
    """Logits of queries by a classifier that is fitted to the features of a support set.

    Args:
        settings: Which classifier.
        support: Features of the support set, of any length.
        labels: The class of each, from 0 to way − 1.
        query: Features of the queries.
        way: Classes in the support set.
    """
    layer = fit_classifier(settings.classifier, support, labels, way, penalty=settings.penalty)
    return settings.scale * apply_head(layer, unit(query))
