"""A rule that has learned nothing goes by its name, in rows and in sentences."""

import dataclasses
import functools

import optax
import pytest

from helpers import lstm
from innerloop import BFGSRule, LBFGSRule, OptaxRule
from innerloop.cli._shown import _outcome
from innerloop.comparison import choose, table
from innerloop.comparison.called import called
from innerloop.report import comparison_page, curves_of
from report.pages import comparison


@pytest.mark.parametrize(
    ("rule", "run", "name"),
    [
        (LBFGSRule(), None, "l-bfgs"),
        (LBFGSRule(power=0.5), None, "scaled-l-bfgs"),
        (BFGSRule(), {}, "bfgs"),
        (BFGSRule(size=3), {}, "learned"),
        (OptaxRule(functools.partial(optax.adam, b1=0.8), 0.1), {}, "adam"),
        (choose(())["adamw-cosine"].rule(0.1), {}, "adamw-cosine"),
        (lstm(), {}, "learned"),
        (LBFGSRule(), {"estimator": {"name": "evolution"}}, "learned"),
        (LBFGSRule(), {"search": {"learns": "rule", "candidate": "curved"}}, "learned"),
        (lstm(), {"search": {"learns": "nothing", "candidate": "muon"}}, "muon"),
    ],
)
def test_a_rule_is_called_learned_only_where_it_learned(rule, run, name):
    assert called(rule, run) == name


def test_rows_and_sentences_have_its_name():
    compared = comparison(problems=4, horizon=4, baselines=("sgd",))
    learned = dataclasses.replace(compared.learned, name="muon")
    found = dataclasses.replace(compared, learned=learned)
    results = found.results()
    page = comparison_page(results, curves_of(found))
    told = (_outcome(found), page["verdict"]["text"], str(page["sections"]))
    assert not any("learned rule" in each for each in told)
    assert "In steps muon is " in told[0] and "In steps Muon is " in told[1]
    assert next(iter(table(found).columns[0].cells)) == "muon"
    assert page["sections"][1]["rows"][0][0] == page["sections"][2]["panel"]["runs"][0]["label"]
    assert "The learned rule" in _outcome(compared) and "name" not in compared.results()["learned"]
