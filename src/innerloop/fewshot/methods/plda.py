"""Probabilistic linear discriminant analysis: classes are Gaussians, and their spread is known."""

import dataclasses
from typing import Annotated, Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from ...registry import register
from ...runtime.settings import Range, check
from .._base import Judge, Shape
from ..backbones import Backbone
from ..classifiers import unit
from ..embedding import MetricLearner
from ..spread import Spread, diagonalise, gather_spread, unknown
from ..views import embed_views

_SHRINKAGES = (0.1, 0.3, 1.0, 2.0, 4.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PldaSettings:
    """The settings of probabilistic linear discriminant analysis."""

    shrinkage: Annotated[float, Range(at_least=0)] = 1.0
    """What is added to every direction of the covariance within classes, in units of its mean
    variance: new classes are wider than those of meta-training. Chosen on validation episodes."""
    mirrored: bool = False
    """Whether an image has the mean of its features and of its mirror image's."""
    shifted: bool = False
    """Whether features are means over an image moved by a 28th of its side, four ways, too."""

    def __post_init__(self):
        check(self)


@register("plda")
@final
class PLDA(MetricLearner):
    """A class is a Gaussian: meta-training knows its covariance, the support set tells its mean.

    Features have length 1. Means of classes are normal with mean μ and covariance B, and images
    of a class are normal around its mean with covariance W. μ, B and W are those of the classes of
    meta-training. With n support images of mean x̄ a class's mean is normal again, by Bayes' rule:

        G = B (B + W / n)⁻¹,    mean μ + G (x̄ − μ),    covariance B − G B

    A query's logit is its log density under that belief, with W added to the covariance. So the
    prior is the initialisation, and Bayes' rule is the update rule. Nothing is fitted in an
    episode, and probabilities are calibrated without a temperature as far as the Gaussians are.

    Attributes:
        spread: μ, W and B, which `finalize` estimates. No gradient reaches them.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features. Arrays grow with the square of its width.
        settings: A `PLDA.Settings`: shrinkage, mirrored, shifted; None for the defaults.
        key: Draws the backbone's parameters.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from innerloop import fewshot
        >>> shape = fewshot.Shape(way=2, shot=1, side=4, channels=1, classes=3)
        >>> backbone = fewshot.Conv4(side=4, channels=1, filters=2, blocks=1)
        >>> learner = fewshot.PLDA(shape, backbone, key=jax.random.key(0))
        >>> images = jnp.zeros((2, 4, 4, 1), jnp.uint8)
        >>> support = fewshot.Labelled(images, jnp.asarray([0, 1]))
        >>> learner.adapt(support, 2, key=jax.random.key(1))(images).shape
        (2, 2)

    References:
        Ioffe, "Probabilistic linear discriminant analysis" (2006); Prince & Elder, "Probabilistic
        linear discriminant analysis for inferences about identity" (2007); Brümmer & de Villiers,
        "The speaker partitioning problem" (2010), section 2, for this form with two covariances.
    """

    Settings: ClassVar[type[Any]] = PldaSettings

    spread: Spread

    def __init__(
        self, shape: Shape, backbone: Backbone, settings: Any = None, *, key: PRNGKeyArray
    ):
        super().__init__(shape, backbone, settings, key=key)
        self.spread = unknown(backbone.width)

    def embed(
        self, images: UInt8[Array, "n height width channels"], *, transductive: bool = False
    ) -> Float[Array, "n features"]:
        views = {"mirrored": self.settings.mirrored, "shifted": self.settings.shifted}
        statistics = None if transductive else self.statistics
        return unit(embed_views(self.backbone, self.params, images, statistics, **views))

    def compare(
        self,
        support: Float[Array, "n features"],
        labels: Int[Array, " n"],
        query: Float[Array, "m features"],
        way: int,
    ) -> Float[Array, "m way"]:
        along = diagonalise(jax.lax.stop_gradient(self.spread), self.settings.shrinkage)
        return log_densities(along(support), labels, along(query), along.ratio, way)

    def finalize(self, source: Any, *, key: PRNGKeyArray) -> "PLDA":
        """With `statistics`, and with `spread` estimated from 50 episodes of meta-training."""
        ready: Any = super().finalize(source, key=key)
        return eqx.tree_at(lambda learner: learner.spread, ready, gather_spread(ready, source, key))

    def tune(self, judge: Judge) -> dict[str, Any]:
        """The shrinkage."""
        return max(({"shrinkage": each} for each in _SHRINKAGES), key=judge)


def log_densities(
    support: Float[Array, "n width"],
    labels: Int[Array, " n"],
    query: Float[Array, "m width"],
    ratio: Float[Array, " width"],
    way: int,
) -> Float[Array, "m way"]:
    """The log density of each query in each class, up to a constant.

    Args:
        support: Features of the support set less the mean, where W is I and B is diag(ratio).
        labels: The class of each, from 0 to way − 1.
        query: Features of the queries, likewise.
        ratio: Variances between classes.
        way: Classes in the support set.
    """
    members = jax.nn.one_hot(labels, way).T
    sums, counts = members @ support, jnp.sum(members, 1, keepdims=True)
    left = 1 / (1 + counts * ratio)
    means, variances = ratio * left * sums, 1 + ratio * left
    off = (query[:, None] - means) ** 2 / variances
    return -0.5 * jnp.sum(off + jnp.log(variances), axis=-1)
