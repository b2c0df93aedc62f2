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
BLOCK = 16384
"""Coordinates that go through the network together, about."""


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
        view = matrix or _Matrix(1, grad.numel(), False, 0)
        p = view.of(leaf.param.float())
        momenta = [view.of(state[f"momentum_{k}"]) for k in range(len(MOMENTA))]
        edges = None
        if matrix is not None:
            edges = _edges(state, matrix.of(squared), matrix.transposed)
        seen = _Seen(view.of(grad), p, momenta, view.of(state["square"]), edges)
        d = self._direction(arrays, seen)
        size = torch.maximum(_rms(p), _FLOOR * state["unit"])
        rate = torch.exp(arrays["log_step"][0 if matrix else 1])
        return view.back(d.mul_(-self.learning_rate * rate * size), grad.shape)

    def _direction(self, arrays: dict[str, torch.Tensor], seen: "_Seen") -> torch.Tensor:
        """d, with an RMS of 1; block by block, so that features stay in a processor's cache."""
        mean = seen.square.mean() + _TINY
        blocks = _blocks(seen.g.shape)
        features = None
        total: Any = 0
        for block in blocks:
            features = _features(seen.rows(block), mean)
            total = total + torch.linalg.vector_norm(features, dim=1).square()
        # Each over its own RMS; the weights have that factor, and the clipping its inverse.
        scale = torch.rsqrt(total / seen.g.numel() + _TINY)
        outputs = []
        for block in blocks:
            part = seen.rows(block)
            if len(blocks) > 1:
                features = _features(part, mean)
            outputs.append(self._network(arrays, part, features, scale))
        d = torch.cat([output[0] for output in outputs]).reshape(seen.g.shape)
        d = _normalised(d)
        if seen.edges is not None and self.orthogonalise:
            part = torch.sigmoid(torch.cat([output[1] for output in outputs]).mean())
            d = _normalised((1 - part) * d + part * _normalised(_orthogonal(d)))
        return d

    def _network(
        self,
        arrays: dict[str, torch.Tensor],
        seen: "_Seen",
        features: Any,
        scale: torch.Tensor,
    ) -> torch.Tensor:
        """[outputs, coordinates] of a block; the first is d."""
        bound = (_CLIP / scale)[:, None]
        features = torch.clamp(features, -bound, bound)
        weight = arrays["first_weight"]
        sums = (weight[:, : len(features)] * scale) @ features
        sums += arrays["first_bias"][0 if seen.edges else 1][:, None]
        if seen.edges is not None:
            of_edges = _edge_sums(weight[:, WHOLE + OUTER :], seen.edges)
            sums = (sums.reshape(-1, *seen.g.shape) + of_edges).reshape(len(weight), -1)
        units = torch.relu_(sums)
        units = torch.addmm(arrays["second_bias"][:, None], arrays["second_weight"], units).relu_()
        outputs = torch.addmm(arrays["output_bias"][:, None], arrays["output_weight"], units)
        skip = (arrays["skip_weight"] * scale[:WHOLE]) @ features[:WHOLE]
        return torch.cat([outputs[:1] + skip, outputs[1:]])


class _Edges(NamedTuple):
    """Of the first axis [momenta, first] and the second of a matrix, what is known of each line."""

    first_factors: torch.Tensor
    """1 / √ of the mean squares over the matrix's own."""
    second_factors: torch.Tensor
    first: torch.Tensor
    """The same and the mean squares themselves, scaled and clipped: [features, first]."""
    second: torch.Tensor
    transposed: bool


class _Seen(NamedTuple):
    """What the network sees of a tensor, as matrices [first, second]."""

    g: torch.Tensor
    p: torch.Tensor
    momenta: list[torch.Tensor]
    square: torch.Tensor
    edges: _Edges | None

    def rows(self, block: slice) -> "_Seen":
        """Those lines of the first axis."""
        edges = self.edges
        if edges is not None:
            factors, first = edges.first_factors[:, block], edges.first[:, block]
            edges = edges._replace(first_factors=factors, first=first)
        momenta = [momentum[block] for momentum in self.momenta]
        return _Seen(self.g[block], self.p[block], momenta, self.square[block], edges)


def _blocks(shape: torch.Size) -> list[slice]:
    """Runs of lines, each of few coordinates; all at once where a compiler fuses operations."""
    lines = max(1, BLOCK // max(1, shape[1]))
    if torch.compiler.is_compiling() or lines >= shape[0]:
        return [slice(0, shape[0])]
    return [slice(start, start + lines) for start in range(0, shape[0], lines)]


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
    factors, features = [], []
    for name, means in (("first", squared.mean(1)), ("second", squared.mean(0))):
        for k, decay in enumerate(MOMENTA):
            state[name][k].lerp_(means, 1 - decay)
        relative = state[name] / (state[name].mean(1, keepdim=True) + _TINY)
        factors.append(torch.rsqrt(relative + _RARE))
        features.append(_scaled(torch.cat([relative, factors[-1]])))
    return _Edges(*factors, *features, transposed)


def _features(seen: _Seen, mean: torch.Tensor) -> torch.Tensor:
    """[features, coordinates]: g, θ, m and v, alone, as Adam and as Adafactor have them."""
    unit = torch.rsqrt(mean)
    g, v = seen.g * unit, seen.square / mean
    root = torch.rsqrt(v + _RARE)
    momenta = [momentum * unit for momentum in seen.momenta]
    found = [g, g.clamp(-0.1, 0.1), seen.p, v, root, g * root]
    found += [*momenta, *(momentum * root for momentum in momenta)]
    if seen.edges is not None:
        first, second = seen.edges.first_factors, seen.edges.second_factors
        factors = [first[k][:, None] * second[k] for k in range(len(MOMENTA))]
        found += [g * factor for factor in factors]
        found += [m * factor for m, factor in zip(momenta, factors, strict=True)]
    return torch.stack(found).reshape(len(found), -1)


def _edge_sums(weight: torch.Tensor, edges: _Edges) -> torch.Tensor:
    """[hidden, first, second]: what the first layer makes of rows and columns."""
    of_rows, of_columns = weight.chunk(2, dim=1)
    of_first, of_second = (of_columns, of_rows) if edges.transposed else (of_rows, of_columns)
    return (of_first @ edges.first)[:, :, None] + (of_second @ edges.second)[:, None, :]


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
