"""Signals in a library: answered once, never lost, and raised at once the second time."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from innerloop.runtime.interrupts import SIGNALS, Interrupt, Interrupted


@pytest.fixture(params=SIGNALS)
def number(request):
    former = signal.getsignal(request.param)
    yield request.param
    signal.signal(request.param, former)


def ask(number):
    os.kill(os.getpid(), number)


def test_the_first_signal_is_asked_for_and_the_run_goes_on_to_its_next_look(number):
    with pytest.raises(Interrupted, match="saved"), Interrupt() as interrupt:
        assert not interrupt.asked
        ask(number)
        assert interrupt.asked
        raise Interrupted("saved")


def test_the_second_signal_raises_at_once(number):
    with pytest.raises(Interrupted, match="at once"), Interrupt():
        ask(number)
        ask(number)
        pytest.fail("it went on")


def test_a_signal_that_came_too_late_to_be_answered_is_not_lost(number):
    with pytest.raises(Interrupted), Interrupt():
        ask(number)


def test_an_interrupt_is_no_exception_that_a_sweep_would_swallow():
    assert issubclass(Interrupted, KeyboardInterrupt) and not issubclass(Interrupted, Exception)


def test_a_handler_that_was_there_before_gets_the_signal_afterwards(number):
    seen = []
    signal.signal(number, lambda *_: seen.append(interrupt.asked))
    with pytest.raises(Interrupted), Interrupt() as interrupt:
        ask(number)
        assert not seen
        raise Interrupted("saved")
    assert seen == [True]
    with Interrupt() as interrupt:
        ask(number)
    assert seen == [True, True]


def test_a_signal_that_is_ignored_stays_ignored(number):
    signal.signal(number, signal.SIG_IGN)
    with Interrupt() as interrupt:
        ask(number)
        assert not interrupt.asked
    assert signal.getsignal(number) is signal.SIG_IGN


def test_handlers_are_left_as_found(number):
    before = signal.getsignal(number)
    with Interrupt():
        assert signal.getsignal(number) != before
    assert signal.getsignal(number) == before


def test_off_the_main_thread_nothing_happens():
    found = []

    def enter():
        with Interrupt() as interrupt:
            found.append(interrupt.asked)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [False]


COMMAND = """
import signal, time
from innerloop.runtime.interrupts import Interrupt, exit_at_second_signal
exit_at_second_signal()
try:
    with Interrupt():
        print("ready", flush=True)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        while True:
            time.sleep(60)
except KeyboardInterrupt:  # Whichever of the two threads is first, as in `cli.entry`.
    raise SystemExit(130)
"""


def test_a_command_ends_at_the_second_signal_with_status_130():
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        lines = [process.stderr.readline() for _ in range(2)]
        assert "a second time stops at once" in lines[1] and process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
        process.communicate()
