"""What a rule is in PyTorch: φ as tensors, and the state and the steps of a list of tensors."""

import abc
from typing import Any, ClassVar, NamedTuple

import torch

Shapes = dict[str, tuple[int, ...]]
Layouts = dict[str, tuple[tuple[int, ...], str]]


class Leaf(NamedTuple):
    """A tensor of parameters at one step."""

    param: torch.Tensor
    grad: torch.Tensor
    """In the rule's dtype."""
    state: dict[str, torch.Tensor]
    """Changed in place by the rule, but for `step`, the number of steps with this one."""
    outputs_first: bool
    """Whether the first axis is that of the outputs, as in `torch.nn.Linear`, or else the last."""


class TorchRule(abc.ABC):
    """A rule with its weights; the same mathematics as the JAX class of the same name.

    Args:
        settings: Those of the JAX class's constructor.
        arrays: φ, by the names of the JAX class's leaves; float32 or float64.
    """

    name: ClassVar[str]
    defaults: ClassVar[dict[str, Any]]
    """Every setting, with the value that it has where a file has none."""
    steps: int = 0
    """The length of the run, for rules that have a schedule over it; 0 where it is not known."""

    def __init__(self, settings: dict[str, Any], arrays: dict[str, torch.Tensor]):
        self.settings = self.read(settings)
        self.dtype = next(iter(arrays.values())).dtype
        self._arrays = {torch.device("cpu"): arrays}

    @classmethod
    def read(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """All settings. Raises ValueError for one that is unknown, or of another type or range."""
        for name, value in settings.items():
            if name not in cls.defaults or not _fits(value, cls.defaults[name]):
                raise ValueError(f"{name} is {value!r}")
        return {**cls.defaults, **settings}

    @classmethod
    @abc.abstractmethod
    def shapes(cls, settings: dict[str, Any]) -> Shapes:
        """The shape of each array of φ, from all settings."""

    @classmethod
    def layouts(cls, settings: dict[str, Any]) -> Layouts:
        """The shape and the dtype of each array in a file; uint32 is the bits of a float32."""
        return {name: (shape, "float32") for name, shape in cls.shapes(settings).items()}

    @abc.abstractmethod
    def init(
        self, param: torch.Tensor, outputs_first: bool, everything: list[torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """The state of one tensor; `everything` is all parameters of the rule."""

    @abc.abstractmethod
    def update(self, leaves: list[Leaf]) -> list[torch.Tensor]:
        """One step for each tensor, in the rule's dtype; the states move on."""

    def arrays(self, device: torch.device) -> dict[str, torch.Tensor]:
        """φ on a device."""
        if device not in self._arrays:
            cpu = self._arrays[torch.device("cpu")]
            self._arrays[device] = {name: array.to(device) for name, array in cpu.items()}
        return self._arrays[device]


def _fits(value: Any, default: Any) -> bool:
    """Whether a setting could have this value, where it could have `default`."""
    if isinstance(default, bool) or default is None:
        return type(value) is type(default) or value == "bfloat16"
    if isinstance(default, float) and value is None:  # Gradients that are not preprocessed.
        return default > 1
    return type(value) in {int, type(default)} and value >= 0
