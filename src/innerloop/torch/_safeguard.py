"""A learned rule with a fallback, in PyTorch; the judgement is that of `innerloop.safeguard`."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..errors import InnerloopError
from ..guard.judgement import judge, look
from ..guard.transitions import is_behind, is_short, may_step, next_watch, outcome, take_turns
from ..guard.watch import Watch, first_watch

Tensors = list[torch.Tensor]


def safeguard(
    rule: torch.optim.Optimizer, fallback: torch.optim.Optimizer, *, steps: int | None = None
) -> "Safeguard":
    """`rule` where it is far ahead of `fallback`, and `fallback` elsewhere.

    The PyTorch form of `innerloop.safeguard`, with the same judgement from the same numbers. Each
    step needs the loss: `step(closure)`, or `step(value=loss)` after `loss.backward()`. It reads
    a few numbers from the device, and keeps copies of the parameters and of the fallback's state.

    Args:
        rule: The learned rule, as `load` gives it, or any optimizer.
        fallback: The optimizer that is trusted, of the same parameters; its `step` needs no
            closure. A learning-rate scheduler of the safeguard sets its rate.
        steps: The run's length, 1 or more; None if it is unknown. With it no trial begins in the
            run's last fifth, and no run ends in the middle of one.

    Returns:
        An optimizer.

    Raises:
        InnerloopError: `steps` is no whole number from 1 on, or the two optimizers have different
            parameters.

    Example:
        >>> import innerloop.torch, torch
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> rule = innerloop.torch.load("lstm-quadratic", [weight])
        >>> optimizer = innerloop.torch.safeguard(rule, torch.optim.Adam([weight]), steps=100)
        >>> loss = weight.square().sum()
        >>> loss.backward()
        >>> optimizer.step(value=loss)
    """
    if isinstance(steps, int | float) and (steps < 1 or not float(steps).is_integer()):
        raise InnerloopError(
            f"steps is {steps}; it must be a whole number from 1 on, or None if it is unknown."
        )
    if {*_params(rule)} != {*_params(fallback)}:
        raise InnerloopError("The rule and the fallback have different parameters; give both all.")
    return Safeguard(rule, fallback, steps)


class Safeguard(torch.optim.Optimizer):
    """A learned rule with a fallback, as `safeguard` makes it.

    `param_groups` are the fallback's.

    Args:
        rule: The learned rule.
        fallback: The optimizer that is trusted.
        steps: The run's length, or None.

    Example:
        >>> import innerloop.torch, torch
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> rule, adam = (make([weight], lr=0.1) for make in (torch.optim.SGD, torch.optim.Adam))
        >>> isinstance(innerloop.torch.safeguard(rule, adam), innerloop.torch.Safeguard)
        True
    """

    def __init__(
        self, rule: torch.optim.Optimizer, fallback: torch.optim.Optimizer, steps: int | None
    ):
        super().__init__(_params(fallback), {})
        self.rule, self.fallback, self.steps = rule, fallback, steps
        self.param_groups = fallback.param_groups
        self._watch = _new_watch()
        self._kept: Tensors = []
        self._kept_fallback: list[dict[str, Any]] = []

    @torch.no_grad()
    def step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, closure: Callable[[], Any] | None = None, *, value: Any = None
    ) -> Any:
        """Make one step.

        Args:
            closure: Computes the loss anew, with gradients, and returns it.
            value: The loss, without a closure.

        Returns:
            The closure's loss, or None without a closure.

        Raises:
            InnerloopError: There is no loss, or it is not one number.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = value = closure()
        # Numbers that are not finite are judged, not warned of.
        with np.errstate(all="ignore"):
            self._step(_number(value))
        return loss

    def _step(self, loss: float) -> None:
        params, watch = _params(self), self._watch
        moving = [param for param in params if param.grad is not None]
        grads = [param.grad for param in moving]
        here = _copies(params)

        # The fallback's state follows the true gradients, whoever steps.
        plain_step, plain_params = self._ask(self.fallback, moving, params, here)
        finite, slope, alive, plain_square, here_square = _numbers(
            _is_finite(grads),
            -_dot(grads, plain_step),
            _sum([torch.count_nonzero(grad) for grad in grads]),
            _dot(plain_step, plain_step),
            _dot(here, here),
        )
        seen = look(
            watch,
            np,
            loss=np.float64(loss),
            finite=np.bool_(finite),
            plain_slope=slope,
            alive=alive,
        )
        verdict = judge(watch, seen, np)

        # What the learned rule would do now, if it may.
        sane, promise, step_params = np.bool_(True), np.float64(0), here
        if may_step(watch, verdict):
            step, step_params = self._ask(self.rule, moving, params, here)
            finite, promise, square = _numbers(
                _is_finite(step), -_dot(grads, step), _dot(step, step)
            )
            sane = np.bool_(finite) & is_short(square, plain_square, here_square)
        turn = take_turns(watch, seen, verdict, np, sane=sane, slope=promise, steps=self.steps)
        then = outcome(watch, verdict, turn)
        twice = is_behind(watch, seen, turn)
        if then.keeps:
            self._kept, self._kept_fallback = plain_params, _state(self.fallback, params)
        if turn.back:
            _set(params, self._kept)
            _restore(self.fallback, params, self._kept_fallback)
        else:
            _set(params, step_params if turn.takes else plain_params)
        if twice:
            self.fallback.step()
        if then.fresh:
            self.rule.state.clear()
        self._watch = next_watch(watch, seen, verdict, turn, np, twice=np.bool_(twice))

    def _ask(
        self, optimizer: torch.optim.Optimizer, moving: Tensors, params: Tensors, here: Tensors
    ) -> tuple[Tensors, Tensors]:
        """(the step, where it leads) of an optimizer; the parameters are then `here` again."""
        optimizer.step()
        there = _copies(params)
        _set(params, here)
        places = {param: place for place, param in enumerate(params)}
        return [there[places[param]] - param for param in moving], there

    def state_dict(self) -> dict[str, Any]:
        """Both optimizers' states, the point to go back to, and what was seen."""
        watch = {name: np.asarray(value).item() for name, value in self._watch._asdict().items()}
        return {
            "rule": self.rule.state_dict(),
            "fallback": self.fallback.state_dict(),
            "kept": _copies(self._kept),
            "kept_fallback": copy.deepcopy(self._kept_fallback),
            "watch": watch,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state.

        Args:
            state_dict: What `state_dict` returned.
        """
        self.rule.load_state_dict(state_dict["rule"])
        self.fallback.load_state_dict(state_dict["fallback"])
        self.param_groups = self.fallback.param_groups
        self._kept = _copies(state_dict["kept"])
        self._kept_fallback = copy.deepcopy(state_dict["kept_fallback"])
        first = _new_watch()._asdict()
        self._watch = Watch(
            **{name: type(first[name])(state_dict["watch"][name]) for name in first}
        )

    def __getstate__(self) -> dict[str, Any]:
        names = ("rule", "fallback", "steps", "_watch", "_kept", "_kept_fallback")
        return {**super().__getstate__(), **{name: getattr(self, name) for name in names}}


def _new_watch() -> Watch:
    return first_watch(np.float64(0), np.int64(0), np.bool_(False))


def _params(optimizer: torch.optim.Optimizer) -> Tensors:
    return [param for group in optimizer.param_groups for param in group["params"]]


def _number(value: Any) -> float:
    if value is None:
        raise InnerloopError(
            "A safeguard watches the loss, and there is none; call step(closure), or "
            "step(value=loss)."
        )
    if isinstance(value, torch.Tensor) and value.numel() != 1:
        raise InnerloopError(f"value is the loss, one number; its shape is {tuple(value.shape)}.")
    return value.item() if isinstance(value, torch.Tensor) else float(value)


def _copies(tensors: Tensors) -> Tensors:
    return [tensor.detach().clone() for tensor in tensors]


def _set(params: Tensors, values: Tensors) -> None:
    torch._foreach_copy_(params, values)


def _state(optimizer: torch.optim.Optimizer, params: Tensors) -> list[dict[str, Any]]:
    """A copy of the state of each parameter."""
    return [copy.deepcopy(dict(optimizer.state.get(param, {}))) for param in params]


def _restore(
    optimizer: torch.optim.Optimizer, params: Tensors, states: list[dict[str, Any]]
) -> None:
    for param, state in zip(params, states, strict=True):
        optimizer.state[param] = copy.deepcopy(state)


def _numbers(*tensors: torch.Tensor) -> list[Any]:
    """All from the device at once."""
    return [np.float64(each) for each in torch.stack([t.double() for t in tensors]).tolist()]


def _sum(tensors: Tensors) -> torch.Tensor:
    """Of scalars."""
    return torch.stack(tensors).sum() if tensors else torch.zeros(())


def _dot(one: Tensors, other: Tensors) -> torch.Tensor:
    """The sum of all products, in float32."""
    return _sum([(a.float() * b.float()).sum() for a, b in zip(one, other, strict=True)])


def _is_finite(tensors: Tensors) -> torch.Tensor:
    return _sum([(~torch.isfinite(tensor)).sum() for tensor in tensors]) == 0
