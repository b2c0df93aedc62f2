"""A learned rule as a `torch.optim.Optimizer`."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from ..errors import InnerloopError
from ._files import Rules, read_rules
from ._rule import Leaf, TorchRule

_OUTPUTS = ("first", "last")


def load(
    path_or_name: str | Path,
    params: Iterable[Any],
    *,
    lr: float | torch.Tensor = 1.0,
    weight_decay: float = 0.0,
    maximize: bool = False,
    outputs: str = "first",
    steps: int | None = None,
) -> "LearnedOptimizer":
    """An optimizer of PyTorch from a file of a learned rule.

    The same file gives the same steps as in JAX. These rules run in PyTorch: `general`,
    `scheduled-general`, `per-tensor`, `lstm`, `lstm-gac`, `rnnprop`, and `multi` of these. JAX is
    not imported.

    Args:
        path_or_name: A file, a training run's folder, a shipped rule's name, or hf://USER/NAME.
        params: Parameters or parameter groups. A group may have its own `lr`, `weight_decay`,
            `maximize` and `outputs`. For a rule of parts each group has the key `part`: the name
            of the part that it is.
        lr: A factor of all steps, 0 or more; 1 is what the rule was trained with. A tensor of one
            number keeps a compiled step from being compiled again when a scheduler changes it.
        weight_decay: Each step first multiplies the parameters by 1 − lr · weight_decay; 0 or more.
        maximize: Climb instead of descend.
        outputs: Which axis of a tensor counts its outputs: "first" as in `torch.nn.Linear` and
            `torch.nn.Conv2d`, or "last" as in `torch.nn.Embedding`. Rules that look at shapes see
            a tensor as they see the same layer in JAX.
        steps: The length of the run, 1 or more, for `scheduled-general`, the kind of the shipped
            `general`: its schedule is then over the run. `lr` is a factor beside that schedule.
            None for the length that the file has, which is unknown unless one was saved. It is no
            part of `state_dict`: a resumed run is told it again. Other rules have no use for it.

    Returns:
        The optimizer.

    Raises:
        InnerloopError: There is no such file or name, it is damaged, its rule does not run in
            PyTorch, or a parameter or setting is none that it could have.

    Example:
        >>> import innerloop.torch, torch
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = innerloop.torch.load("tensorwise-mnist", model.parameters())
        >>> model(torch.ones(2, 3)).sum().backward()
        >>> optimizer.step()
    """
    rules = read_rules(path_or_name)
    if steps is not None:
        _tell(rules, steps)
    settings = {
        "lr": lr,
        "weight_decay": weight_decay,
        "maximize": maximize,
        "outputs": outputs,
    }
    return LearnedOptimizer(params, rules, settings)


class LearnedOptimizer(torch.optim.Optimizer):
    """A learned rule in PyTorch, as `load` makes it.

    The state of a parameter is in `state[parameter]`, on the parameter's device. It is float32
    for parameters of half precision; where the rule's weights are float64, it is float64. A
    parameter without a gradient is left alone. `state_dict` names the rule by the digest of its
    weights, and `load_state_dict` refuses the state of another rule.

    Args:
        params: Parameters or parameter groups.
        rules: What `load` read from a file.
        defaults: The settings of groups that have none of their own.

    Raises:
        InnerloopError: A parameter or a setting is none that the rule could have.

    Example:
        >>> import innerloop.torch, torch
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> optimizer = innerloop.torch.load("lstm-quadratic", [weight], lr=0.5)
        >>> isinstance(optimizer, innerloop.torch.LearnedOptimizer)
        True
    """

    def __init__(self, params: Iterable[Any], rules: Rules, defaults: dict[str, Any]):
        self._rules = rules
        super().__init__(params, {**defaults, "rule": f"{rules.name} {rules.digest}"})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with settings of their own.

        Args:
            param_group: `params`, and any of the arguments of `load` for them; `part` for a rule
                of parts.

        Raises:
            InnerloopError: A parameter or a setting is none that the rule could have.
        """
        _check_group({**self.defaults, **param_group}, self._rules)
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for param in group["params"]:
            if not param.is_floating_point():
                self.param_groups.pop()
                raise InnerloopError(
                    f"A parameter is {param.dtype}; learned rules move real parameters only."
                )

    @torch.no_grad()
    def step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, closure: Callable[[], Any] | None = None, *, value: Any = None
    ) -> Any:
        """Make one step.

        Args:
            closure: Computes the loss anew, with gradients, and returns it.
            value: The loss. The rules that run in PyTorch have no use for it.

        Returns:
            The closure's loss, or None without a closure.

        Raises:
            InnerloopError: A gradient is sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._init_group(group)
        for part, rule in self._rules.parts.items():
            groups = [group for group in self.param_groups if group.get("part", "") == part]
            leaves = [self._leaves(group, rule) for group in groups]
            every = [leaf for of_group in leaves for leaf in of_group]
            if not every:
                continue
            steps = rule.update(every)
            for group, of_group in zip(groups, leaves, strict=True):
                _move([leaf.param for leaf in of_group], steps[: len(of_group)], group)
                steps = steps[len(of_group) :]
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The state and the settings of all groups, with the rule's digest among them."""
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state, exactly.

        Args:
            state_dict: What `state_dict` returned, of an optimizer of the same rule.

        Raises:
            InnerloopError: It is of another rule, or of other weights.
        """
        mine, seen = self.defaults["rule"], {}

        # The last of the hooks, so that it sees what the user's own have made of the state.
        def check(optimizer: Any, state_dict: dict[str, Any]) -> None:
            for group in state_dict.get("param_groups", []):
                if group.get("rule") != mine:
                    raise InnerloopError(
                        f"This state is of {_named(group.get('rule'))}, and this optimizer runs "
                        f"{_named(mine)}; load it into an optimizer of the same file of weights."
                    )
            seen.update(state_dict)

        hook = self.register_load_state_dict_pre_hook(check)
        try:
            super().load_state_dict(state_dict)
        finally:
            hook.remove()
        self._restore(seen)

    def _restore(self, state_dict: dict[str, Any]) -> None:
        """Give the states back the dtypes that they were saved with: PyTorch casts to θ's."""
        theirs = [place for group in state_dict["param_groups"] for place in group["params"]]
        ours = [param for group in self.param_groups for param in group["params"]]
        for place, param in zip(theirs, ours, strict=True):
            for name, saved in state_dict["state"].get(place, {}).items():
                self.state[param][name] = saved.to(param.device, copy=True)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_rules": self._rules}

    # torch.compile runs a method of this name as it is, and traces the rest of a step.
    def _init_group(self, group: dict[str, Any]) -> None:
        """The first states of parameters that have a gradient and no state yet."""
        part = group.get("part", "")
        groups = [each for each in self.param_groups if each.get("part", "") == part]
        everything = [param for each in groups for param in each["params"]]
        for param in group["params"]:
            if param.grad is None or self.state[param]:
                continue
            first = group["outputs"] == "first"
            state = self._rules.parts[part].init(param, first, everything)
            step = torch.zeros((), dtype=torch.float32, device=param.device)
            self.state[param] = {"step": step, **state}

    def _leaves(self, group: dict[str, Any], rule: TorchRule) -> list[Leaf]:
        """The group's tensors that have a gradient; their steps are counted."""
        params = [param for param in group["params"] if param.grad is not None]
        for param in params:
            if param.grad.layout != torch.strided:
                raise InnerloopError(
                    "A gradient is sparse; learned rules need dense ones, such as those of "
                    "torch.nn.Embedding(..., sparse=False)."
                )
        if not params:
            return []
        torch._foreach_add_([self.state[param]["step"] for param in params], 1)
        grads = [param.grad.to(rule.dtype) for param in params]
        if group["maximize"]:
            grads = list(torch._foreach_neg(grads))
        first = group["outputs"] == "first"
        return [
            Leaf(param, grad, self.state[param], first)
            for param, grad in zip(params, grads, strict=True)
        ]


def _move(params: list[torch.Tensor], steps: list[torch.Tensor], group: dict[str, Any]) -> None:
    """θ ← (1 − lr · weight_decay) · θ + lr · step."""
    if not params:
        return
    lr, decay = group["lr"], group["weight_decay"]
    if isinstance(decay, torch.Tensor) or decay != 0:
        torch._foreach_mul_(params, 1 - lr * decay)
    if isinstance(lr, torch.Tensor):
        torch._foreach_mul_(steps, lr)
    elif lr != 1:
        torch._foreach_mul_(steps, float(lr))
    torch._foreach_add_(params, steps)


def _tell(rules: Rules, steps: int) -> None:
    """Tell all parts the length of the run."""
    if type(steps) is not int or steps < 1:
        raise InnerloopError(
            f"steps is {steps}; it must be a whole number from 1 on, or None if it is unknown."
        )
    for rule in rules.parts.values():
        rule.steps = steps


def _check_group(group: dict[str, Any], rules: Rules) -> None:
    """Raises `InnerloopError` for settings that there are not."""
    for name in ("lr", "weight_decay"):
        value = group[name]
        if not isinstance(value, torch.Tensor) and not value >= 0:
            raise InnerloopError(f"{name} is {value}; it must be 0 or more.")
    if group["outputs"] not in _OUTPUTS:
        raise InnerloopError(f"outputs is {group['outputs']!r}; it must be 'first' or 'last'.")
    part, parts = group.get("part", ""), sorted(rules.parts)
    if part not in rules.parts:
        if parts == [""]:
            raise InnerloopError(f"A group is for the part {part!r}; this rule has no parts.")
        raise InnerloopError(
            f"This rule has a part for each group of parameters: give each group the key 'part', "
            f"which is one of {', '.join(parts)}. A group has {part!r}."
        )


def _named(rule: Any) -> str:
    """'lstm 0123abcd…', for a message."""
    if not isinstance(rule, str) or " " not in rule:
        return "no learned rule"
    name, digest = rule.rsplit(" ", 1)
    return f"the rule {name} with the weights {digest[:12]}"
