"""The machinery of a benchmark, on toy tasks of a few parameters."""

import dataclasses
import json
import shutil
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop
from innerloop import registry
from innerloop.benchmark import (
    BenchmarkSettings,
    Scaled,
    measuring,
    run_benchmark,
    suites as suites_module,
)
from innerloop.benchmark.cells import Cells
from innerloop.benchmark.entrants import Entrant, digest, entrants_of
from innerloop.benchmark.measuring import Entry, measure
from innerloop.benchmark.profiles import data_profile, performance_profile, solved_at
from innerloop.benchmark.scores import smoothed, speedup_over
from innerloop.benchmark.suites import SUITES, suite_of
from innerloop.benchmark.velodrome import Envelope, load_envelopes, smooth, steps_needed
from innerloop.cli import main
from innerloop.errors import InnerloopError
from innerloop.runtime.interrupts import Interrupted

SMALL = BenchmarkSettings(
    horizons=(8,),
    seeds=3,
    untuned_baselines=("adam-1e-3",),
    tuned_baselines=("adam",),
    validation_problems=1,
)


class Bowl(innerloop.TaskFamily):
    """‖θ − centre‖² in two dimensions, seen with noise."""

    noise: float = 0.0

    def sample(self, *, key):
        return jax.random.normal(key, (2,))

    def init(self, problem, *, key):
        return jnp.zeros(2)

    def loss(self, params, problem, *, key):
        noise = self.noise * jax.random.normal(key, (2,))
        return jnp.sum((params - problem - noise) ** 2)


def bowls(*names):
    return tuple(Entry(name, name, Bowl) for name in names)


def sgd(rate=0.1):
    return innerloop.OptaxRule(optax.sgd, rate)


@pytest.fixture
def toy(monkeypatch):
    """The suite zoo with two toy tasks."""
    return dataclasses.replace(SUITES["zoo"], entries=lambda data_dir: bowls("one", "two"))


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """A benchmark of one rule, and its folder."""
    folder = tmp_path_factory.mktemp("benchmark")
    suite = dataclasses.replace(SUITES["zoo"], entries=lambda data_dir: bowls("one", "two"))
    return run_benchmark({"sgd": sgd()}, suite, SMALL, folder), folder


def without_seconds(results):
    return json.loads(json.dumps({**results, "seconds": 0}))


def test_both_tables_hold_their_own_and_are_written(first_run):
    results, folder = first_run
    assert set(results["tables"]["untouched"]["8"]) == {"sgd", "adam-1e-3"}
    assert set(results["tables"]["tuned"]["8"]) == {"sgd", "adam"}
    assert json.loads((folder / "results.json").read_text()) == json.loads(json.dumps(results))
    report = (folder / "report.md").read_text()
    assert report.index("## Untouched") < report.index("## One scalar tuned")
    assert (folder / "benchmark.png").read_bytes().startswith(b"\x89PNG")


def test_adam_against_itself_has_a_speedup_of_1_within_its_interval(first_run):
    adam = first_run[0]["tables"]["tuned"]["8"]["adam"]
    for row in adam["tasks"].values():
        steps = row["speedup"]["steps"]
        assert steps["low"] <= 1 <= steps["high"] and abs(steps["value"] - 1) < 1e-3
    assert adam["speedup"]["steps"]["verdict"] == "level"


def test_a_tuned_factor_is_no_worse_than_none(first_run):
    tables = first_run[0]["tables"]
    for task in ("one", "two"):
        tuned = tables["tuned"]["8"]["sgd"]["tasks"][task]
        untouched = tables["untouched"]["8"]["sgd"]["tasks"][task]
        assert untouched["scalar"] is None and tuned["scalar"] > 1
        assert tuned["final"] < untouched["final"]


def test_programs_are_let_go_between_tasks(first_run, tmp_path, toy, monkeypatch):
    folder, asked = shutil.copytree(first_run[1], tmp_path / "run"), []
    monkeypatch.setattr(measuring, "clear_programs_near_limit", lambda: asked.append(True))
    run_benchmark({"sgd": sgd()}, toy, SMALL, folder)
    assert len(asked) == 2


def test_what_was_killed_goes_on_and_gives_the_same(first_run, tmp_path, toy, monkeypatch):
    done = []
    run = Entrant.run

    def killed(self, *arguments, **more):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(self.name)
        return run(self, *arguments, **more)

    monkeypatch.setattr(Entrant, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark({"sgd": sgd()}, toy, SMALL, tmp_path)
    assert len(list((tmp_path / "cells").glob("*.npy"))) == 5
    again = []
    monkeypatch.setattr(Entrant, "run", lambda *a, **k: again.append(a[0].name) or run(*a, **k))
    results = run_benchmark({"sgd": sgd()}, toy, SMALL, tmp_path)
    assert len(again) == 2 * 4 * 3 - 5
    for table, horizons in first_run[0]["tables"].items():
        for name, entrant in horizons["8"].items():
            for task, row in entrant["tasks"].items():
                found = results["tables"][table]["8"][name]["tasks"][task]
                assert found["final"] == row["final"] and found["scalar"] == row["scalar"]
                assert found["speedup"]["steps"] == row["speedup"]["steps"]
    # Nothing runs a third time.
    monkeypatch.setattr(Entrant, "run", lambda *a, **k: pytest.fail("a run that is there already"))
    monkeypatch.setattr(Entrant, "tune", lambda *a, **k: pytest.fail("a tuning that is there"))
    last = run_benchmark({"sgd": sgd()}, toy, SMALL, tmp_path)
    assert without_seconds(last) == without_seconds(results)


@pytest.mark.parametrize(("suite", "adam"), [("zoo", 1), ("cutest", 0), ("velodrome", 0)])
def test_adam_is_tuned_for_the_untouched_table_where_speedups_are_over_it_alone(suite, adam):
    settings = dataclasses.replace(SMALL, tables=("untouched",))
    found = entrants_of({}, settings, over_adam=SUITES[suite].over_adam)
    assert [each.name for each in found] == ["adam-1e-3"] + ["adam"] * adam


def test_another_rule_of_the_same_name_is_run_anew():
    assert digest(sgd(0.1)) == digest(sgd(0.1)) != digest(sgd(0.2))
    assert digest(innerloop.OptaxRule(optax.adam, 0.1)) != digest(sgd(0.1))


def test_a_signal_is_answered_between_two_runs(tmp_path, monkeypatch):
    class Asked:
        asked = True

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    monkeypatch.setattr("innerloop.benchmark.measuring.Interrupt", Asked)
    with pytest.raises(Interrupted, match="goes on from here"):
        measure(bowls("one"), entrants_of({}, SMALL)[:1], SMALL, tmp_path)


def test_a_result_that_depends_on_something_else_is_another_result(tmp_path):
    cells, made = Cells(tmp_path), []

    def curve(number):
        made.append(number)
        return np.full(3, number, np.float32)

    what = {"task": "../bowl", "entrant": "sgd", "seed": 0}
    for each in (what, what, {**what, "seed": 1}):
        cells.curve(each, lambda: curve(len(made)))
    assert made == [0, 1]
    assert all(path.parent == tmp_path for path in tmp_path.iterdir())
    np.testing.assert_array_equal(cells.curve(what, lambda: curve(9)), np.zeros(3))


def test_scaled_steps_are_scaled():
    rule = Scaled(sgd(0.5), jnp.float32(2.0))
    updates, _ = rule.update(jnp.ones(2), rule.init(jnp.ones(2)), jnp.ones(2))
    np.testing.assert_allclose(updates, -1.0)


def test_untuned_adam_is_the_adam_of_optax():
    params, grads = jnp.ones(2), [jnp.asarray([1.0, 2.0]), jnp.asarray([-0.5, 0.1])]
    untouched = next(e for e in entrants_of({}, SMALL) if e.name == "adam-1e-3")
    rule, adam = untouched.make(None, 8), optax.adam(1e-3)
    state, expected = rule.init(params), adam.init(params)
    for grad in grads:
        update, state = rule.update(grad, state, params)
        theirs, expected = adam.update(grad, expected, params)
        np.testing.assert_allclose(update, theirs, rtol=1e-4)


def test_a_rule_twice_as_fast_has_a_speedup_of_2():
    steps = np.arange(401)[:, None]
    slow = np.exp(-steps / 100 + 0.01 * np.arange(4)).astype(np.float32)
    fast = np.exp(-2 * steps / 100 + 0.01 * np.arange(4)).astype(np.float32)
    found = speedup_over(fast, slow, 400)
    # Averaging over a fiftieth of the horizon costs both the same four steps.
    assert found.low <= 2.02 and 1.95 < found.value < 2.02
    assert abs(speedup_over(slow, fast, 400).value - 0.5) < 0.01
    broken = np.where(steps > 300, np.nan, fast).astype(np.float32)
    assert speedup_over(broken, slow, 400).value == 0
    # A reference that never learns is beaten at once, and no infinity comes of it.
    assert speedup_over(fast, np.full_like(fast, 9.0), 400).value == 400


def test_losses_are_averaged_over_a_fiftieth_of_the_horizon():
    losses = np.arange(201, dtype=np.float32)[:, None]
    found = smoothed(losses, 200)
    np.testing.assert_allclose(found[[0, 1, 200], 0], [0, 0.5, 198.5])
    np.testing.assert_array_equal(smoothed(losses, 20), losses)


def test_moré_and_wilds_test_of_what_is_solved():
    losses = np.asarray([10.0, 5.0, np.nan, 1.1, 1.0])
    assert solved_at(losses, 10.0, 0.0, 0.5) == 1
    assert solved_at(losses, 10.0, 0.0, 0.11) == 3
    assert solved_at(losses, 10.0, 0.0, 0.05) == np.inf
    assert solved_at(losses, 10.0, 1.0, 0.0) == 4


def test_profiles_of_a_case_by_hand():
    costs = {
        "quick": np.asarray([10.0, 20.0, np.inf, np.inf]),
        "sure": np.asarray([20.0, 20.0, 60.0, np.inf]),
    }
    performance = performance_profile(costs, np.asarray([1.0, 2.0, 10.0]))
    # Each wins or ties two of four problems; "sure" is within a factor of 2 on a third.
    np.testing.assert_allclose(performance["quick"], [0.5, 0.5, 0.5])
    np.testing.assert_allclose(performance["sure"], [0.5, 0.75, 0.75])
    data = data_profile(costs, np.asarray([10.0, 20.0, 60.0]))
    np.testing.assert_allclose(data["quick"], [0.25, 0.5, 0.5])
    np.testing.assert_allclose(data["sure"], [0.0, 0.5, 0.75])


def test_problems_without_noise_are_profiled_and_l_bfgs_takes_part(tmp_path):
    suite = dataclasses.replace(SUITES["cutest"], entries=lambda data_dir: bowls("one"))
    settings = dataclasses.replace(SMALL, seeds=1, tables=("untouched",), horizons=(12,))
    tables = run_benchmark({"sgd": sgd(0.4)}, suite, settings, tmp_path)["tables"]
    found = tables["untouched"]["0.001"]
    assert set(found) == {"sgd", "adam-1e-3", "l-bfgs"}
    assert found["l-bfgs"]["solved"] == 1 and found["adam-1e-3"]["solved"] == 0
    # (1 − 0.8)² of the loss is left by each step: three for a thousandth.
    reached = found["sgd"]["data"]["evaluations"]
    assert np.interp(3, reached, found["sgd"]["data"]["share"]) == 1
    assert (tmp_path / "benchmark.png").is_file()


class Valley:
    """A problem as sif2jax has them."""

    args = None

    def __init__(self, name, size=2, broken=False, points=1):
        self.name, self.y0, self.broken, self.points = name, jnp.full(size, -1.0), broken, points

    def objective(self, y, args):
        squares = jnp.sum(y**2) * jnp.cos(jnp.arange(self.points)) / self.points
        return jnp.sum(squares) / (0.0 if self.broken else 1.0)


def test_problems_of_sif2jax_are_tasks_and_broken_ones_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sif2jax", None)
    with pytest.raises(InnerloopError, match=r"innerloop\[cutest\]"):
        SUITES["cutest"].entries(None)
    valleys = (
        *(Valley("SMALL"), Valley("LARGE", 101), Valley("BROKEN", broken=True)),
        Valley("DEAR", points=1_000_000),
    )
    fake = types.SimpleNamespace(unconstrained_minimisation_problems=valleys)
    monkeypatch.setitem(sys.modules, "sif2jax", fake)
    assert [each.name for each in SUITES["cutest"].entries(None)] == ["BROKEN", "DEAR", "SMALL"]
    settings = dataclasses.replace(SMALL, seeds=1, tables=("untouched",), horizons=(3,))
    results = run_benchmark({"sgd": sgd()}, SUITES["cutest"], settings, tmp_path)
    assert results["tasks"] == {"SMALL": 2}
    assert "operations" in results["left_out"]["DEAR"]
    assert "BROKEN" in results["left_out"] and "BROKEN" in (tmp_path / "report.md").read_text()


def test_a_scalar_that_diverges_everywhere_is_the_lowest(monkeypatch):
    def diverged(*_, **__):
        raise InnerloopError("No learning rate gives a finite loss.")

    monkeypatch.setattr("innerloop.benchmark.entrants.tune", diverged)
    entrant = entrants_of({"sgd": sgd()}, SMALL)[2]
    assert entrant.table == "tuned"
    key = jax.random.key(0)
    assert entrant.tune(Bowl(), key=key, problems=1, horizon=3) == entrant.grid.low


def test_the_published_smoothing_and_the_steps_of_an_envelope():
    np.testing.assert_allclose(smooth(np.full(101, 2.0)), np.full(11, 2.0))
    falling = np.ones(41)
    falling[1:] = 0.0
    np.testing.assert_allclose(smooth(falling), [1.0, 0.95, 0.95**2, 0.95**3, 0.95**4])
    envelope = Envelope(np.asarray([0.0, 10.0, 20.0]), np.asarray([4.0, 2.0, 1.0]))
    assert steps_needed(envelope, 3.0) == 5
    assert steps_needed(envelope, 1.0) == 20
    assert steps_needed(envelope, 0.5) == np.inf


def test_the_published_envelopes_are_read_and_lacking_ones_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv("INNERLOOP_DATA", raising=False)
    with pytest.raises(InnerloopError, match="not set"):
        load_envelopes()
    (tmp_path / "peers").mkdir()
    (tmp_path / "peers" / "velodrome.json").write_text('{"other": [[0], [1]]}')
    with pytest.raises(InnerloopError, match="no envelopes"):
        load_envelopes(tmp_path)


def test_the_real_envelopes_are_those_of_the_facts(real_data):
    found = load_envelopes(real_data)
    mlp = found["ImageMLP_Mnist_128x128x128_Relu"]
    assert abs(np.interp(1000, mlp.steps, mlp.losses) - 0.107) < 0.002
    autoencoder = found["ImageMLPAE_Mnist_128x32x128_bs128"]
    assert abs(np.interp(2000, autoencoder.steps, autoencoder.losses) - 0.0111) < 2e-4


def test_velodrome_is_judged_against_the_envelopes(tmp_path, monkeypatch):
    steps, ends = np.asarray([0.0, 100.0]), (0.0, 50.0)
    published = {
        name: Envelope(steps, np.asarray([100.0, end]))
        for name, end in zip(suites_module.velodrome.TASKS, ends, strict=True)
    }
    monkeypatch.setattr(suites_module.velodrome, "load_envelopes", lambda data_dir: published)
    suite = dataclasses.replace(SUITES["velodrome"], entries=lambda data_dir: bowls(*published))
    settings = dataclasses.replace(SMALL, tables=("untouched",), horizons=(20,))
    tables = run_benchmark({"sgd": sgd()}, suite, settings, tmp_path)["tables"]
    reached, lost = tables["untouched"]["20"]["sgd"]["tasks"].values()
    assert reached["published"] == 80 and not reached["beyond"]
    assert abs(reached["speedup"] - (100 - reached["final"]) / 20) < 1e-6
    # Adam never gets there: the least that the speed-up can be is told.
    assert lost["published"] == 90 and lost["beyond"] and lost["speedup"] == 5
    report = (tmp_path / "report.md").read_text()
    assert "envelope" in report and "| > 5 |" in report


def test_every_task_of_the_zoo_is_registered_with_its_settings():
    families = registry.members("task family")
    for family, settings in suites_module.zoo.TASKS.values():
        assert set(settings) <= set(families[family].__init__.__kwdefaults__ or settings)
    assert len(suites_module.zoo.TASKS) >= 12
    with pytest.raises(InnerloopError, match="zoo, cutest, velodrome"):
        suite_of("zoos")


def test_the_command_runs_a_rule_of_a_file_and_shows_the_report(tmp_path, toy, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(SUITES, "zoo", toy)
    (tmp_path / "mine.py").write_text(
        "import innerloop, optax\nslow = innerloop.OptaxRule(optax.sgd, 0.05)\n"
    )
    words = ["--horizons", "4", "--tables", "untouched", "--untuned-baselines", "adam-1e-3"]
    words += ["--tuned-baselines", "adam", "--validation-problems", "1"]
    monkeypatch.setattr(sys, "argv", ["innerloop", "benchmark", "mine.py:slow", *words])
    main()
    out = capsys.readouterr().out
    assert "| slow |" in out and "Written to runs/benchmark-zoo" in out
    results = json.loads((tmp_path / "runs" / "benchmark-zoo" / "results.json").read_text())
    assert set(results["tables"]) == {"untouched"} and results["settings"]["horizons"] == [4]


def test_fewer_seeds_than_a_suite_needs_are_refused(tmp_path, toy):
    with pytest.raises(InnerloopError, match="at least 3"):
        run_benchmark({}, toy, dataclasses.replace(SMALL, seeds=2), tmp_path)
