"""A task family from data: decay curves, each with 30 noisy measurements.

The arrays are made here. Yours may be in a file: from_arrays(loss, init, "curves.npz").

innerloop train examples/families/from_arrays.py:curves
"""

import jax.numpy as jnp
import numpy as np

from innerloop.tasks import from_arrays

_random = np.random.default_rng(0)
_times = np.tile(np.linspace(0.0, 4.0, 30, dtype=np.float32), (200, 1))
_height, _rate = _random.uniform(0.5, 2.0, (2, 200, 1)).astype(np.float32)
_noise = 0.03 * _random.normal(size=_times.shape).astype(np.float32)
DATA = {"time": _times, "seen": _height * np.exp(-_rate * _times) + _noise}


def init(problem, key):
    return {"height": jnp.ones(()), "log_rate": jnp.zeros(())}


def loss(params, problem):
    decay = jnp.exp(-jnp.exp(params["log_rate"]) * problem["time"])
    return jnp.mean((params["height"] * decay - problem["seen"]) ** 2)


curves = from_arrays(loss, init, DATA)
