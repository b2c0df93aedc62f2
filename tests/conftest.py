"""Everything runs with its shapes and dtypes checked, and on two CPU devices.

INNERLOOP_TEST_DEVICES asks for another number of them.
"""

import itertools
import os
import signal
from pathlib import Path

import jax
import jaxtyping
import pytest

_devices = os.environ.get("INNERLOOP_TEST_DEVICES", "2")
if not _devices.isdecimal() or not 1 <= int(_devices) <= 64:
    raise pytest.UsageError(f"INNERLOOP_TEST_DEVICES is {_devices!r}; it is a number from 1 to 64")
jax.config.update("jax_num_cpu_devices", int(_devices))
# The tests compile much and run little.
jax.config.update("jax_disable_most_optimizations", True)
# Nobody reads where an operation came from in what is compiled.
jax.config.update("jax_traceback_in_locations_limit", 0)

# Before anything of innerloop is imported, so that every function is checked.
jaxtyping.install_import_hook("innerloop", "beartype.beartype")

_MOST_MAPS = 25_000  # Some five gigabytes of programs.
_TESTS_BETWEEN_LOOKS = 50
_finished = itertools.count(1)


def pytest_configure(config):
    # A shell ignores Ctrl-C for commands in the background, and nohup the end of the terminal. The
    # tests send both, and children would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # What is compiled once is there for the other tests, and for the next run.
    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("jax")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def pytest_runtest_teardown():
    from innerloop.runtime.compilation import clear_programs_near_limit

    if next(_finished) % _TESTS_BETWEEN_LOOKS == 0:
        clear_programs_near_limit(_MOST_MAPS)


@pytest.fixture(autouse=True)
def variables_are_put_back():
    """A command that a test runs in this process may set environment variables."""
    before = dict(os.environ)
    yield
    changed = {name for name in before | os.environ if before.get(name) != os.environ.get(name)}
    for name in changed - {"PYTEST_CURRENT_TEST"}:
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def float64():
    """Numbers are float64 unless said otherwise, and rounding is far below any mistake."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def root() -> Path:
    return Path(__file__).parent.parent


@pytest.fixture
def real_data() -> Path:
    """The folder with the real data, or a skip that says how to name it."""
    folder = os.environ.get("INNERLOOP_DATA")
    if not folder:
        pytest.skip("needs real data: set INNERLOOP_DATA to the folder that holds it")
    return Path(folder)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium; a test that asks for it is skipped where there is none."""
    from report.browser import chromium

    with chromium() as driver:
        yield driver
