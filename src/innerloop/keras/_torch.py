"""The steps of a rule on Keras's backend for PyTorch."""

from pathlib import Path
from typing import Any

import torch

from ..torch._files import read_rules
from ..torch._rule import Leaf


class Steps:
    """A rule whose state is a flat list of tensors.

    Args:
        path: The rule's file.
        steps: The length of the run, for rules that have a schedule over it; or None.
    """

    def __init__(self, path: Path, steps: int | None):
        (self._rule,) = read_rules(path).parts.values()
        if steps is not None:
            self._rule.steps = steps
        self._names: list[list[str]] = []

    def init(self, params: list[torch.Tensor]) -> list[torch.Tensor]:
        """The state of these parameters."""
        states = []
        for param in params:
            # The last axis of a layer of Keras is that of its outputs.
            state = self._rule.init(param.detach(), False, [each.detach() for each in params])
            step = torch.zeros((), dtype=torch.float32, device=param.device)
            states.append({"step": step, **state})
        self._names = [list(state) for state in states]
        return [each for state in states for each in state.values()]

    @torch.no_grad()
    def update(
        self,
        grads: list[torch.Tensor | None],
        state: list[torch.Tensor],
        params: list[torch.Tensor],
    ) -> tuple[list[Any], list[torch.Tensor]]:
        """(steps, state); what has no gradient makes no step."""
        rest = iter(state)
        states = [{name: next(rest).detach() for name in names} for names in self._names]
        leaves = []
        for grad, each, param in zip(grads, states, params, strict=True):
            if grad is not None:
                each["step"] += 1
                leaves.append(Leaf(param.detach(), grad.to(self._rule.dtype), each, False))
        made = iter(self._rule.update(leaves))
        return [None if grad is None else next(made) for grad in grads], state
