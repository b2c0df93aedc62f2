"""The LSTM of Andrychowicz et al. (2016), alone and with global averaging cells."""

import math
from typing import Any, ClassVar

import torch

from ._rule import Leaf, Shapes, TorchRule

CHUNK = 8192
"""Coordinates that go through the network together, so that they stay in a processor's cache."""


def network_shapes(inputs: int, hidden: int, depth: int) -> Shapes:
    """Those of an LSTM with `inputs` inputs, and of its output."""
    shapes: Shapes = {"output_weight": (1, hidden), "output_bias": (1,)}
    for layer in range(depth):
        width = inputs if layer == 0 else hidden
        shapes[f"layers[{layer}].weight"] = (4 * hidden, width + hidden)
        shapes[f"layers[{layer}].bias"] = (4 * hidden,)
    return shapes


def new_cells(depth: int, hidden: int, like: torch.Tensor, dtype: torch.dtype) -> Any:
    """The first state of the layers of every coordinate of a tensor."""
    shape = (depth, hidden, like.numel())
    return {name: torch.zeros(shape, dtype=dtype, device=like.device) for name in ("h", "c")}


def layer(
    arrays: dict[str, torch.Tensor],
    number: int,
    features: torch.Tensor,
    h: torch.Tensor,
    c: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(h, c) of one layer after `features`; all are [features, coordinates]."""
    weight, bias = arrays[f"layers[{number}].weight"], arrays[f"layers[{number}].bias"]
    gates = torch.addmm(bias[:, None], weight, torch.cat([features, h]))
    i, f, o = torch.sigmoid(gates[: 3 * len(h)]).chunk(3)
    after = f * c + i * torch.tanh(gates[3 * len(h) :])
    return o * torch.tanh(after), after


def run_layers(
    arrays: dict[str, torch.Tensor],
    features: torch.Tensor,
    h: torch.Tensor,
    c: torch.Tensor,
) -> torch.Tensor:
    """The last layer's h; `h` and `c`, [layers, hidden, coordinates], move on."""
    for number in range(len(h)):
        features, after = layer(
            arrays, number, features, h[number].to(features.dtype), c[number].to(features.dtype)
        )
        h[number].copy_(features)
        c[number].copy_(after)
    return features


def output(arrays: dict[str, torch.Tensor], features: torch.Tensor) -> torch.Tensor:
    """[hidden, coordinates] to [coordinates]."""
    return (arrays["output_weight"] @ features)[0] + arrays["output_bias"]


def pieces(coordinates: int) -> list[slice]:
    """Runs of coordinates, each small; all of them at once where a compiler fuses operations."""
    if coordinates <= CHUNK or torch.compiler.is_compiling():
        return [slice(0, coordinates)]
    return [slice(start, start + CHUNK) for start in range(0, coordinates, CHUNK)]


def inputs_of(gradient: torch.Tensor, preprocessing: float | None) -> torch.Tensor:
    """[coordinates] to [inputs, coordinates]: raw, or log |∇| / p and the sign (Appendix A)."""
    if preprocessing is None:
        return gradient[None]
    threshold = math.exp(-preprocessing)
    magnitude = gradient.abs()
    size = magnitude.clamp(min=threshold).log() / preprocessing
    sign = torch.where(magnitude >= threshold, gradient.sign(), gradient / threshold)
    return torch.stack([size, sign])


class LSTM(TorchRule):
    """`innerloop.LSTMRule`."""

    name: ClassVar[str] = "lstm"
    defaults: ClassVar[dict[str, Any]] = {
        "hidden": 20,
        "depth": 2,
        "preprocessing": 10.0,
        "output_scale": 0.1,
        "state_dtype": None,
    }

    def __init__(self, settings: dict[str, Any], arrays: dict[str, torch.Tensor]):
        super().__init__(settings, arrays)
        self.hidden, self.depth = self.settings["hidden"], self.settings["depth"]
        self.preprocessing = self.settings["preprocessing"]
        self.output_scale = self.settings["output_scale"]

    @classmethod
    def shapes(cls, settings: dict[str, Any]) -> Shapes:
        inputs = 1 if settings["preprocessing"] is None else 2
        return network_shapes(inputs, settings["hidden"], settings["depth"])

    def init(
        self, param: torch.Tensor, outputs_first: bool, everything: list[torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        coarse = self.settings["state_dtype"] is not None
        dtype = torch.bfloat16 if coarse else self.dtype
        return new_cells(self.depth, self.hidden, param, dtype)

    def update(self, leaves: list[Leaf]) -> list[torch.Tensor]:
        return [self._leaf(leaf) for leaf in leaves]

    def _leaf(self, leaf: Leaf) -> torch.Tensor:
        arrays, gradient = self.arrays(leaf.grad.device), leaf.grad.reshape(-1)
        h, c = leaf.state["h"], leaf.state["c"]
        steps = []
        for piece in pieces(len(gradient)):
            features = inputs_of(gradient[piece], self.preprocessing)
            features = run_layers(arrays, features, h[..., piece], c[..., piece])
            steps.append(output(arrays, features))
        step = steps[0] if len(steps) == 1 else torch.cat(steps)
        return (self.output_scale * step).reshape(leaf.grad.shape)


class LSTMGAC(LSTM):
    """`innerloop.LSTMGACRule`: the first cells of each layer send on their mean over everything.

    A problem's coordinates are those of all tensors that have a gradient.
    """

    name: ClassVar[str] = "lstm-gac"
    defaults: ClassVar[dict[str, Any]] = {**LSTM.defaults, "averaged": 5}

    def update(self, leaves: list[Leaf]) -> list[torch.Tensor]:
        every = [inputs_of(leaf.grad.reshape(-1), self.preprocessing) for leaf in leaves]
        for number in range(self.depth):
            every = [
                self._layer(number, leaf, features)
                for leaf, features in zip(leaves, every, strict=True)
            ]
            self._average(every)
            for leaf, features in zip(leaves, every, strict=True):
                leaf.state["h"][number].copy_(features)
        return [
            (self.output_scale * output(self.arrays(h.device), h)).reshape(leaf.grad.shape)
            for leaf, h in zip(leaves, every, strict=True)
        ]

    def _layer(self, number: int, leaf: Leaf, features: torch.Tensor) -> torch.Tensor:
        h, c = leaf.state["h"][number], leaf.state["c"][number]
        h, after = layer(self.arrays(features.device), number, features, h, c)
        c.copy_(after)
        return h

    def _average(self, every: list[torch.Tensor]) -> None:
        """The first cells of all coordinates, in place, to their mean."""
        averaged, home = self.settings["averaged"], every[0].device
        sums = torch.stack([h[:averaged].sum(1).to(home) for h in every]).sum(0)
        mean = sums / max(1, sum(h.shape[1] for h in every))
        for h in every:
            h[:averaged] = mean.to(h.device)[:, None]
