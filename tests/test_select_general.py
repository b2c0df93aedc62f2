"""Choosing among the checkpoints of the general rule's training."""

import importlib
import math
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import RULES, same
from innerloop import InnerloopError
from innerloop.datasets.grey8 import Grey8
from innerloop.runtime.checkpoints import Checkpoints, peek, steps_in

TOOLS = Path(__file__).parent.parent / "tools"


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    yield [importlib.import_module(name) for name in ("select_general", "general_probes")]
    for name in ("select_general", "general_probes"):
        sys.modules.pop(name, None)


def test_a_rule_is_read_from_each_checkpoint_of_a_run_and_nothing_is_changed(tmp_path, tools):
    rule = RULES["general"]()
    rules = {step: jax.tree.map(lambda leaf, n=step: leaf + n, rule) for step in (2, 4)}
    with Checkpoints(tmp_path, keep=5) as checkpoints:
        for step, each in rules.items():
            checkpoints.save(step, (each, {"more": jnp.ones(3)}), wait=True)
    (tmp_path / "6.orbax-checkpoint-tmp-0").mkdir()  # That a run is writing.
    before = sorted(tmp_path.rglob("*"))
    assert steps_in(tmp_path) == [2, 4]
    assert same(peek(tmp_path, 2, rule), rules[2]) and same(peek(tmp_path, 4, rule), rules[4])
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(InnerloopError, match="of another rule"):
        peek(tmp_path, 2, RULES["lstm"]())
    with pytest.raises(InnerloopError, match="Cannot read a checkpoint of meta-step 3"):
        peek(tmp_path, 3, rule)


def test_the_last_half_is_looked_at_evenly_with_the_last(tools):
    select, _ = tools
    assert select.spread(list(range(100, 1100, 100)), 3) == [600, 800, 1000]
    assert select.spread([100], 5) == [100]
    assert select.spread([], 5) == []


def test_a_score_is_the_mean_log_ratio_and_bounded(tools):
    select, _ = tools
    assert select.score([1.0, 4.0], [2.0, 2.0]) == pytest.approx(0.0)
    assert select.score([math.inf], [2.0]) == 3.0 and select.score([0.0], [2.0]) == -3.0


@pytest.mark.slow
def test_probes_begin_at_the_loss_of_a_guess_or_some_nats_above(monkeypatch, tools):
    _, probes = tools
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, 16, 16)).astype(np.uint8)
    data = Grey8(images, np.tile(np.arange(10, dtype=np.uint8), 4))
    monkeypatch.setattr(probes, "load_grey8", lambda source, data_dir, side: data)
    for name, probe in probes.PROBES.items():
        task, key = probe.make(None), jax.random.key(0)
        problem = task.sample(key=key)
        loss = float(task.loss(task.init(problem, key=key), problem, key=key))
        assert 2 < loss < 12, name
