"""What a meta-gradient estimator is."""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import PRNGKeyArray, PyTree

from ...rules import Rule
from ...tasks import Task


class MetaGradient(eqx.Module):
    """How d(meta-objective)/dφ is estimated. It owns no optimizer.

    A state's leaves lead with the axis `problems`, so that it can be spread over devices;
    what happens to one problem depends on its own key alone, so that the number of devices
    changes results by rounding only.
    """

    problems: eqx.AbstractVar[int]
    """How many problems are worked on at once."""

    @abc.abstractmethod
    def init(self, rule: Rule, task: Task, *, key: PRNGKeyArray) -> PyTree:
        """The estimator's state: the inner loops in mid-run."""

    @abc.abstractmethod
    def estimate(
        self, rule: Rule, task: Task, state: PyTree
    ) -> tuple[Rule, PyTree, dict[str, Any]]:
        """(gradient, state, metrics).

        The gradient is a pytree like `rule`, None where a leaf is no array; metrics are
        scalars, averaged over the problems at hand.
        """
