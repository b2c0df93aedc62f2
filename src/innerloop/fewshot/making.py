"""Backbones and learners from names and settings, as files and commands have them."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import PRNGKeyArray

from .. import registry
from ..errors import InnerloopError
from ..runtime.settings import arguments_of, from_dict, read_arguments
from ._base import MetaLearner, Shape
from .backbones import Backbone

_PLACE = ("side", "channels")  # What a backbone takes besides its settings.


def make_backbone(
    name: str, settings: Mapping[str, Any] | None = None, *, side: int, channels: int
) -> Backbone:
    """The registered backbone of that name.

    Args:
        name: As it is registered: "conv4".
        settings: Those that differ from the defaults.
        side: Height and width of the images, in pixels.
        channels: Channels of the images.

    Returns:
        The backbone. It holds no parameters.

    Raises:
        InnerloopError: There is no such backbone or setting, or a value is out of its range.

    Example:
        >>> from innerloop import fewshot
        >>> fewshot.make_backbone("conv4", {"filters": 64}, side=28, channels=1).width
        64
    """
    cls = registry.find("backbone", name)
    given = dict(settings or {})
    for place in _PLACE:
        if place in given:
            raise InnerloopError(f"{place} is no setting of the backbone {name}.")
    return cls(side=side, channels=channels, **read_arguments(cls, given))


def settings_of_backbone(backbone: Backbone) -> dict[str, Any]:
    """The settings that a backbone was made with."""
    return {name: each for name, each in arguments_of(backbone).items() if name not in _PLACE}


def make_learner(
    method: str,
    shape: Shape,
    backbone: Backbone | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    key: PRNGKeyArray,
) -> MetaLearner:
    """The registered method of that name as an untrained learner.

    Args:
        method: As it is registered: "protonet".
        shape: The episodes and images that it is for.
        backbone: Its network; None for `Conv4` with its defaults.
        settings: Those that differ from the defaults.
        key: Draws the initial arrays.

    Raises:
        InnerloopError: There is no such method or setting, or a value is out of its range.

    Example:
        >>> import jax
        >>> from innerloop import fewshot
        >>> shape = fewshot.Shape(way=5, shot=1, side=28, channels=1, classes=100)
        >>> fewshot.make_learner("maml", shape, key=jax.random.key(0)).inner_steps
        5
    """
    cls = registry.find("method", method)
    if backbone is None:
        backbone = make_backbone("conv4", side=shape.side, channels=shape.channels)
    return cls(shape, backbone, from_dict(cls.Settings, settings or {}), key=key)
