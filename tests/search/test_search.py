"""A search with a tiny budget: what it hands over, what it writes, and how it goes on."""

import dataclasses
import itertools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import innerloop
from innerloop import BASELINES, InnerloopError, Quadratic, SearchSettings
from innerloop.registry import members
from innerloop.report import page_of
from innerloop.report.page import render
from innerloop.search import Candidate, baselines, finalists, find_optimizer
from innerloop.search._base import Scene
from innerloop.search.baselines import Contestant, tune_baselines
from innerloop.search.finalists import last_round
from innerloop.search.halving import choose, rank
from innerloop.search.look import Look
from innerloop.search.report import report_of, sentence
from innerloop.search.score import is_open, log_speedup, may_win, standings
from innerloop.search.training import Training

TINY = {"minutes": 1.0, "horizon": 6, "problems": 8}


def ticking(step):
    """A clock on which everything takes as long as it is asked how late it is."""
    ticks = itertools.count()
    return lambda: step * next(ticks)


def look(**changes):
    told = {
        "coordinates": 4, "shapes": ("(4,)",), "noisy": False, "smooth": True, "positive": True,
        "gradient_seconds": 1e-5, "loss": 1.0, "reached": 0.1, "horizon": 10,
    }  # fmt: skip
    return Look(**{**told, **changes})


def contestant(name, losses, learns="rule"):
    return Contestant(name, innerloop.LBFGSRule(), np.asarray(losses)[:, None], learns)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    settings = SearchSettings(**TINY, candidates=("curved-bfgs", "schedule-adam"))
    told = []
    result = find_optimizer(
        Quadratic(2), settings, out=folder, clock=ticking(0.1), report=told.append
    )
    return folder, result, told


def test_what_is_handed_over_is_as_good_as_every_baseline(searched):
    _, result, _ = searched
    best = result.verdict.winner.losses[-1].mean()
    assert all(best <= 1.01 * each.losses[-1].mean() + 1e-6 for each in result.verdict.others)


def test_the_rule_is_saved_and_is_an_optax_optimizer(searched):
    folder, result, _ = searched
    optimizer = innerloop.load(folder).as_optax()
    params = {"x": np.ones(2, np.float32)}
    loss = jnp.ones(())
    updates, _ = optimizer.update(params, optimizer.init(params), params, value=loss)
    assert jax.tree.leaves(updates)[0].shape == (2,)
    assert innerloop.load(folder).to_settings() == result.rule.to_settings()


def test_everything_that_was_tried_is_written(searched):
    folder, result, told = searched
    results = json.loads((folder / "results.json").read_text())
    assert {"adam", "l-bfgs", "curved-bfgs"} <= set(results["validation"])
    assert results["candidates"]["schedule-adam"]["meta_steps"] > 0
    assert results["best"] == result.name and results["seed"] == 0
    assert result.name in (folder / "report.md").read_text()
    assert any("2 parameters" in each for each in told)


def test_the_page_of_a_search_has_verdict_curves_and_all_that_was_tried(searched):
    folder, result, _ = searched
    page = page_of(folder)
    tested, curves, tried = page["sections"][:3]
    assert result.name in page["verdict"]["text"] and render(page)
    assert curves["series"][0]["colour"] == "c-learned" and curves["x"][-1] == 6
    assert curves["series"][0]["line"][-1] == pytest.approx(
        result.verdict.winner.losses[-1].mean(), rel=1e-3
    )
    assert len(tested["rows"]) == 1 + len(result.verdict.others)
    assert len(tried["rows"]) >= len(result.validation) and len(tested["columns"]) == 4


def test_a_search_without_time_for_a_candidate_says_so(searched):
    _, result, _ = searched
    none = dataclasses.replace(result, candidates={})
    assert "no time to train any of 2 candidates: give the search 10 minutes" in sentence(none)
    assert "before any of 2 candidates" in sentence(dataclasses.replace(none, stopped=True))
    assert "candidates" not in sentence(result)
    assert "its budget was 60 s" in report_of(none)


def test_after_a_stop_one_baseline_is_tuned():
    task, told = Quadratic(2), []
    asked = {"problems": 2, "late": lambda more: False, "stopped": lambda: True}
    key = jax.random.key(0)
    found = tune_baselines(task, look(horizon=3), key=key, **asked, report=told.append)
    assert [each.name for each in found] == ["adam"] and told == ["tuning adam"]


def test_baselines_are_tuned_as_far_as_there_is_time(monkeypatch):
    tried = []

    def run(make, rates, task, *, key, problems, horizon):
        tried.append(len(rates))
        return np.ones((len(rates), 2, problems))

    monkeypatch.setattr(baselines, "runs", run)
    told = []
    asked = {
        "key": jax.random.key(0),
        "problems": 2,
        "stopped": lambda: False,
        "report": told.append,
    }
    tuned = tune_baselines(Quadratic(2), look(horizon=3), late=lambda more: False, **asked)
    assert len(tuned) > 10 and set(tried) == {8}
    tried.clear()
    # Adam's first grid is needed; nothing else is begun.
    (only,) = tune_baselines(Quadratic(2), look(horizon=3), late=lambda more: True, **asked)
    assert only.name == "adam" and tried == [8] and "l-bfgs" in told[-1]
    # Long runs are made one by one. Fine rates leave the time for the next coarse grid, and a
    # baseline whose coarse grid is not finished is left out.
    tried.clear()
    slow = look(horizon=100, gradient_seconds=0.05)  # Ten seconds a run.
    found = tune_baselines(
        Quadratic(2), slow, late=lambda more: 10 * len(tried) + more > 250, **asked
    )
    assert [each.name for each in found] == ["adam", "l-bfgs"]
    assert set(tried) == {1} and 17 + 8 <= len(tried) <= 25


def test_a_folder_with_a_search_is_resumed_or_refused(searched, tmp_path):
    folder = shutil.copytree(searched[0], tmp_path / "search")
    settings = SearchSettings(**TINY, candidates=("curved-bfgs",))
    with pytest.raises(InnerloopError, match="holds a search already"):
        find_optimizer(Quadratic(2), settings, out=folder, clock=ticking(0.5))
    spent = json.loads((folder / "search.json").read_text())["seconds"]
    again = find_optimizer(Quadratic(2), settings, out=folder, resume=True, clock=ticking(0.5))
    assert again.seconds > spent and "schedule-adam" in again.candidates


def test_candidates_are_those_that_suit_as_many_as_have_time():
    assert choose(look(), 1e4)[:3] == ["leap-adam", "leap-bfgs", "multistart-bfgs"]
    assert len(choose(look(), 60.0)) < len(choose(look(), 1e4))
    assert len(choose(look(gradient_seconds=0.5), 600.0)) < len(choose(look(), 600.0))
    noisy = choose(look(noisy=True, coordinates=10**6), 1e4)
    assert "per-tensor-evolution" in noisy and not {"l-bfgs", "ntm-bfgs"} & set(noisy)


def test_one_that_ends_above_the_bar_is_no_winner():
    slow = [1.0, *[0.9] * 18]
    bar, late = contestant("adam", [*slow, 0.1], "nothing"), contestant("late", [*slow, 0.1005])
    early = contestant("early", [1.0, *[0.11] * 19])
    assert standings({"early": early.losses, "late": late.losses, "bar": bar.losses})["early"] < -1
    assert [each.name for each in rank([early, late], [bar])] == ["late", "early"]


def test_a_lead_in_speed_counts_as_much_as_being_close():
    def many(name, losses, learns="rule"):
        return Contestant(name, innerloop.LBFGSRule(), np.outer(losses, np.ones(2)), learns)

    steps = np.arange(21)
    bar = many("adam", 0.1 + 0.9 * np.maximum(0, 1 - steps / 20), "nothing")
    # One is closer at first, the other is there in a third of the steps.
    early = many("early", np.where(steps < 12, np.where(steps > 0, 0.1002, 1.0), 0.09999))
    quick = many("quick", np.where(steps < 4, 0.5, 0.09999))
    prices = {"adam": 1.0, "early": 1.0, "quick": 1.0}
    assert next(each.name for each in rank([early, quick, bar], [bar], prices)) == "quick"
    dear = {**prices, "quick": 400.0}
    assert next(each.name for each in rank([early, quick, bar], [bar], dear)) == "early"


def test_the_logarithm_of_a_speed_up_is_that_in_steps_and_in_seconds():
    slow = np.outer(1 - np.arange(21) / 20, np.ones(3))
    fast = np.outer(np.maximum(0, 1 - np.arange(21) / 5), np.ones(3))
    assert log_speedup(fast, slow, 1.0) == pytest.approx(np.log10(4))
    assert log_speedup(fast, slow, 16.0) == pytest.approx(0.0)
    assert log_speedup(slow, fast, 1.0) == pytest.approx(-np.log10(4))
    assert log_speedup(np.full((21, 3), np.nan), slow, 1.0) == 0.0


def test_a_dear_step_counts_against_an_optimizer():
    quick = {"one": np.asarray([[1.0], [0.5], [0.2], [0.1]]), "other": np.asarray([[1.0]] * 4)}
    found = standings({**quick, "twin": quick["one"]}, {"one": 1.0, "other": 1.0, "twin": 3.0})
    assert found["one"] < found["twin"] < found["other"]


def test_an_offset_of_the_loss_allows_no_more_room():
    def ends(first, last):
        return np.asarray([[first], [last]])

    assert may_win(ends(10.0, 1.005), ends(10.0, 1.0))
    assert not may_win(ends(10.0, 1.02), ends(10.0, 1.0))
    assert not may_win(ends(5.3, 5.005), ends(5.3, 5.0))


def test_it_is_open_who_is_best_where_a_few_problems_decide():
    few_fail = np.stack([np.full(64, 1.0), np.where(np.arange(64) < 2, 0.5, 0.001)])
    steady = np.stack([np.full(64, 1.0), np.full(64, 0.017)])
    assert is_open([few_fail, steady])
    assert not is_open([few_fail, steady + 0.2])
    assert not is_open([steady, steady * 1.001])


def test_more_problems_are_met_while_it_is_open_who_is_best(monkeypatch):
    adam = BASELINES["adam"].rule(0.1)
    curves = np.stack([np.full(4, 1.0), np.full(4, 0.5)])
    ranked = [Contestant(name, adam, curves) for name in ("one", "two")]
    monkeypatch.setattr(finalists, "is_open", lambda curves: curves[0].shape[1] < 24)

    def after(seconds):
        told = {"key": jax.random.key(0), "budget": 100.0, "left": lambda: seconds}
        return last_round(ranked, Quadratic(2), look(horizon=1), **told)[0].losses.shape[1]

    assert after(50.0) == 24
    assert after(5.0) == 16  # As many rounds as usual, and then the test.
    assert after(3.0) == after(0.0) == 4


def test_a_round_that_would_take_too_long_is_not_begun():
    adam = BASELINES["adam"].rule(0.1)
    ranked = [Contestant(name, adam, np.ones((2, 4))) for name in ("one", "two")]
    slow = look(horizon=1, gradient_seconds=1.0)  # Eight seconds a round.
    told = {"key": jax.random.key(0), "budget": 100.0}
    found = last_round(ranked, Quadratic(2), slow, **told, left=lambda: 11.0)
    assert found[0].losses.shape == (2, 4)


def test_an_unknown_candidate_is_refused():
    with pytest.raises(InnerloopError, match="no candidate 'start-adams'"):
        SearchSettings(candidates=("start-adams",))


def test_a_candidate_of_ones_own_is_one_class():
    assert issubclass(Candidate, object) and Candidate.registry_kind == "candidate"


@pytest.mark.slow
def test_a_search_of_a_minute_beats_adam():
    result = find_optimizer(Quadratic(10), SearchSettings(minutes=1.0))
    assert result.verdict.speedup is not None and result.verdict.speedup.steps.low > 1
    assert result.seconds < 90


def test_who_is_judged_has_been_trained_however_long_it_took_to_compile():
    scene = Scene(Quadratic(2), look(coordinates=2, horizon=4), {"adam": 0.1}, jax.random.key(0))
    training = Training(members("candidate")["schedule-adam"](), scene)
    training.advance(15.0, lambda: False, ticking(20.0))
    assert training.steps == 2
    before = training.rule
    training.advance(60.0, lambda: False, ticking(10.0), cool=True)
    assert training.steps > 4 and not bool(jnp.all(training.rule.log_rates == before.log_rates))
