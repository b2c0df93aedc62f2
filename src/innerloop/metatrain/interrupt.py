"""Ctrl-C, answered between two meta-steps and not in the middle of one."""

import signal
import threading
from typing import Any

from ..errors import InnerloopError


class Interrupted(InnerloopError):
    """A run was stopped by Ctrl-C (or SIGTERM) and has left its checkpoint."""


class Interrupt:
    """While entered, the first SIGINT or SIGTERM sets `asked`; a second one kills as usual.

    Off the main thread, where Python takes no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: object) -> None:
        self.asked = True
        signal.signal(number, self._former[number])
