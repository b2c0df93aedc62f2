"""How the rules that are networks are trained: through windows of their runs."""

from ...metatrain import TruncatedBackprop
from .._base import Scene, batch_size, divisor, objective

_MOST = 4000
"""Coordinates of a problem, above which a sample of each array's is gone back through."""


def by_windows(scene: Scene, *, second_order: bool) -> TruncatedBackprop:
    """Windows of 20 steps, with the log objective where losses are positive."""
    look = scene.look
    sampled = 1000 if look.coordinates > _MOST and not second_order else None
    return TruncatedBackprop(
        meta_batch_size=batch_size(look, most=64),
        horizon=look.horizon,
        truncation=divisor(look.horizon, 20),
        objective=objective(look),
        second_order=second_order,
        coordinates=sampled,
    )
