"""A small network that chooses the direction of a step; the step is relative to θ."""

import math
from typing import Any, ClassVar, NamedTuple

import torch

from ._rule import Leaf, Shapes, TorchRule

MOMENTA = (0.9, 0.99, 0.999)
SQUARE = 0.95
WHOLE, OUTER, EDGES = 12, 6, 12
_FLOOR = 0.1
_NO_UNIT = 0.1
_RARE = 1e-4
_CLIP = 10.0
_TINY = 1e-30
_LARGEST = 1e15
_POLYNOMIAL = (3.4445, -4.7750, 2.0315)


class _Matrix(NamedTuple):
    """How a tensor is seen as a matrix: [first, second], in the order of its memory."""

    first: int
    second: int
    transposed: bool
    """Whether the JAX rule's rows are its second axis."""
    moved: int
    """The tensor's axis that comes first."""

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.movedim(self.moved, 0).reshape(self.first, self.second)

    def back(self, matrix: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        rest = [size for axis, size in enumerate(shape) if axis != self.moved]
        first = [shape[self.moved]] if shape else []
        return matrix.reshape(*first, *rest).movedim(0, self.moved) if shape else matrix[0, 0]


class General(TorchRule):
    """`innerloop.rules.GeneralRule`. It computes in float32."""

    name: ClassVar[str] = "general"
    defaults: ClassVar[dict[str, Any]] = {
        "hidden": 8,
        "orthogonalise": False,
        "learning_rate": 1.0,
    }

    def __init__(self, settings: dict[str, Any], arrays: dict[str, torch.Tensor]):
        super().__init__(settings, {name: array.float() for name, array in arrays.items()})
        self.learning_rate = self.settings["learning_rate"]
        self.orthogonalise = self.settings["orthogonalise"]

    @classmethod
    def shapes(cls, settings: dict[str, Any]) -> Shapes:
        hidden = settings["hidden"]
        outputs = 1 + settings["orthogonalise"]
        return {
            "first_weight": (hidden, WHOLE + OUTER + EDGES),
            "first_bias": (2, hidden),
            "second_weight": (hidden, hidden),
            "second_bias": (hidden,),
            "output_weight": (outputs, hidden),
            "output_bias": (outputs,),
            "skip_weight": (WHOLE,),
            "log_step": (2,),
        }

    def init(
        self, param: torch.Tensor, outputs_first: bool, everything: list[torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        def zeros(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, dtype=torch.float32, device=param.device)

        state = {f"momentum_{k}": zeros(*param.shape) for k in range(len(MOMENTA))}
        state |= {"square": zeros(*param.shape), "unit": _unit(everything, param.device)}
        matrix = _matrix(param.shape, outputs_first)
        if matrix is not None:
            state |= {"first": zeros(len(MOMENTA), matrix.first)}
            state |= {"second": zeros(len(MOMENTA), matrix.second)}
        return state

    def update(self, leaves: list[Leaf]) -> list[torch.Tensor]:
        grads = [leaf.grad.clamp(-_LARGEST, _LARGEST) for leaf in leaves]
        for k, decay in enumerate(MOMENTA):
            momenta = [leaf.state[f"momentum_{k}"] for leaf in leaves]
            torch._foreach_lerp_(momenta, grads, 1 - decay)
        squared = torch._foreach_mul(grads, grads)
        torch._foreach_lerp_([leaf.state["square"] for leaf in leaves], squared, 1 - SQUARE)
        return [
            self._leaf(leaf, grad, square)
            for leaf, grad, square in zip(leaves, grads, squared, strict=True)
        ]

    def _leaf(self, leaf: Leaf, grad: torch.Tensor, squared: torch.Tensor) -> torch.Tensor:
        """The step of one tensor, whose averages have moved on."""
        if grad.numel() == 0:
            return grad
        arrays, state = self.arrays(grad.device), leaf.state
        matrix = _matrix(grad.shape, leaf.outputs_first)
        seen = matrix or _Matrix(1, grad.numel(), False, 0)
        p, g = seen.of(leaf.param.float()), seen.of(grad)
        momenta = [seen.of(state[f"momentum_{k}"]) for k in range(len(MOMENTA))]
        edges = None
        if matrix is not None:
            edges = _edges(state, matrix.of(squared), matrix.transposed)
        d = self._direction(arrays, (g, p, momenta, seen.of(state["square"])), edges)
        size = torch.maximum(_rms(p), _FLOOR * state["unit"])
        scale = -self.learning_rate * torch.exp(arrays["log_step"][0 if matrix else 1]) * size
        return seen.back(d * scale, grad.shape)

    def _direction(
        self, arrays: dict[str, torch.Tensor], averages: Any, edges: "_Edges | None"
    ) -> torch.Tensor:
        """d, with an RMS of 1."""
        shape, matrix = averages[0].shape, edges is not None
        whole = _whole_features(*averages)
        weight = arrays["first_weight"]
        features = whole
        if edges is not None:
            features = torch.cat([whole, _outer_features(*averages, edges)])
        features = features.reshape(len(features), -1)
        bias = arrays["first_bias"][0 if matrix else 1]
        sums = torch.addmm(bias[:, None], weight[:, : len(features)], features)
        if edges is not None:
            sums = sums.reshape(-1, *shape)
            sums += _edge_sums(weight[:, WHOLE + OUTER :], edges)
            sums = sums.reshape(len(weight), -1)
        units = torch.relu_(sums)
        units = torch.addmm(arrays["second_bias"][:, None], arrays["second_weight"], units).relu_()
        outputs = torch.addmm(arrays["output_bias"][:, None], arrays["output_weight"], units)
        d = torch.addmv(outputs[0], features[:WHOLE].T, arrays["skip_weight"]).reshape(shape)
        d = _normalised(d)
        if matrix and self.orthogonalise:
            part = torch.sigmoid(outputs[1].mean())
            d = _normalised((1 - part) * d + part * _normalised(_orthogonal(d)))
        return d


class _Edges(NamedTuple):
    """Of the first axis [momenta, first] and the second of a matrix, what is known of each line."""

    first: torch.Tensor
    """Mean squares over the matrix's own."""
    second: torch.Tensor
    first_factors: torch.Tensor
    """1 / √ of them."""
    second_factors: torch.Tensor
    transposed: bool


def _as_in_jax(shape: tuple[int, ...], outputs_first: bool) -> tuple[int, ...]:
    """The shape that the same array has in JAX: [..., inputs, outputs]."""
    return (*shape[2:], *shape[1::-1]) if outputs_first else tuple(shape)


def _sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """The matrix that the JAX rule sees: the first axis or the last against the others."""
    size = math.prod(shape)
    if len(shape) < 2 or size == 0:
        return (1, size)
    first, last = (shape[0], size // shape[0]), (size // shape[-1], shape[-1])
    return first if min(first) > min(last) else last


def _matrix(shape: tuple[int, ...], outputs_first: bool) -> _Matrix | None:
    """How a tensor is seen as a matrix; None for vectors, and what has a single row or column."""
    there = _as_in_jax(shape, outputs_first)
    rows, columns = _sides(there)
    if min(rows, columns) <= 1:
        return None
    if not outputs_first:
        return _Matrix(rows, columns, False, 0)
    if columns == there[-1]:
        return _Matrix(columns, rows, True, 0)
    return _Matrix(rows, columns, False, 2)


def _unit(everything: list[torch.Tensor], device: torch.device) -> torch.Tensor:
    """The RMS of all parameters together."""
    total = sum(
        (param.float().square().sum().to(device) for param in everything),
        torch.zeros((), device=device),
    )
    unit = torch.sqrt(total / max(1, sum(param.numel() for param in everything)))
    return torch.where(unit > 0, unit, _NO_UNIT)


def _edges(state: dict[str, torch.Tensor], squared: torch.Tensor, transposed: bool) -> _Edges:
    """After the averages over both axes have moved on."""
    found = []
    for name, means in (("first", squared.mean(1)), ("second", squared.mean(0))):
        for k, decay in enumerate(MOMENTA):
            state[name][k].lerp_(means, 1 - decay)
        found.append(state[name] / (state[name].mean(1, keepdim=True) + _TINY))
    first, second = found
    factors = (torch.rsqrt(first + _RARE), torch.rsqrt(second + _RARE))
    return _Edges(first, second, *factors, transposed)


def _whole_features(
    g: torch.Tensor, p: torch.Tensor, momenta: list[torch.Tensor], square: torch.Tensor
) -> torch.Tensor:
    """[12, first, second]: g, θ, m and v, alone and as Adam has them."""
    mean = square.mean() + _TINY
    unit = torch.rsqrt(mean)
    g, v = g * unit, square / mean
    root = torch.rsqrt(v + _RARE)
    momenta = [momentum * unit for momentum in momenta]
    apart = [g, g.clamp(-0.1, 0.1), p, v, root, g * root]
    return _scaled(torch.stack([*apart, *momenta, *(momentum * root for momentum in momenta)]))


def _outer_features(
    g: torch.Tensor,
    p: torch.Tensor,
    momenta: list[torch.Tensor],
    square: torch.Tensor,
    edges: _Edges,
) -> torch.Tensor:
    """[6, first, second]: g and m over the roots of their rows' and columns' means."""
    unit = torch.rsqrt(square.mean() + _TINY)
    first, second = edges.first_factors * unit, edges.second_factors
    factors = [first[k][:, None] * second[k] for k in range(len(MOMENTA))]
    apart = [g * factor for factor in factors]
    return _scaled(
        torch.stack([*apart, *(m * factor for m, factor in zip(momenta, factors, strict=True))])
    )


def _edge_sums(weight: torch.Tensor, edges: _Edges) -> torch.Tensor:
    """[hidden, first, second]: what the first layer makes of rows and columns."""
    first = _scaled(torch.cat([edges.first, edges.first_factors]))
    second = _scaled(torch.cat([edges.second, edges.second_factors]))
    of_rows, of_columns = weight.chunk(2, dim=1)
    of_first, of_second = (of_columns, of_rows) if edges.transposed else (of_rows, of_columns)
    return (of_first @ first)[:, :, None] + (of_second @ second)[:, None, :]


def _scaled(features: torch.Tensor) -> torch.Tensor:
    """Each feature over its own RMS in the tensor, clipped."""
    axes = tuple(range(1, features.ndim))
    mean = features.square().mean(axes, keepdim=True)
    return features.mul_(torch.rsqrt(mean + _TINY)).clamp_(-_CLIP, _CLIP)


def _rms(tensor: torch.Tensor) -> torch.Tensor:
    return torch.sqrt(tensor.square().mean() + _TINY)


def _normalised(tensor: torch.Tensor) -> torch.Tensor:
    return tensor * torch.rsqrt(tensor.square().mean() + _TINY)


def _orthogonal(d: torch.Tensor) -> torch.Tensor:
    """The nearest orthogonal matrix, about, by five Newton–Schulz steps."""
    a, b, c = _POLYNOMIAL
    wide = d.shape[0] <= d.shape[1]
    x = d if wide else d.T
    x = x * torch.rsqrt(x.square().sum() + _TINY)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.T
