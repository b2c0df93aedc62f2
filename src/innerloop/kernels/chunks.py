"""How large a chunk of a batch goes through a window at a time, to stay in a core's cache.

Other backends than CPUs take all. To be deleted when XLA tiles loops over a batch for CPU caches.
"""

from .backends import on_cpu

CACHED_COORDINATES = 1024
"""Coordinates whose LSTM states and gates stay in a core's own cache."""


def coordinate_chunk(coordinates: int, cached: int | None = None) -> int:
    """How many coordinates to walk back together.

    Args:
        coordinates: How many there are; the chunk need not divide them.
        cached: How many fit into the cache. By default `CACHED_COORDINATES` on a CPU, and all
            elsewhere.
    """
    if cached is None:
        cached = CACHED_COORDINATES if on_cpu() else coordinates
    return min(coordinates, cached)


def problem_chunk(problems: int, coordinates: int, cached: int | None = None) -> int:
    """How many problems to take through a window together.

    On a CPU, 512 quadratics of 10 dimensions at once took a quarter longer than in chunks of 64.

    Args:
        problems: How many there are; the chunk divides them.
        coordinates: How many coordinates each has.
        cached: As in `coordinate_chunk`.
    """
    most = max(1, coordinate_chunk(problems * coordinates, cached) // coordinates)
    return max(size for size in range(1, most + 1) if problems % size == 0)
