"""How many pixels may be decoded at a time, so that several threads do not exhaust the memory."""

import contextlib
import os
import threading
from collections.abc import Generator
from pathlib import Path

BYTES_PER_PIXEL = 16
"""What a pixel takes while an image is decoded, converted and shrunk."""
_PART = 8  # Decoding may use an eighth of the machine's memory.
_CONTAINER = Path("/sys/fs/cgroup/memory.max")
_UNKNOWN = 4 << 30  # Bytes of memory where the machine does not say.


class PixelBudget:
    """Lets threads take pixels, and makes them wait while too many are taken.

    Args:
        pixels: How many may be taken at a time. Whoever asks for more gets them when nobody else
            has any.
    """

    def __init__(self, pixels: int):
        self.pixels = pixels
        self._taken = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def take(self, pixels: int) -> Generator[None]:
        """Wait until `pixels` pixels are free, and hold them while entered."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + pixels <= self.pixels)
            self._taken += pixels
        try:
            yield
        finally:
            with self._changed:
                self._taken -= pixels
                self._changed.notify_all()


def machine_memory() -> int:
    """The bytes of the machine's memory, or of the container's, where that has less."""
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        there = _UNKNOWN
    try:
        return min(there, int(_CONTAINER.read_text()))
    except (ValueError, OSError):  # "max", or no such file.
        return there


BUDGET = PixelBudget(machine_memory() // _PART // BYTES_PER_PIXEL)
"""That of this process."""
