"""The general rule that is shipped, as an Optax transformation that needs no tuning."""

from typing import Any

import optax

from ..errors import InnerloopError
from ..runtime.settings import Count, Positive, check_value
from .files import load, shipped_file
from .scheduled_general import ScheduledGeneralRule

NAME = "general"
"""What the rule is shipped as."""


def general(
    steps: int | None = None, learning_rate: float | optax.Schedule | None = None
) -> optax.GradientTransformationExtraArgs:
    """The general rule with its schedule, ready to use wherever `optax.adam` is.

    It needs neither a learning rate nor the number of steps, and is better with the latter. Its
    steps are relative to the parameters, so that a factor of 1 suits problems in any unit. The
    steps of an array grow while its gradient keeps its direction (see `ScheduledGeneralRule`). The
    schedule is a warm-up and a cosine where `steps` is given. Elsewhere it is a warm-up and a decay
    by (1 + t/100)^(−1/2). Both are set by hand: only the network is trained.

    Args:
        steps: The length of the run, 1 or more; None where it is not known.
        learning_rate: A positive factor of all steps, without a unit: 1 is as trained. Or an Optax
            schedule, from the step to such a factor, that takes the place of its own. None
            for 1.

    Returns:
        An Optax transformation whose `update` needs `params`. Updates have the dtypes of `grads`.

    Raises:
        InnerloopError: `steps` or `learning_rate` is out of its range; `steps` is given beside a
            schedule, which has no use for it; or the rule's file is not there.

    Example:
        >>> import innerloop
        >>> import jax.numpy as jnp
        >>> optimizer = innerloop.general(steps=100)
        >>> params = {"w": jnp.ones((3, 2)), "b": jnp.zeros(2)}
        >>> state = optimizer.init(params)
        >>> updates, state = optimizer.update(params, state, params)
        >>> updates["w"].shape
        (3, 2)
    """
    return ready(load(shipped_file(NAME)), steps, learning_rate)


def ready(
    rule: Any, steps: int | None = None, learning_rate: float | optax.Schedule | None = None
) -> optax.GradientTransformationExtraArgs:
    """As `general`, of any `GeneralRule`, with a schedule around it or without.

    Args:
        rule: The rule.
        steps: As of `general`.
        learning_rate: As of `general`.
    """
    rule = ScheduledGeneralRule.around(rule)
    if steps is not None:
        check_value("steps", steps, Count)
    if callable(learning_rate):
        if steps is not None:
            raise InnerloopError(
                f"steps is {steps} and learning_rate is a schedule, which takes the place of the "
                "one that steps is for; give one of the two.",
                arguments=("steps", "learning_rate"),
            )
        factor = optax.scale_by_schedule(learning_rate)
        return optax.with_extra_args_support(
            optax.chain(rule.without_schedule().as_optax(), factor)
        )
    scheduled = rule.with_horizon(steps or 0).as_optax()
    if learning_rate is None:
        return scheduled
    check_value("learning_rate", learning_rate, Positive)
    return optax.with_extra_args_support(optax.chain(scheduled, optax.scale(learning_rate)))
