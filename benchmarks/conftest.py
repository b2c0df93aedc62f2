"""Cases that are timed by turns, side by side in one process, and the ratios between them.

Every side of a case is timed in each of a few turns, so that what else the machine does meets
all of them alike. pytest-benchmark times; `ratios.py` compares.
"""

import os

import jax
import pytest
import ratios

from innerloop.runtime.devices import split_cores

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
TURNS = 3
split_cores()


@pytest.fixture(params=range(TURNS), scope="session")
def turn(request):
    """The turn's number."""
    return request.param


@pytest.fixture
def timed(benchmark):
    """`timed(case, side, function, rounds)` times `function()`, which has to wait for its result.

    `per` is how many units of the case's work a call does.
    """

    def measure(case, side, function, *, rounds, per=1):
        benchmark.extra_info.update(case=case, side=side, per=per)
        # Two: the first compiles, the second finds what the first left behind.
        benchmark.pedantic(function, rounds=rounds, warmup_rounds=2)

    return measure


@pytest.fixture
def recorded(request):
    """`recorded(case, side, value)`, for what is no time that pytest-benchmark takes."""

    def record(case, side, value):
        request.config._recorded.setdefault((case, side), []).append(value)

    return record


@pytest.fixture(scope="session")
def made():
    """Sides that were made already: compiled once for all turns."""
    return {}


@pytest.fixture(scope="session")
def torch():
    """PyTorch on as many threads as there are cores; without it its cases are left out."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: no peer to compare with")
    torch.set_num_threads(CORES)
    torch.manual_seed(0)
    return torch


def pytest_configure(config):
    config._recorded = {}


def pytest_sessionfinish(session):
    times = ratios.times_of(session.config._benchmarksession.benchmarks)
    times |= session.config._recorded
    if times:
        session.config._ratios = ratios.write(times, devices=len(jax.devices()))


def pytest_terminal_summary(terminalreporter, config):
    for line in getattr(config, "_ratios", []):
        terminalreporter.write_line(line)
