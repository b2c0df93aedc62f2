"""Lengths of truncated runs."""

from ...errors import SettingsError


def check_truncation(horizon: int, truncation: int, shortest: int | None) -> None:
    """Raise SettingsError unless a run of any allowed length holds whole truncations.

    Args:
        horizon: The steps of the longest run.
        truncation: The steps of one truncation.
        shortest: The setting `min_horizon`: the steps of the shortest run; None for `horizon`.
    """
    if horizon % truncation:
        raise SettingsError("truncation", truncation, f"a divisor of the horizon, {horizon}")
    if not truncation <= (horizon if shortest is None else shortest) <= horizon:
        accepted = f"from the truncation, {truncation}, to the horizon, {horizon}"
        raise SettingsError("min_horizon", shortest, accepted)
