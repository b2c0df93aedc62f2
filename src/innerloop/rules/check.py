"""Checking that what is given as a rule is one, where a name or an optimizer is easily meant."""

from typing import Any

import optax

from ..errors import InnerloopError
from ._base import Rule


def check_rule(rule: Any, *, name: str = "The rule") -> None:
    """Raises `InnerloopError`, with what to write instead, where `rule` is no `Rule`."""
    if isinstance(rule, Rule):
        return
    raise InnerloopError(f"{name} is {rule!r:.60}, which is no innerloop.Rule; {_instead(rule)}.")


def check_optimizer(optimizer: Any, *, name: str) -> None:
    """Raises `InnerloopError` where `optimizer` is neither a `Rule` nor of Optax."""
    if isinstance(optimizer, (Rule, optax.GradientTransformation)):
        return
    instead = _instead(optimizer) if isinstance(optimizer, str) else "optax.adam(1e-3), say, is one"
    raise InnerloopError(f"{name} is {optimizer!r:.60}, which is no optimizer; {instead}.")


def check_given(rule: str, **needed: Any) -> None:
    """Raises `InnerloopError`, with the call that is right, where `update` lacks an argument.

    Args:
        rule: What the rule is called.
        needed: The arguments by name, `value` and `params` among them; None where one is missing.
    """
    for name, given in needed.items():
        if given is None:
            what = {"value": "the loss", "params": "the parameters"}[name]
            raise InnerloopError(
                f"{rule} needs {what}, and {name} is None; "
                "call update(grads, state, params, value=loss)."
            )


def _instead(found: Any) -> str:
    if isinstance(found, str):
        return f"innerloop.load({found!r}) gives a shipped or saved one"
    if isinstance(found, optax.GradientTransformation):
        return "innerloop.OptaxRule(optax.adam, 0.1), say, makes one of an optimizer"
    return "innerloop.load(NAME) or innerloop.LSTMRule(key=key), say, is one"
