"""What a meta-gradient estimator is."""

import abc
from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import PRNGKeyArray, PyTree


class MetaGradient(eqx.Module):
    """How d(meta-objective)/dφ is estimated. It owns no optimizer.

    φ are the array leaves of `rule`, which an estimator for episodes calls a meta-learner, and
    the task is what problems are drawn from.

    A state's leaves lead with the axis `problems`, of length `meta_batch_size`, so that it can be
    sharded over devices. What happens to one problem depends on its own key alone, so that the
    number of devices changes results by rounding only.

    The fields of a subclass are its settings. It is an `equinox.Module`; fields that are numbers
    or texts, with types and defaults, can be set on the command line, and
    `innerloop.runtime.settings.check` checks them.
    """

    registry_kind: ClassVar[str] = "estimator"

    meta_batch_size: eqx.AbstractVar[int]
    """How many problems are worked on at once."""

    @abc.abstractmethod
    def init(self, rule: Any, task: Any, *, key: PRNGKeyArray) -> PyTree:
        """The estimator's state: the inner loops in mid-run.

        Args:
            rule: What is trained.
            task: What problems are drawn from.
            key: Draws the first problems.
        """

    @abc.abstractmethod
    def estimate(self, rule: Any, task: Any, state: PyTree) -> tuple[Any, PyTree, dict[str, Any]]:
        """One estimate: (gradient, state, metrics).

        Args:
            rule: What is trained.
            task: What problems are drawn from.
            state: The state after the estimate before, or that of `init`.

        Returns:
            The gradient, a pytree like `rule`, None where a leaf is no array; the new state; and
            metrics, which are scalars, averaged over the problems at hand: `meta_loss`; `diverged`,
            the share of problems whose loss is not finite; and `counted`, where it is not 1, the
            share of what the meta-loss is the mean of. A meta-loss or gradient that is not finite
            has the step skipped.
        """
