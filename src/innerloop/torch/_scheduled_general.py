"""The general rule times a schedule, which may be learned, and a gain for each tensor."""

from typing import Any, ClassVar

import torch

from ._general import LARGEST, General, view_of
from ._rule import Layouts, Leaf, Shapes, TorchRule

PLACES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 1.0)
_LONG, _MOST_HURRY = 1000, 2.0
_BITS = "bits."
_GAIN_RATE, _LEAST_COSINE, _MOST_GAIN = 0.1, 0.2, 3.0
_TINY = 1e-30
_EXACT = 4096  # Tensors of at most 4,096 coordinates get dot products in 64 bits: this is cheap.


class ScheduledGeneral(TorchRule):
    """`innerloop.rules.ScheduledGeneralRule`.

    The run is at the step of the parameter that has made the most, so that one without a gradient
    in some steps keeps to the schedule of the others.
    """

    name: ClassVar[str] = "scheduled-general"
    defaults: ClassVar[dict[str, Any]] = General.defaults

    def __init__(self, settings: dict[str, Any], arrays: dict[str, torch.Tensor]):
        frozen = {name: each for name, each in arrays.items() if name.startswith(_BITS)}
        own = {name: each for name, each in arrays.items() if name not in frozen}
        self.steps = int(own.pop("steps"))
        places = torch.tensor(PLACES, dtype=own["log_knots"].dtype)
        super().__init__(settings, {**own, "starts": places[:-1], "lengths": places.diff()})
        self.general = General(
            settings, {name.removeprefix(_BITS): each for name, each in frozen.items()}
        )
        self.dtype = self.general.dtype

    @classmethod
    def shapes(cls, settings: dict[str, Any]) -> Shapes:
        scalars = ("steps", "log_level", "log_warm_up", "log_time", "log_power")
        return {
            **{_BITS + name: shape for name, shape in General.shapes(settings).items()},
            "log_knots": (len(PLACES),),
            **dict.fromkeys(scalars, ()),
        }

    @classmethod
    def layouts(cls, settings: dict[str, Any]) -> Layouts:
        def kind(name: str) -> str:
            if name.startswith(_BITS):
                return "uint32"
            return "int32" if name == "steps" else "float32"

        return {name: (shape, kind(name)) for name, shape in cls.shapes(settings).items()}

    def init(
        self, param: torch.Tensor, outputs_first: bool, everything: list[torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        gain = torch.zeros((), dtype=torch.float32, device=param.device)
        return {**self.general.init(param, outputs_first, everything), "log_gain": gain}

    def update(self, leaves: list[Leaf]) -> list[torch.Tensor]:
        if not leaves:
            return []
        home = leaves[0].grad.device
        made = torch.stack([leaf.state["step"].to(home) for leaf in leaves]).max()
        factor = self._factor(made - 1)  # The step of now is counted already.
        gains = [_moved_on(leaf) for leaf in leaves]
        return [
            step.mul_(factor.to(step.device) * gain)
            for step, gain in zip(self.general.update(leaves), gains, strict=True)
        ]

    def _factor(self, step: torch.Tensor) -> torch.Tensor:
        """c_t, where `step` is t, from 0."""
        arrays = self.arrays(step.device)
        if self.steps > 0:
            place = step / max(1, self.steps - 1)
            # How much of the way from each knot to the next is behind.
            parts = ((place - arrays["starts"]) / arrays["lengths"]).clamp(0, 1)
            line = arrays["log_knots"][0] + (arrays["log_knots"].diff() * parts).sum()
            hurry = min(max(1.0, (_LONG / self.steps) ** 0.5), _MOST_HURRY)
            return torch.exp(line) * (hurry if self.steps > 1 else 1.0)
        warm = -torch.expm1(-(step + 1) / arrays["log_warm_up"].exp())
        slow = -arrays["log_power"].exp() * torch.log1p(step / arrays["log_time"].exp())
        return warm * torch.exp(arrays["log_level"] + slow)


def _moved_on(leaf: Leaf) -> torch.Tensor:
    """The gain of a tensor after its gradient, by the average of those before it."""
    g = view_of(leaf, leaf.grad.clamp(-LARGEST, LARGEST)).flatten()
    mean = leaf.state["momenta"][0].flatten()
    if len(g) <= _EXACT:
        g, mean = g.double(), mean.double()
    lengths = torch.rsqrt(g.dot(g) + _TINY) * torch.rsqrt(mean.dot(mean) + _TINY)
    cosine = torch.nan_to_num(g.dot(mean) * lengths).float()
    log_gain = leaf.state["log_gain"].add_(cosine - _LEAST_COSINE, alpha=_GAIN_RATE)
    return log_gain.clamp_(0.0, _MOST_GAIN).exp()
