"""Command lines in processes of their own, with something wrong in them or not."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).with_name("faults.py")


@pytest.fixture(scope="session")
def environment(pytestconfig):
    """Programs are compiled as they are for users, once for all processes.

    Not as the Makefile asks of the tests themselves: here weights are compared bit for bit.
    """
    cache = str(pytestconfig.cache.mkdir("jax-commands"))
    kept = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    return {
        **kept,
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "PYTHONFAULTHANDLER": "1",  # What is aborted says where it was.
    }


@pytest.fixture
def start(environment, tmp_path):
    """Start a command line, with a fault of faults.py in it, in the test's own folder."""
    started = []

    def go(*words, fault="none"):
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), fault, *map(str, words)],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield go
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def images(tmp_path):
    """Twelve classes of small pictures, as few-shot learning takes them."""
    numbers = np.random.default_rng(0)
    for kind in range(12):
        folder = tmp_path / "images" / f"class{kind}"
        folder.mkdir(parents=True)
        for number in range(4):
            pixels = numbers.integers(0, 256, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "images"
