"""The test at the end of a search: who meets how many problems."""

import dataclasses

import numpy as np
import optax
import pytest

from helpers import looked
from innerloop import OptaxRule, Quadratic
from innerloop.search.baselines import Contestant
from innerloop.search.verdict import _rounds, test as put_to_test


def contestants(*names):
    rule = OptaxRule(optax.sgd, 0.01)
    return [Contestant(name, rule, np.ones((2, 1), np.float32)) for name in names]


@pytest.mark.parametrize(
    ("until", "tested", "rounds"),
    [(0.0, 2, 1), (2.5, 3, 1), (9.0, 4, 2), (12.0, 4, 3), (1000.0, 4, 7)],
)
def test_all_meet_equally_many_problems_as_long_as_there_is_time(until, tested, rounds):
    now = [0.0]

    def run(each, number):
        now[0] += 1.0
        grown = np.ones((2, number + 1), np.float32)
        return dataclasses.replace(each, losses=grown)

    found = _rounds(contestants(*"abcd"), run, 7, until, lambda: now[0])
    assert [each.name for each in found] == list("abcd")[:tested]
    assert {each.losses.shape[1] for each in found} == {rounds}


def test_no_problem_is_met_twice(key):
    seconds, most = 1e6, 300
    verdict = put_to_test(
        *contestants("a"),
        contestants("b", "c"),
        Quadratic(3),
        looked(),
        key=key,
        most=most,
        seconds=seconds,
        clock=lambda: 0.0,
    )
    first = verdict.winner.losses[0]
    assert most - 128 < len(np.unique(first)) == len(first) <= most
    for each in verdict.others:
        assert np.array_equal(each.losses[0], first)
