"""No reader crashes, hangs, warns, or accepts what is not as it says it is."""

import datetime

import pytest
from hypothesis import HealthCheck, given, settings

from fuzz.readers import BUDGET, READERS

FEW = 25
LONGEST = datetime.timedelta(seconds=10)


def fed(name, inputs):
    strategy, check = READERS[name]

    @settings(
        max_examples=inputs,
        derandomize=True,
        database=None,
        deadline=LONGEST,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(content):
        check(content)

    each()


@pytest.mark.parametrize("name", READERS)
def test_a_few_inputs_are_read_rightly_or_refused(name):
    fed(name, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_inputs_are_read_rightly_or_refused(name):
    fed(name, BUDGET[name])


def test_there_are_a_hundred_thousand_inputs():
    assert BUDGET.keys() == READERS.keys() and sum(BUDGET.values()) >= 100_000
