"""RNNprop (Lv, Jiang & Li 2017)."""

from typing import Any, ClassVar

import torch

from ._lstm import network_shapes, new_cells, output, pieces, run_layers
from ._rule import Leaf, Shapes, TorchRule

DECAY = 0.95
_TINY = 1e-10


class RNNprop(TorchRule):
    """`innerloop.RNNpropRule`."""

    name: ClassVar[str] = "rnnprop"
    defaults: ClassVar[dict[str, Any]] = {"hidden": 20, "depth": 2, "output_scale": 0.1}

    @classmethod
    def shapes(cls, settings: dict[str, Any]) -> Shapes:
        hidden = settings["hidden"]
        shapes = network_shapes(hidden, hidden, settings["depth"])
        return {**shapes, "input_weight": (hidden, 2), "input_bias": (hidden,)}

    def init(
        self, param: torch.Tensor, outputs_first: bool, everything: list[torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        cells = new_cells(self.settings["depth"], self.settings["hidden"], param, self.dtype)
        averages = {
            name: torch.zeros_like(param, dtype=self.dtype) for name in ("momentum", "square")
        }
        return {**averages, **cells}

    def update(self, leaves: list[Leaf]) -> list[torch.Tensor]:
        return [self._leaf(leaf) for leaf in leaves]

    def _leaf(self, leaf: Leaf) -> torch.Tensor:
        arrays, state = self.arrays(leaf.grad.device), leaf.state
        state["momentum"].lerp_(leaf.grad, 1 - DECAY)
        state["square"].lerp_(leaf.grad.square(), 1 - DECAY)
        corrected = 1 - DECAY ** state["step"].to(self.dtype)
        scale = torch.rsqrt(state["square"] / corrected + _TINY**2)
        inputs = torch.stack([leaf.grad * scale, state["momentum"] / corrected * scale])
        inputs = inputs.reshape(2, -1)
        steps = []
        for piece in pieces(inputs.shape[1]):
            weight, bias = arrays["input_weight"], arrays["input_bias"][:, None]
            features = torch.nn.functional.elu(torch.addmm(bias, weight, inputs[:, piece]))
            features = run_layers(arrays, features, state["h"][..., piece], state["c"][..., piece])
            steps.append(torch.tanh(output(arrays, features)))
        step = steps[0] if len(steps) == 1 else torch.cat(steps)
        return (self.settings["output_scale"] * step).reshape(leaf.grad.shape)
