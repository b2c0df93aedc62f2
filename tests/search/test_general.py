"""The shipped general rule as a candidate of the search."""

import jax

from helpers import RULES, looked, same
from innerloop import Quadratic
from innerloop.search._base import Scene
from innerloop.search.candidates import general
from innerloop.search.candidates.general import General

LOOK = looked(coordinates=4, horizon=70)


def test_it_enters_where_its_file_is_shipped(monkeypatch):
    monkeypatch.setattr(general, "shipped", lambda: ["general", "lstm-mnist"])
    assert General().suits(LOOK) > 0
    monkeypatch.setattr(general, "shipped", lambda: ["lstm-mnist"])
    assert General().suits(LOOK) == 0


def test_it_is_told_the_horizon_and_its_schedule_is_trained(monkeypatch):
    monkeypatch.setattr(general, "shipped_file", lambda name: name)
    monkeypatch.setattr(general, "load", lambda path: RULES["general"]())
    scene = Scene(Quadratic(2), LOOK, {}, jax.random.key(0))
    rule = General().rule(scene)
    assert int(rule.steps) == 70 and same(rule.general, RULES["general"]())
    assert General().estimator(scene).horizon == 70
