"""Everything runs with its shapes and dtypes checked, and on two CPU devices."""

import os
from pathlib import Path

import jax
import jaxtyping
import pytest

jax.config.update("jax_num_cpu_devices", 2)
# The tests compile much and run little.
jax.config.update("jax_disable_most_optimizations", True)

# Before anything of innerloop is imported, so that every function is checked.
jaxtyping.install_import_hook("innerloop", "beartype.beartype")


@pytest.fixture
def key():
    return jax.random.key(0)


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
