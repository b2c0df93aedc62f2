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
LARGEST = 1e15
_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
BLOCK = 32768
"""Coordinates that go through the network together, about.

Their features fit a processor's cache, and are enough that the calls cost little beside the work.
"""
_ON_DEVICES = 64
"""So many times as many coordinates go together on a GPU, where each call starts a kernel."""
_ORDER = (0, 6, 7, 8, 5, 9, 10, 11, 1, 2, 3, 4, *range(WHOLE, WHOLE + OUTER))
"""The features of the JAX rule, as they stand here: alike ones are together."""


class _View(NamedTuple):
    """How a tensor is seen: as [first, second], in the order of its memory; a vector as [n, 1]."""

    first: int
    second: int
    is_matrix: bool
    transposed: bool = False
    """Whether the JAX rule's rows are its second axis."""
    moved: int = 0
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
        arrays = {name: array.float() for name, array in arrays.items()}
        super().__init__(settings, {**arrays, **_first_layer(arrays)})
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

        view, count = _view(param.shape, outputs_first), len(MOMENTA)
        sides = (view.first, view.second)
        state = {"momenta": zeros(count, *sides), "square": zeros(*sides)}
        if view.is_matrix:
            state |= {"first": zeros(count, view.first), "second": zeros(count, view.second)}
        return {**state, "unit": _unit(everything, param.device)}

    def update(self, leaves: list[Leaf]) -> list[torch.Tensor]:
        return [self._leaf(leaf) if leaf.grad.numel() else leaf.grad for leaf in leaves]

    def _leaf(self, leaf: Leaf) -> torch.Tensor:
        """The step of one tensor; its averages move on."""
        arrays, state = self.arrays(leaf.grad.device), leaf.state
        view = _view(leaf.grad.shape, leaf.outputs_first)
        g = view.of(leaf.grad.clamp(-LARGEST, LARGEST))
        p = view.of(leaf.param.float())
        lines = _lines(g)
        means = _move_on(state, g, lines)
        edges = _edges(arrays, state, means, view)
        blocks = _blocks((g, p, state["square"]), state["momenta"], edges, lines)
        d = self._direction(arrays, blocks, g, state["square"].mean() + _TINY)
        size = torch.maximum(_rms(p), _FLOOR * state["unit"])
        rate = torch.exp(arrays["log_step"][0 if view.is_matrix else 1])
        return view.back(d.mul_(-self.learning_rate * rate * size / _rms(d)), leaf.grad.shape)

    def _direction(
        self,
        arrays: dict[str, torch.Tensor],
        blocks: list["_Block"],
        g: torch.Tensor,
        mean: torch.Tensor,
    ) -> torch.Tensor:
        """d in the place of g; block by block, so that features stay in a processor's cache."""
        work = _work(self.settings, blocks)
        features, total = g, 0.0
        for block in blocks:
            features = _features(block, mean, work[block.g.shape])
            total = total + torch.linalg.vector_norm(features, dim=1).square()
        scale = torch.rsqrt(total / g.numel() + _TINY)[:, None]  # Each feature over its own RMS.
        gate: Any = 0
        for block in blocks:
            own = work[block.g.shape]
            if len(blocks) > 1:
                features = _features(block, mean, own)
            features = features.mul_(scale).clamp_(-_CLIP, _CLIP)
            outputs = self._network(arrays, block, features, own)
            block.g.copy_(outputs[0])
            if self.orthogonalise:
                gate = gate + outputs[1].sum()
        if self.orthogonalise and blocks[0].edges.factors is not None:
            part = torch.sigmoid(gate / g.numel())
            d = _normalised(g)
            return (1 - part) * d + part * _normalised(_orthogonal(d))
        return g

    def _network(
        self,
        arrays: dict[str, torch.Tensor],
        block: "_Block",
        features: torch.Tensor,
        work: "_Work | None",
    ) -> torch.Tensor:
        """[outputs, lines, second] of a block; the first is d."""
        hidden = self.settings["hidden"]
        sums = torch.add(*block.edges.sums, out=work and work.sums.view(-1, *block.g.shape))
        sums = sums.flatten(1).addmm_(arrays["weight"][:, : len(features)], features)
        units, outputs = sums[:hidden].relu_(), sums[hidden:]
        bias = arrays["second_bias"][:, None]
        units = torch.addmm(bias, arrays["second_weight"], units, out=work and work.units).relu_()
        return outputs.addmm_(arrays["output_weight"], units).view(-1, *block.g.shape)


class _Edges(NamedTuple):
    """What is known of each line of the first axis, and of the second."""

    factors: tuple[torch.Tensor, torch.Tensor] | None
    """1 / √ of their mean squares, [momenta, first, 1] and [momenta, 1, second]; for a matrix."""
    sums: tuple[torch.Tensor, torch.Tensor]
    """What the first layer makes of them, [hidden + outputs, first, 1] and [..., 1, second]."""

    def lines(self, run: slice) -> "_Edges":
        factors, sums = self.factors, (self.sums[0][:, run], self.sums[1])
        return _Edges(factors and (factors[0][:, run], factors[1]), sums)


class _Block(NamedTuple):
    """Some lines of a tensor, which is seen as the matrix [first, second]."""

    g: torch.Tensor
    p: torch.Tensor
    square: torch.Tensor
    momenta: torch.Tensor
    edges: _Edges


class _Work(NamedTuple):
    """Memory that all blocks use in turn: calls that allocate are slow, and so are cold pages."""

    features: torch.Tensor
    """[features, coordinates], and parts of it as [features, lines, second]:"""
    raw: torch.Tensor
    """g and m."""
    adam: torch.Tensor
    """The same over √v."""
    small: torch.Tensor
    p: torch.Tensor
    v: torch.Tensor
    root: torch.Tensor
    """1 / √v."""
    factored: torch.Tensor
    """g over Adafactor's √v."""
    adafactor: torch.Tensor
    """m over Adafactor's √v."""
    sums: torch.Tensor
    """[hidden + outputs, coordinates]"""
    units: torch.Tensor
    """[hidden, coordinates], in the place of the features, which are no longer needed then."""


def _work(settings: dict[str, Any], blocks: list[_Block]) -> dict[torch.Size, Any]:
    """By the shapes of blocks, of which the first is the largest; compilers need no such memory."""
    if torch.compiler.is_compiling():
        return dict.fromkeys((block.g.shape for block in blocks), None)
    hidden, outputs = settings["hidden"], 1 + settings["orthogonalise"]
    features = WHOLE if blocks[0].edges.factors is None else WHOLE + OUTER
    wide = max(features, hidden)
    memory = blocks[0].g.new_empty(wide + hidden + outputs, blocks[0].g.numel())
    work = {}
    for shape in {block.g.shape for block in blocks}:
        own = memory[:, : shape.numel()]
        found = own[:features].view(-1, *shape)
        parts = (found[:4], found[4:8], *found[8:12], found[12:15], found[15:])
        work[shape] = _Work(own[:features], *parts, own[wide:], own[:hidden])
    return work


def _lines(g: torch.Tensor) -> int:
    """Lines of a block; all of them where a compiler fuses operations."""
    if torch.compiler.is_compiling():
        return len(g)
    size = BLOCK if g.device.type == "cpu" else _ON_DEVICES * BLOCK
    return min(len(g), max(1, size // g.shape[1]))


def _move_on(
    state: dict[str, torch.Tensor], g: torch.Tensor, lines: int
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The averages of g and its square; the square's means over both axes, for a matrix."""
    first, second = g.new_empty(len(g)), g.new_zeros(g.shape[1])
    squares = torch.empty_like(g[:lines])
    parts = (g.split(lines), state["square"].split(lines), state["momenta"].split(lines, 1))
    for part, square, momenta, of_lines in zip(*parts, first.split(lines), strict=True):
        for momentum, decay in zip(momenta, MOMENTA, strict=True):
            momentum.lerp_(part, 1 - decay)
        now = torch.mul(part, part, out=squares[: len(part)])
        square.lerp_(now, 1 - SQUARE)
        if "first" in state:
            torch.sum(now, 1, out=of_lines)
            second += now.sum(0)
    return (first / g.shape[1], second / len(g)) if "first" in state else None


def _blocks(
    arrays: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    momenta: torch.Tensor,
    edges: _Edges,
    lines: int,
) -> list[_Block]:
    """Runs of lines, each of few coordinates."""
    parts = zip(*(array.split(lines) for array in arrays), momenta.split(lines, 1), strict=True)
    return [
        _Block(*part, edges.lines(slice(number * lines, (number + 1) * lines)))
        for number, part in enumerate(parts)
    ]


def _first_layer(arrays: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The first layer with the skip path and the last bias as further sums of it."""
    weight, skip, bias = arrays["first_weight"], arrays["skip_weight"], arrays["output_bias"]
    past = weight.new_zeros(len(bias), weight.shape[1])
    past[0, :WHOLE] = skip
    weight = torch.cat([weight, past])
    return {
        "weight": weight[:, list(_ORDER)],
        "edge_weight": weight[:, WHOLE + OUTER :],
        "bias": torch.cat([arrays["first_bias"], bias.expand(2, -1)], 1),
    }


def view_of(leaf: Leaf, tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of a leaf's shape as the leaf's averages are seen."""
    return _view(leaf.grad.shape, leaf.outputs_first).of(tensor)


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


def _view(shape: tuple[int, ...], outputs_first: bool) -> _View:
    """How a tensor is seen; one with a single row or column is a vector."""
    there = _as_in_jax(shape, outputs_first)
    rows, columns = _sides(there)
    if min(rows, columns) <= 1:
        return _View(rows * columns, 1, False)
    if not outputs_first:
        return _View(rows, columns, True)
    if columns == there[-1]:
        return _View(columns, rows, True, transposed=True)
    return _View(rows, columns, True, moved=2)


def _unit(everything: list[torch.Tensor], device: torch.device) -> torch.Tensor:
    """The RMS of all parameters together."""
    total = sum(
        (param.float().square().sum().to(device) for param in everything),
        torch.zeros((), device=device),
    )
    unit = torch.sqrt(total / max(1, sum(param.numel() for param in everything)))
    return torch.where(unit > 0, unit, _NO_UNIT)


def _edges(
    arrays: dict[str, torch.Tensor],
    state: dict[str, torch.Tensor],
    means: tuple[torch.Tensor, torch.Tensor] | None,
    view: _View,
) -> _Edges:
    """After the averages of a matrix have moved on by these means."""
    bias = arrays["bias"][0 if view.is_matrix else 1][:, None, None]
    if means is None:
        return _Edges(None, (bias.expand(-1, view.first, 1), torch.zeros_like(bias)))
    weights = arrays["edge_weight"].chunk(2, dim=1)
    factors, sums = [], []
    for axis, name in enumerate(("first", "second")):
        for average, decay in zip(state[name], MOMENTA, strict=True):
            average.lerp_(means[axis], 1 - decay)
        relative = state[name] / (state[name].mean(1, keepdim=True) + _TINY)
        factor = torch.rsqrt(relative + _RARE)
        weight = weights[1 - axis if view.transposed else axis]
        factors.append(factor.unsqueeze(2 - axis))
        sums.append((weight @ _scaled(torch.cat([relative, factor]))).unsqueeze(2 - axis))
    return _Edges((factors[0], factors[1]), (sums[0] + bias, sums[1]))


def _features(block: _Block, mean: torch.Tensor, work: _Work | None) -> torch.Tensor:
    """[features, coordinates]: g, θ, m and v, alone, as Adam and as Adafactor have them."""
    unit = torch.rsqrt(mean)
    if work is None:
        return _compiled_features(block, mean, unit)
    torch.mul(block.g, unit, out=work.raw[0])
    torch.mul(block.momenta, unit, out=work.raw[1:])
    torch.clamp(work.raw[0], -0.1, 0.1, out=work.small)
    work.p.copy_(block.p)
    torch.div(block.square, mean, out=work.v)
    root = torch.add(work.v, _RARE, out=work.root).rsqrt_()
    torch.mul(work.raw, root, out=work.adam)
    if block.edges.factors is not None:
        factors = torch.mul(*block.edges.factors, out=work.factored)
        torch.mul(work.raw[1:], factors, out=work.adafactor)
        factors.mul_(work.raw[0])
    return work.features


def _compiled_features(block: _Block, mean: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """The same without memory of one's own, which keeps compilers from fusing operations."""
    raw, v = torch.cat([block.g[None], block.momenta]) * unit, block.square / mean
    root = torch.rsqrt(v + _RARE)
    found = [raw, raw * root, torch.stack([raw[0].clamp(-0.1, 0.1), block.p, v, root])]
    if block.edges.factors is not None:
        factors = torch.mul(*block.edges.factors)
        found += [raw[0] * factors, raw[1:] * factors]
    return torch.cat(found).flatten(1)


def _scaled(features: torch.Tensor) -> torch.Tensor:
    """Each feature over its own RMS in the tensor, clipped."""
    axes = tuple(range(1, features.ndim))
    mean = features.square().mean(axes, keepdim=True)
    return features.mul_(torch.rsqrt(mean + _TINY)).clamp_(-_CLIP, _CLIP)


def _rms(tensor: torch.Tensor) -> torch.Tensor:
    return torch.sqrt(torch.linalg.vector_norm(tensor).square() / tensor.numel() + _TINY)


def _normalised(tensor: torch.Tensor) -> torch.Tensor:
    return tensor / _rms(tensor)


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
