"""The fine-tuning baseline of Ravi & Larochelle (2017, Section 5.2)."""

import dataclasses
import itertools
from typing import Annotated, Any, ClassVar, final

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ...registry import register
from ...runtime.settings import Count, Range, check
from .._base import Judge, Predictor, cross_entropy
from ..embedding import JointlyTrained
from ..episode import Labelled

_RATIO = 10**0.5
_RATES = (0.01, 0.1, 1.0)
_DECAYS = (0.0, 0.01, 0.1, 1.0)
_MOST_CLIMBS = 6  # Rates to either side of the grid, at most.
_LARGEST = 1e30  # Of float32's numbers, and still finite when multiplied.


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuningSettings:
    """The settings of fine-tuning; rate and decay are chosen on validation episodes."""

    rate: Annotated[float, Range(above=0, at_most=_LARGEST)] = 0.1
    """The learning rate at the first step."""
    decay: Annotated[float, Range(at_least=0, at_most=_LARGEST)] = 0.0
    """The rate after t steps is rate / (1 + decay · t)."""
    steps: Count = 100
    """Steps of gradient descent on the support set."""

    def __post_init__(self):
        check(self)


@register("finetune")
@final
class FineTuning(JointlyTrained):
    """A new output layer is trained on the support set by gradient descent.

    The embedding is trained to tell all classes of meta-training apart, all at once.

    Attributes:
        head: The output layer of that training; None in use.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: A `FineTuning.Settings`: rate, decay and steps; None for the defaults.
        key: Draws the backbone's parameters.

    Example:
        >>> import jax
        >>> from innerloop import fewshot
        >>> shape = fewshot.Shape(way=2, shot=1, side=4, channels=1, classes=3)
        >>> backbone = fewshot.Conv4(side=4, channels=1, filters=2, blocks=1)
        >>> settings = fewshot.FineTuning.Settings(steps=10)
        >>> fewshot.FineTuning(shape, backbone, settings, key=jax.random.key(0)).inner_steps
        10

    References:
        Ravi & Larochelle, "Optimization as a model for few-shot learning" (2017), Section 5.2.
    """

    Settings: ClassVar[type[Any]] = FineTuningSettings

    @property
    def keeps_features(self) -> bool:
        return True

    def adapt(self, support: Labelled, way: int, *, key: PRNGKeyArray) -> "Linear":
        settings, features = self.settings, self.embed(support.images)
        optimizer = optax.sgd(lambda count: settings.rate / (1 + settings.decay * count))
        weight = jax.random.normal(key, (way, features.shape[1])) / jnp.sqrt(features.shape[1])
        head = (weight, jnp.zeros(way))

        def loss(head):
            return cross_entropy(features @ head[0].T + head[1], support.labels)

        def step(carry, _):
            head, state = carry
            updates, state = optimizer.update(jax.grad(loss)(head), state, head)
            head = jax.tree.map(jnp.add, head, updates)
            return (head, state), None

        (head, _), _ = jax.lax.scan(step, (head, optimizer.init(head)), length=settings.steps)
        return Linear(self, head)

    @property
    def inner_steps(self) -> int:
        return self.settings.steps

    def tune(self, judge: Judge) -> dict[str, Any]:
        """The best rate without decay, the best decay at it, and then the rates around."""

        def at(rate: float, decay: float) -> float:
            return judge({"rate": float(f"{rate:.3g}"), "decay": decay})

        def climb(rate: float, decay: float, ratio: float) -> float:
            """The rate after which neither neighbour is better."""
            for _, direction in itertools.product(range(_MOST_CLIMBS), (ratio, 1 / ratio)):
                if at(rate * direction, decay) > at(rate, decay):
                    rate *= direction
            return rate

        rate = climb(max(_RATES, key=lambda rate: at(rate, 0.0)), 0.0, _RATIO)
        decay = max(_DECAYS, key=lambda decay: at(rate, decay))
        rate = climb(rate, decay, _RATIO)
        return {"rate": float(f"{rate:.3g}"), "decay": decay}


@final
class Linear(Predictor):
    """An output layer upon an embedding."""

    learner: FineTuning
    head: tuple[Float[Array, "way features"], Float[Array, " way"]]

    def __call__(
        self, images: UInt8[Array, "n height width channels"], *, transductive: bool = False
    ) -> Float[Array, "n way"]:
        features = self.learner.embed(images, transductive=transductive)
        return features @ self.head[0].T + self.head[1]
