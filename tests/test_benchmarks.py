"""`make bench` is not part of the tests, but what it times still has to run."""

import importlib
import math

import pytest

from innerloop import Quadratic


@pytest.fixture
def benchmark_module(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "benchmarks")
    return importlib.import_module


def test_a_meta_step_of_quadratics(benchmark_module):
    benchmark_module("bench_meta_steps").ours(Quadratic(), 2)()


def test_a_meta_step_of_episodes(benchmark_module):
    benchmark_module("bench_few_shot").ours("maml", {"steps": 1}, 28, 1, 1, 2)()


def test_growth(benchmark_module):
    growth = benchmark_module("growth")
    for what in growth.COLOURS:
        seconds, needed = growth.measure(what, 1000, 2, 1)
        assert 0 < seconds < math.inf
        assert needed > 0
