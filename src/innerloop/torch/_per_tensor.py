"""A network that sets, for each tensor and step, a rate, a power and a mix of momenta."""

import math
from typing import Any, ClassVar

import torch

from ._rule import Leaf, Shapes, TorchRule

MOMENTA = (0.5, 0.9, 0.97, 0.99)
SQUARES = (0.9, 0.99)
_INPUTS, _OUTPUTS = 17, 6
_FIRST_RATE = 0.01
_FIRST_OUTPUTS = (0.0, 2.0, 0.0, 1.0, 0.0, 0.0)
_CLIMBING_STEPS = 25
_NETWORK_SHARE = 0.995
_TINY = 1e-20


class PerTensor(TorchRule):
    """`innerloop.PerTensorRule`."""

    name: ClassVar[str] = "per-tensor"
    defaults: ClassVar[dict[str, Any]] = {"hidden": 8}

    def __init__(self, settings: dict[str, Any], arrays: dict[str, torch.Tensor]):
        first = torch.tensor(_FIRST_OUTPUTS, dtype=arrays["output_bias"].dtype)
        super().__init__(settings, {**arrays, "first_outputs": first})
        self._rows: dict[Any, torch.Tensor] = {}

    @classmethod
    def shapes(cls, settings: dict[str, Any]) -> Shapes:
        hidden = settings["hidden"]
        return {
            "hidden_weight": (hidden, _INPUTS),
            "hidden_bias": (hidden,),
            "output_weight": (_OUTPUTS, hidden),
            "output_bias": (_OUTPUTS,),
        }

    def init(
        self, param: torch.Tensor, outputs_first: bool, everything: list[torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        self._row(param, outputs_first)
        names = [f"momentum_{k}" for k in range(len(MOMENTA))]
        names += [f"square_{k}" for k in range(len(SQUARES))]
        return {name: torch.zeros_like(param, dtype=self.dtype) for name in names}

    def update(self, leaves: list[Leaf]) -> list[torch.Tensor]:
        grads, home = [leaf.grad for leaf in leaves], leaves[0].grad.device
        momenta = [_states(leaves, f"momentum_{k}") for k in range(len(MOMENTA))]
        squares = [_states(leaves, f"square_{k}") for k in range(len(SQUARES))]
        for decay, averages in zip(MOMENTA, momenta, strict=True):
            torch._foreach_lerp_(averages, grads, 1 - decay)
        squared = torch._foreach_mul(grads, grads)
        for decay, averages in zip(SQUARES, squares, strict=True):
            torch._foreach_lerp_(averages, squared, 1 - decay)
        steps = torch.stack([leaf.state["step"].to(home) for leaf in leaves]).to(self.dtype)
        m_scale, v_scale = _corrections(MOMENTA, steps), _corrections(SQUARES, steps)
        seen, mean = self._statistics(momenta, squares, (m_scale, v_scale), home)
        outputs = self._outputs(leaves, seen, steps)
        # −rate · w_k · mean(v)^(p/2 − 1/2), and the power of v that is left.
        half = 0.5 * torch.sigmoid(outputs[:, 1])
        rate = _FIRST_RATE * torch.exp(outputs[:, 0] - (0.5 - half) * torch.log(mean))
        weights = -rate[:, None] * outputs[:, 2:] * m_scale
        return [
            _mixed([m[i] for m in momenta], squares[1][i], v_scale[i, 1], weights[i], half[i])
            for i in range(len(leaves))
        ]

    def _statistics(
        self,
        momenta: list[list[torch.Tensor]],
        squares: list[list[torch.Tensor]],
        scales: tuple[torch.Tensor, torch.Tensor],
        home: torch.device,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What has no unit, [tensors, 6], and each tensor's mean square, [tensors]."""
        m_scale, v_scale = scales
        sizes = [max(1, m.numel()) for m in momenta[0]]

        def means(sums: list[torch.Tensor]) -> torch.Tensor:
            return torch.stack(
                [each.to(home) / size for each, size in zip(sums, sizes, strict=True)]
            )

        roots = [math.sqrt(size) for size in sizes]
        rms = [
            torch.stack(
                [n.to(home) / r for n, r in zip(torch._foreach_norm(m), roots, strict=True)]
            )
            for m in momenta
        ]
        root_mean_square = torch.sqrt(torch.stack(rms, 1).square() + _TINY)
        mean_square = [means([each.sum() for each in v]) for v in squares]
        mean_square = torch.stack(mean_square, 1) * v_scale + _TINY
        size = means([root.sum() for root in torch._foreach_sqrt(squares[1])])
        spread = torch.sqrt(mean_square[:, 1:])
        agreement = torch.log(root_mean_square * m_scale / spread + 1e-3)
        growth = 0.5 * torch.log(mean_square[:, :1] / mean_square[:, 1:])
        evenness = torch.log(size[:, None] * torch.sqrt(v_scale[:, 1:]) / spread + 1e-3)
        return torch.cat([agreement, growth, evenness], 1), mean_square[:, 1] + _TINY

    def _outputs(self, leaves: list[Leaf], seen: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """The network's, [tensors, 6]."""
        arrays = self.arrays(seen.device)
        time = [torch.log1p(steps / 10) / 2]
        time += [steps / (steps + scale) for scale in (10.0, 100.0, 1000.0)]
        everywhere = seen[:, :4].mean(0).expand(len(leaves), 4)
        rows = [self._row(leaf.param, leaf.outputs_first) for leaf in leaves]
        shapes = torch.stack([row.to(seen.device) for row in rows])
        inputs = torch.cat([torch.stack(time, 1), shapes, seen, everywhere], 1)
        features = torch.tanh(inputs @ arrays["hidden_weight"].T + arrays["hidden_bias"])
        outputs = features @ arrays["output_weight"].T + arrays["output_bias"]
        # A tensor that would climb steps as a fresh rule does, but at the start of a network's run.
        climbs = outputs[:, 2:].sum(1) < 0
        if _is_network(leaves):
            climbs = climbs & (steps > _CLIMBING_STEPS)
        return torch.where(climbs[:, None], arrays["first_outputs"], outputs)

    def _row(self, param: torch.Tensor, outputs_first: bool) -> torch.Tensor:
        """What is seen of a tensor's shape, [3]; it is copied to a device once."""
        key = (param.device, param.shape, outputs_first)
        if key not in self._rows:
            row = _shape(*_sides(param, outputs_first), param.ndim)
            self._rows[key] = torch.tensor(row, dtype=self.dtype, device=param.device)
        return self._rows[key]


def _states(leaves: list[Leaf], name: str) -> list[torch.Tensor]:
    return [leaf.state[name] for leaf in leaves]


def _corrections(decays: tuple[float, ...], steps: torch.Tensor) -> torch.Tensor:
    """[tensors, decays]: averages begin at 0, as Adam's do, and are corrected alike."""
    return torch.stack([1 / (1 - decay**steps) for decay in decays], 1)


def _sides(param: torch.Tensor, outputs_first: bool) -> tuple[float, int]:
    """(inputs, outputs)."""
    outputs = param.shape[0 if outputs_first else -1] if param.ndim else 1
    return param.numel() / max(1, outputs), outputs


def _shape(inputs: float, outputs: int, axes: int) -> list[float]:
    return [float(axes > 1), math.log(max(1, inputs)) / 4, math.log(max(1, outputs)) / 4]


def _is_network(leaves: list[Leaf]) -> bool:
    """Whether there are biases, and nearly all coordinates are in tensors with several inputs."""
    matrices = [
        leaf.param.numel()
        for leaf in leaves
        if leaf.param.ndim > 1 and _sides(leaf.param, leaf.outputs_first)[0] > 1
    ]
    size = sum(leaf.param.numel() for leaf in leaves)
    return _NETWORK_SHARE * size <= sum(matrices) < size


def _mixed(
    momenta: list[torch.Tensor],
    square: torch.Tensor,
    v_scale: torch.Tensor,
    weights: torch.Tensor,
    half: torch.Tensor,
) -> torch.Tensor:
    """v^(−half) · Σ_k w_k m_k of one tensor."""
    v_scale, weights, half = (each.to(square.device) for each in (v_scale, weights, half))
    step = (square * v_scale).add_(_TINY).log_().mul_(-half).exp_()
    mixed = momenta[0] * weights[0]
    for k in range(1, len(momenta)):
        mixed.addcmul_(momenta[k], weights[k])
    return step.mul_(mixed)
