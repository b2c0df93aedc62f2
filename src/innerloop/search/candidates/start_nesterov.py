"""A learned initialisation, and Nesterov with a learned schedule."""

from ...registry import register
from ...rules import Rule
from .._base import Scene
from ..look import Look
from ._scheduled import can_go_back, started
from .start_adam import StartAdam


@register("start-nesterov")
class StartNesterov(StartAdam):
    """A learned initialisation, and learned rates of Nesterov for each step and coordinate."""

    def suits(self, look: Look) -> float:
        return 3.0 if can_go_back(look) else 0.0

    def rule(self, scene: Scene) -> Rule:
        return started(scene, "nesterov", "coordinate")
