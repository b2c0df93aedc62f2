"""What a candidate of the search is: a rule and the recipe that trains it."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import optax
from jaxtyping import PRNGKeyArray, PyTree

from ..metatrain import MetaGradient
from ..rules import Rule
from ..tasks import TaskFamily, draw_params, draw_problem
from .look import Look


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a candidate is told: the task, what was seen of it, and what the baselines gave."""

    task: TaskFamily
    """The family of training problems."""
    look: Look
    rates: dict[str, float]
    """The tuned learning rates of the baselines, by name."""
    key: PRNGKeyArray
    rules: Mapping[str, Rule] = dataclasses.field(default_factory=dict)
    """The tuned baselines, by name."""

    @property
    def params(self) -> PyTree:
        """Parameters of a problem, as `init` gives them."""

        @eqx.filter_jit
        def draw(task, key):
            problem_key, params_key = jax.random.split(key)
            return draw_params(task, draw_problem(task, key=problem_key), key=params_key)

        return draw(self.task, self.key)

    @property
    def horizon(self) -> int:
        """The steps after which optimizers are judged."""
        return self.look.horizon

    @property
    def rate(self) -> float:
        """Adam's tuned rate: about how far a coordinate should go in a step."""
        return self.rates.get("adam", 0.01)


class Candidate(abc.ABC):
    """A rule × recipe that the search tries, registered in its own file.

    Example:
        >>> import innerloop
        >>> from innerloop.search import Candidate
        >>> @innerloop.register("small-lstm")
        ... class SmallLSTM(Candidate):
        ...     '''The paper's LSTM with five units, to first order.'''
        ...     def suits(self, look):
        ...         return 1.0
        ...     def rule(self, scene):
        ...         return innerloop.LSTMRule(key=scene.key, hidden=5)
        ...     def estimator(self, scene):
        ...         return innerloop.TruncatedBackprop(horizon=scene.horizon, truncation=1)
    """

    registry_kind: ClassVar[str] = "candidate"
    learns: ClassVar[str] = "rule"
    """What is learned: "rule", "initialisation and rule"."""
    warm_up_share: ClassVar[float] = 1 / 3
    """The part of a round that the warm-up has."""
    warms_up_again: ClassVar[bool] = False
    """Whether it comes again in every round, or only in the first."""

    @abc.abstractmethod
    def suits(self, look: Look) -> float:
        """How promising it is for a task: the most promising enter first; 0 for not at all.

        Args:
            look: What was seen of the task.
        """

    @abc.abstractmethod
    def rule(self, scene: Scene) -> Rule:
        """The rule that training begins with.

        Args:
            scene: The task, and what is known of it.
        """

    def estimator(self, scene: Scene) -> MetaGradient | None:
        """How the meta-gradient is estimated; None for a rule that `rule` has trained already.

        Args:
            scene: The task, and what is known of it.
        """
        return None

    def warm_up(self, scene: Scene) -> MetaGradient | None:
        """A cheaper estimator for the first part of a round; None for none.

        Args:
            scene: The task, and what is known of it.
        """
        return None

    def warm_up_optimizer(self, scene: Scene, rule: Rule) -> optax.GradientTransformation:
        """The meta-optimizer of the warm-up: that of the rest, unless overridden.

        Args:
            scene: The task, and what is known of it.
            rule: The rule that is trained.
        """
        return self.optimizer(scene, rule)

    def optimizer(self, scene: Scene, rule: Rule) -> optax.GradientTransformation:
        """The meta-optimizer: Adam, unless overridden.

        Args:
            scene: The task, and what is known of it.
            rule: The rule that is trained.
        """
        return optax.adam(3e-3)


def divisor(number: int, most: int) -> int:
    """The largest divisor of `number` up to `most`."""
    return max(each for each in range(1, min(number, max(1, most)) + 1) if number % each == 0)


def batch_size(look: Look, seconds: float = 0.5, most: int = 32) -> int:
    """Problems of a meta-batch: as many as a meta-step of `seconds` runs, and even."""
    room = seconds / (look.gradient_seconds * look.horizon * 4)
    return int(max(2, min(most, room) // 2 * 2))


def affordable(look: Look, seconds: float, most: int) -> int:
    """Problems that can be run in some seconds, one after another: at least 2."""
    return int(max(2, min(most, seconds / (look.gradient_seconds * look.horizon))))


def objective(look: Look) -> Any:
    """The mean log loss where losses are positive, and the mean loss elsewhere."""
    return "log" if look.positive else "uniform"
