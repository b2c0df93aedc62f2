"""Ctrl-C, SIGTERM and SIGHUP: the first is answered between two meta-steps, the second at once."""

import os
import signal
import sys
import threading
from typing import Any

STATUS = 130
"""The exit status of a command that was stopped."""
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupted(KeyboardInterrupt):
    """A run was stopped by a signal. It has left its checkpoint, if it keeps any."""


class Interrupt:
    """While entered, the first signal sets `asked`, and a second one raises `Interrupted`.

    Whoever enters looks at `asked` between two steps, and raises `Interrupted` after it has saved
    what there is. On leaving, a signal that was asked for is passed on to the handler that was
    there before, if a program has set one. Signals that are ignored, as under nohup, stay ignored.
    Off the main thread, where Python takes no signals, nothing happens.
    """

    def __init__(self):
        self.asked = False
        self._number: int | None = None
        self._former: dict[int, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                former = signal.getsignal(number)
                if former not in (signal.SIG_IGN, None):
                    self._former[number] = former
                    signal.signal(number, self._ask)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        if self._number is None:
            return
        former = self._former[self._number]
        if callable(former) and former is not signal.default_int_handler:
            signal.raise_signal(self._number)
        elif kind is None:
            raise Interrupted("Stopped.")

    def _ask(self, number: int, frame: object) -> None:
        if self.asked:
            raise Interrupted("Stopped at once, with the last checkpoint.")
        self.asked, self._number = True, number


def exit_at_second_signal() -> None:
    """End the process at the second signal, whatever it is doing.

    For commands alone: Python itself takes no signal while XLA computes. Must be called from the
    main thread.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()


def _watch(reader: int) -> None:
    """Count the signals, whose numbers Python writes to the pipe as they arrive."""
    seen = 0
    while received := os.read(reader, 1):
        if received[0] not in SIGNALS or _ignored(received[0]):
            continue
        seen += 1
        if seen == 2:
            print("innerloop: stopped at once.", file=sys.stderr, flush=True)
            os._exit(STATUS)
        print("\ninnerloop: stopping; a second time stops at once.", file=sys.stderr, flush=True)


def _ignored(number: int) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN
