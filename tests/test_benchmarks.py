"""`make bench` is not part of the tests, but what it times still has to run."""

import importlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop import Quadratic


@pytest.fixture
def benchmark_module(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "benchmarks")
    return importlib.import_module


def test_a_meta_step_of_quadratics(benchmark_module):
    benchmark_module("bench_meta_steps").ours(Quadratic(), 2)()


def test_a_pass_forward_and_its_meta_gradient(benchmark_module):
    for side in benchmark_module("bench_meta_steps").forward_and_backward(2).values():
        side()


def test_a_meta_step_of_episodes(benchmark_module):
    benchmark_module("bench_few_shot").ours("maml", {"steps": 1}, 28, 1, 1, 2)()


def test_growth(benchmark_module):
    growth = benchmark_module("growth")
    for what in growth.COLOURS:
        seconds, needed = growth.measure(what, 1000, 2, 1)
        assert 0 < seconds < math.inf
        assert needed > 0


def test_the_pretrained_celo_takes_the_published_step(benchmark_module, real_data):
    celo = benchmark_module("peers.celo")
    if not (real_data / celo.FILE).is_file():
        pytest.skip(f"needs {celo.FILE} in INNERLOOP_DATA")
    rule = celo.Celo(data_dir=str(real_data)).with_horizon(100)
    assert rule.horizon == 100
    params = {"w": jnp.ones((3, 2)), "b": jnp.zeros(3), "s": jnp.ones(())}
    grads = jax.tree.map(lambda leaf: 0.1 * jnp.ones_like(leaf), params)
    updates, state = rule.update(grads, rule.init(params), params, value=jnp.float32(2.0))
    # At the first step every array is constant: its features over their RMS are their signs.
    weights = {name: each[0] for name, each in rule.weights["ff_mod_stack"]["~"].items()}
    first = sum(weights[f"w0__{place}"].sum(0) for place in range(14)) + weights["b0"]
    hidden = jax.nn.relu(jax.nn.relu(first) @ weights["w1"] + weights["b1"])
    outputs = hidden @ weights["w2"] + weights["b2"]
    alike = jax.tree.map(lambda leaf: float(jnp.ptp(leaf)), updates)
    assert max(alike.values()) < 1e-6
    ratio = float(updates["w"][0, 0]) / float(-0.001 * outputs[0] * jnp.exp(0.001 * outputs[1]))
    assert 0.0 < ratio < 10  # What is left is the scheduler's factor.
    assert state.step == 1
    # A constant loss: nothing in the loss's history says that it falls.
    np.testing.assert_allclose(state.means / (1 - celo_decays(100)), 2.0, rtol=1e-5)


def celo_decays(horizon):
    return np.exp(-1.0 / np.logspace(1, np.log10(horizon), 10))
