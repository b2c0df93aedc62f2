"""Ctrl-C and SIGTERM, answered between two meta-steps, or else by the clock."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from ..errors import InnerloopError

CODE = 130
"""The exit status of a run that was stopped."""


class Interrupted(InnerloopError):
    """A run was stopped by Ctrl-C (or SIGTERM) and has left its checkpoint."""


class Interrupt:
    """While entered, the first SIGINT or SIGTERM sets `asked`; a second one kills as usual.

    Off the main thread, where Python takes no signals, it does nothing.

    What waits for a long computation cannot look at `asked`. So with `within`, in seconds, the
    process is ended after so long, unless `answer` was called first: a thread calls `leave`,
    which saves what there is and says so, prints that to stderr, and exits with `CODE`. That is
    for commands; in a library it would take the caller's process with it.
    """

    def __init__(self, within: float | None = None, leave: Callable[[], str] = lambda: "Stopped."):
        self.asked = False
        self._within = within
        self._leave = leave
        self._former: dict[int, Any] = {}
        self._answering = threading.Lock()
        self._over = threading.Event()
        self._pipe: tuple[int, int] | None = None
        self._former_fd = -1

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._ask)
            if self._within is not None:
                self._pipe = os.pipe()
                os.set_blocking(self._pipe[1], False)
                # Written to as the signal arrives, even while Python waits for XLA.
                self._former_fd = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
                threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for number, handler in self._former.items():
            signal.signal(number, handler)
        if self._pipe is not None:
            signal.set_wakeup_fd(self._former_fd)
            os.close(self._pipe[1])  # Which ends the thread, if it still listens.

    def answer(self) -> None:
        """Whoever looked at `asked` sees to it. Does not return if the clock was faster."""
        if not self._answering.acquire(blocking=False):
            threading.Event().wait()

    def _ask(self, number: int, frame: object) -> None:
        self.asked = True
        signal.signal(number, self._former[number])

    def _watch(self) -> None:
        assert self._pipe is not None and self._within is not None
        arrived = os.read(self._pipe[0], 1)
        os.close(self._pipe[0])
        if not arrived or self._over.wait(self._within):
            return
        if self._answering.acquire(blocking=False):
            try:
                message = self._leave()
            except Exception as error:
                message = str(error)
            print(f"\ninnerloop: {message}", file=sys.stderr, flush=True)
            os._exit(CODE)
