"""How much of a batch to take through a window at once, so that it stays in a core's cache."""

import jax

_CACHED = 1024  # Coordinates whose LSTM states and gates stay in a core's own cache.


def coordinates_at_once(coordinates: int) -> int:
    """How many coordinates to walk back together; they need not divide `coordinates`.

    On a CPU so many as keep what a step works on in a core's own cache. Other backends take all.
    """
    return min(coordinates, _CACHED) if jax.default_backend() == "cpu" else coordinates


def problems_at_once(problems: int, coordinates: int) -> int:
    """How many problems of so many coordinates each to take through a window together.

    It divides `problems`. On a CPU, 512 quadratics of 10 dimensions at once took a quarter longer
    than in groups of 64.
    """
    most = max(1, coordinates_at_once(problems * coordinates) // coordinates)
    return max(size for size in range(1, most + 1) if problems % size == 0)
