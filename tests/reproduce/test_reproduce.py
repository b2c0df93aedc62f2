"""Figures: what is written, what is said of it, and that every figure can be made."""

import dataclasses
import json
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import optax
import pytest

from helpers import lstm, small_art
from innerloop import InnerloopError, OptaxRule, TrainingSettings, load, registry, save
from innerloop.cli import main
from innerloop.comparison import Comparison, Grid, OptimizerRun, choose
from innerloop.comparison.tuning import Tuned
from innerloop.errors import SettingsError, UnknownNameError
from innerloop.experiments import Choice, RunSettings
from innerloop.experiments.make import make_estimator, make_rule
from innerloop.experiments.settings import trained_on
from innerloop.plots.figures import draw_curves, draw_summary
from innerloop.reproduce import ReproductionOptions, find_reproduction, reproductions
from innerloop.reproduce.figures import FIGURES, Figure, Panel
from innerloop.reproduce.paintings import _best_rival
from innerloop.reproduce.report import outcome, report_of, verdict
from innerloop.reproduce.run import _drawn, command, reproduce, settings_of
from innerloop.rules.files import describe, shipped, shipped_file
from innerloop.runtime.settings import from_toml, read_arguments, to_dict

PANELS = [panel for figure in FIGURES for panel in figure.panels]
RULES = sorted({name for panel in PANELS for name in (panel.rule, *panel.others)})
RECIPE = to_dict(
    RunSettings(
        task=Choice("quadratic", {"dimension": 2}),
        rule=Choice("lstm", {"hidden": 3, "preprocessing": None}),
        estimator=Choice(
            "truncated-backprop", {"meta_batch_size": 2, "horizon": 4, "truncation": 2}
        ),
        loop=TrainingSettings(steps=2, validation_problems=2, checkpoint_every=None),
        seed=3,
    )
)


def figure(*panels, **settings):
    return Figure(
        name="tiny", source="Nobody, Figure 0", claim="It works.", panels=panels,
        minutes=1, training_minutes=1, **settings,
    )  # fmt: skip


def make(figure, **options):
    return reproduce(figure, ReproductionOptions(out=Path("out"), **options))


def panel(title="Quadratics", **settings):
    return Panel(title=title, **{"rule": "tiny", "task": "quadratic", **settings})


@pytest.fixture(autouse=True)
def rules(monkeypatch, tmp_path):
    """An empty folder with two small rules in it, `tiny` and `other`, as if they were shipped."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INNERLOOP_DATA", raising=False)
    for seed, name in enumerate(("tiny", "other")):
        save(lstm(seed, preprocessing=None), tmp_path / name / "rule.safetensors", run=RECIPE)

    def place(name):
        mine = tmp_path / name / "rule.safetensors"
        return mine if mine.is_file() else shipped_file(name)

    monkeypatch.setattr("innerloop.reproduce.run.shipped_file", place)


def same(one, other):
    return jax.tree.all(jax.tree.map(jnp.array_equal, one, other))


def test_a_figure_is_compared_drawn_and_reported(tmp_path):
    tiny = figure(
        panel(settings={"dimension": 2}, others=("other",), horizon=3, baselines=("sgd",)),
        panel("Later", window=(3, 6), repeats=True),
    )
    said = []
    results = make(tiny, shipped=True, seed=1, problems=2, report=said.append)
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == results
    assert results["rules"] == {"other": "shipped", "tiny": "shipped"} and results["seed"] == 1
    (made,) = results["panels"]
    assert made["title"] == "Quadratics" and made["problems"] == 2 and made["horizon"] == 3
    assert set(made["baselines"]) == {"sgd"} and set(made["others"]) == {"other"}
    assert "reference" in made and "Quadratics" in said
    report = (tmp_path / "out" / "report.md").read_text()
    assert "Claim: It works." in report and "`innerloop reproduce tiny --shipped`" in report
    assert f"**Verdict.** {verdict(results)}" in report and f"    {made['command']}\n" in report
    picture = matplotlib.image.imread(tmp_path / "out" / "figure.png")
    assert picture.shape[0] > 500 and picture.shape[1] > 1000 and picture[..., :3].std() > 0.05


def entrant(name, losses):
    return OptimizerRun(name, np.asarray(losses, np.float32))


def comparison(learned=(3, 2, 1), **baselines):
    """Of two problems, whose losses are 10 % above and below those given, step by step."""
    around = np.asarray([0.9, 1.1])
    rivals = baselines or {"adam": (3, 2.5, 2), "nesterov": (3, 2.2, 1.5)}
    return Comparison(
        task="quadratic",
        horizon=len(learned) - 1,
        learned=entrant("learned", np.outer(learned, around)),
        baselines=[entrant(name, np.outer(losses, around)) for name, losses in rivals.items()],
        reference=None,
        seed=0,
        seconds=1.0,
    )


def made(*comparisons):
    """What results.json holds of these, in panels A, B, …"""
    return {"panels": [{"title": "ABC"[n], **c.results()} for n, c in enumerate(comparisons)]}


def test_rules_that_are_not_shipped_are_trained_once(tmp_path, monkeypatch):
    met = []

    def compared(panel, rules, *rest):
        met.append(rules["tiny"])
        return comparison()

    monkeypatch.setattr("innerloop.reproduce.run._compare", compared)
    results = make(figure(panel()))
    assert results["rules"] == {"tiny": "rules/tiny"}
    folder = tmp_path / "out" / "rules" / "tiny"
    assert to_dict(from_toml(RunSettings, folder / "run.toml")) == {
        **RECIPE,
        "rule": {"name": "lstm", "settings": {"hidden": 3, "preprocessing": "none"}},
    }
    assert met[0].hidden == 3 and same(met[0], load(folder))
    report = (tmp_path / "out" / "report.md").read_text()
    assert "`innerloop reproduce tiny`, with rules trained by this run" in report
    monkeypatch.setattr("innerloop.reproduce.run.train_experiment", None)
    make(figure(panel()))
    assert len(met) == 2 and same(*met)


def test_settings_are_looked_at_before_hours_of_training():
    with pytest.raises(SettingsError, match="problems is 1"):
        make(figure(panel()), problems=1)


def test_an_unwritable_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InnerloopError, match="Cannot write to the folder"):
        reproduce(figure(panel()), ReproductionOptions(out=tmp_path / "file" / "out", shipped=True))


@pytest.mark.parametrize(
    ("learned", "best", "word"),
    [
        ((1.0, 0.1), (2.0, 0.2), "ahead"),
        ((2.0, 0.2), (1.0, 0.1), "behind"),
        ((1.0, 0.6), (2.0, 0.6), "level"),
        ((2.0, 0.6), (1.0, 0.6), "level"),
        ((None, None), (1.0, 0.1), "behind"),
        ((1.0, 0.1), (None, None), "ahead"),
    ],
)
def test_the_outcome_is_told_by_the_intervals(learned, best, word):
    rows = [dict(zip(("final", "ci95"), row, strict=True)) for row in (learned, best)]
    results = {"learned": rows[0], "baselines": {"adam": rows[1]}, "best_baseline": "adam"}
    assert outcome(results) == word


def test_the_verdict_says_where_the_rule_is_ahead_level_and_behind():
    ahead, behind = comparison(adam=(3, 3, 3)), comparison(adam=(1, 0.1, 0.1))
    level = comparison(adam=(1, 1, 1.01))
    assert verdict(made(ahead)) == (
        "The learned rule is ahead of every tuned baseline, with intervals apart, on A."
    )
    assert verdict(made(behind, ahead, ahead)) == (
        "The learned rule is ahead of every tuned baseline, with intervals apart, on B; C; "
        "it is behind the best, with intervals apart, on A."
    )
    said = verdict(made(level))
    assert "level with the best (the intervals overlap) on A (by problem: " in said


def test_a_report_of_a_loss_that_is_not_finite_says_so():
    results = made(comparison((3, 2, np.nan)))
    results["panels"][0]["command"] = "innerloop compare"
    results |= {"seed": 0, "date": "today", "machine": "this one", "seconds": 1.0}
    report = report_of(figure(panel()), results, shipped=True)
    assert "| not finite ± not finite | nesterov 1.5 ±" in report and "| behind |" in report
    assert "| not finite | behind |" in report  # The difference problem by problem.


def test_a_report_gives_the_difference_on_the_same_problems():
    results = made(comparison((3, 2, 1)))
    results["panels"][0]["command"] = "innerloop compare"
    results["panels"][0]["paired"] = {"difference": -15.14, "ci95": 0.434}
    results |= {"seed": 0, "date": "today", "machine": "this one", "seconds": 1.0}
    assert "| -15.1 ± 0.43 |" in report_of(figure(panel()), results, shipped=True)


def test_a_baseline_that_diverges_on_test_problems_is_not_the_best():
    assert comparison(sgd=(3, 9, np.nan), adam=(3, 2, 1)).best_baseline.name == "adam"


def test_a_loss_that_overflowed_has_no_interval():
    learned = comparison((3, 2, np.inf)).results()["learned"]
    assert learned["final"] is None and learned["ci95"] is None


def test_curves_of_many_panels_are_drawn(tmp_path):
    panels = [panel(f"{number}", window=(1, 2) if number else None) for number in range(5)]
    path = draw_curves(
        _drawn(figure(*panels), [comparison()] * 5), tmp_path / "figure.png", source="A paper"
    )
    picture = matplotlib.image.imread(path)
    assert picture.shape[0] > 900 and picture.shape[1] > 2000


@pytest.mark.parametrize("window", [None, (1, 2)])
def test_curves_that_are_not_finite_are_left_out(tmp_path, window):
    wild = comparison((3, np.nan, np.inf))
    path = draw_curves(
        _drawn(figure(panel(window=window)), [wild]), tmp_path / "figure.png", source="A paper"
    )
    assert path.is_file()


def test_a_summary_is_drawn(tmp_path):
    tiny = figure(panel("1×10"), panel("2×20"), summary=True)
    path = draw_summary(
        _drawn(tiny, [comparison(), comparison((3, 2, np.nan))]),
        tmp_path / "figure.png",
        source="A paper",
    )
    assert matplotlib.image.imread(path).shape[1] > 1000


def test_a_command_is_quoted_for_the_shell():
    bold = panel(
        rule="my rule", settings={"hidden": (20, 20), "style": "it's"}, baselines=("sgd", "adam"),
        others=("other",), horizon=5,
    )  # fmt: skip
    words = ["innerloop", "compare", "my rule", "other", "--task", "quadratic"]
    words += ["--task.hidden", "20", "20", "--task.style", "it's", "--baselines", "sgd", "adam"]
    words += ["--horizon", "5"]
    options = ReproductionOptions(out=Path("out"), shipped=True)
    assert shlex.split(command(bold, options)) == words
    options = dataclasses.replace(options, seed=7, problems=20)
    assert shlex.split(command(bold, options)) == [*words, "--problems", "20", "--seed", "7"]


def test_the_command_line_understands_every_panels_command(monkeypatch):
    asked = []
    heard = lambda settings, rules, **_: asked.append((settings, [*rules]))  # noqa: E731
    monkeypatch.setattr("innerloop.experiments.run.compare_experiment", heard)
    monkeypatch.setattr("innerloop.cli._shown.show_comparison", lambda *_: None)
    options = ReproductionOptions(out=Path("out"), shipped=True, seed=4, problems=9)
    for each in PANELS:
        monkeypatch.setattr(sys, "argv", shlex.split(command(each, options)))
        main()
        settings, rules = asked.pop()
        expected = settings_of(each, options)
        assert rules == [each.rule, *each.others]
        assert settings.comparison == expected.comparison and settings.seed == 4
        assert settings.task.name == expected.task.name
        assert {**settings.task.settings, **expected.task.settings} == settings.task.settings


def test_a_figure_is_found_by_its_name_or_the_nearest_is_named():
    for each in FIGURES:
        assert find_reproduction(each.name) is each
    with pytest.raises(UnknownNameError, match="Did you mean 'andrychowicz2016-fig4'"):
        find_reproduction("andrychowicz2016-fig44")
    with pytest.raises(
        UnknownNameError, match=r"no figure 'zzz'. There are andrychowicz2016-fig4,"
    ):
        find_reproduction("zzz")


def test_reproductions_have_names_of_their_own_and_are_found_from_files():
    assert len({each.name for each in FIGURES}) == len(FIGURES)
    found = reproductions()
    assert all(found[each.name] is each for each in FIGURES)
    assert all(name == each.name for name, each in found.items())


@pytest.mark.parametrize("each", FIGURES, ids=lambda each: each.name)
def test_every_panel_names_a_task_its_settings_and_baselines(each):
    assert not each.panels[0].repeats
    for one in each.panels:
        settings = settings_of(one, ReproductionOptions(out=Path("out")))
        given = read_arguments(registry.find("task family", one.task), one.settings)
        assert given == one.settings and choose(one.baselines)
        steps = settings.comparison.horizon * settings.comparison.horizon_multiple
        first, last = one.window or (0, steps)
        assert 0 <= first < last <= steps


def test_every_rule_of_a_figure_is_shipped():
    assert set(RULES) <= set(shipped())


@pytest.mark.parametrize("name", [name for name in RULES if name in shipped()])
def test_a_shipped_rule_holds_the_settings_that_make_one_like_it(name):
    settings = trained_on(describe(name)["run"])
    assert jax.tree.structure(make_rule(settings)) == jax.tree.structure(load(name))
    assert make_estimator(settings).horizon >= 100
    read_arguments(registry.find("task family", settings.task.name), settings.task.settings)


def test_headers_of_shipped_rules_say_how_they_were_trained():
    settings = trained_on(describe("lstm-mnist")["run"])
    estimator = make_estimator(settings)
    assert (estimator.meta_batch_size, estimator.truncation) == (4, 20)
    assert estimator.coordinates == 1500 and estimator.objective == "log"
    assert settings.loop.steps == 2400 and settings.loop.validate_over == 1
    assert settings.rule == Choice("lstm", {"output_scale": 0.01}) and settings.init_from is None
    settings = trained_on(describe("lstm-cifar10-sub")["run"])
    assert list(settings.task.settings["labels"]) == [5, 6, 7, 8, 9]
    assert settings.init_from == "lstm-mnist" and settings.rule_parts == ("conv", "dense")
    settings = trained_on(describe("tensorwise-mnist")["run"])
    assert settings.estimator.name == "evolution-strategies" and settings.loop.clip == 10.0
    assert (
        settings.init_from == "tensorwise-mnist-family" and make_estimator(settings).sigma == 0.03
    )


@pytest.mark.parametrize(
    "run", [{}, {"experiment": "no-such"}, {"task": 3}, {"task": {}}, {"seed": 0}, None, 3]
)
def test_a_header_that_describes_no_run_is_none(run):
    assert trained_on(run) is None


@pytest.mark.parametrize("name", [name for name in RULES if name in shipped()])
def test_training_begins_where_that_of_the_shipped_rule_began(name, monkeypatch):
    began = []

    def stop(settings, options, **_):
        began.append(settings)
        raise InnerloopError("begun")

    monkeypatch.setattr("innerloop.reproduce.run.train_experiment", stop)
    with pytest.raises(InnerloopError, match="begun"):
        make(figure(panel(rule=name)))
    run = describe(name)["run"]
    begin = run["init_from"]
    assert (began[0].seed, began[0].init_from) == (run["seed"], begin)
    if begin and not began[0].rule_parts:
        assert same(make_rule(began[0]), load(begin))


@pytest.fixture
def art(monkeypatch):
    """Neural art with no files, and paintings that are done after three steps."""
    made = small_art(monkeypatch)

    def painting(name, side, data_dir):
        return np.full((side, side, 3), 0.5, np.float32)

    monkeypatch.setattr("innerloop.reproduce.paintings.load_painting", painting)
    monkeypatch.setattr("innerloop.reproduce.paintings.MARKS", (0, 1, 2, 3))
    return made


@pytest.mark.slow
def test_paintings_are_drawn_and_reported(art, monkeypatch, tmp_path):
    rival = ("adam 0.1", OptaxRule(optax.adam, 0.1))
    monkeypatch.setattr("innerloop.reproduce.paintings._best_rival", lambda *_: rival)
    tiny = figure(panel("Art", task="neural-art", settings={"size": 16}), paintings=True)
    results = make(tiny, shipped=True)
    assert json.loads((tmp_path / "out" / "results.json").read_text())["panels"][0]["steps"]
    learned, adam = results["panels"][0]["rows"]
    assert (learned["optimizer"], adam["optimizer"]) == ("learned", "adam 0.1")
    assert learned["losses"][0] == adam["losses"][0] and len(learned["losses"]) == 4
    ratio = learned["losses"][-1] / adam["losses"][-1]
    report = (tmp_path / "out" / "report.md").read_text()
    assert f"the learned rule is at {ratio:.2f} of adam 0.1's loss (Art)" in report
    picture = matplotlib.image.imread(tmp_path / "out" / "figure.png")
    assert picture.shape[0] > 500 and picture.shape[1] > 1200


def test_a_painting_that_diverges_is_reported_too(monkeypatch, tmp_path):
    losses = {"learned": [2.0, 1.0, None, None], "adam 0.1": [2.0, 1.0, 0.5, 0.4]}
    rows = [{"optimizer": name, "losses": row} for name, row in losses.items()]
    drawn = [{"title": "Art", "steps": (0, 8, 32, 128), "rows": rows}]
    monkeypatch.setattr("innerloop.reproduce.run.draw_paintings", lambda *_, **__: drawn)
    make(figure(panel("Art"), paintings=True), shipped=True)
    kept = json.loads((tmp_path / "out" / "results.json").read_text())["panels"][0]["rows"]
    assert kept[0]["losses"] == [2.0, 1.0, None, None]
    assert "not finite" in (tmp_path / "out" / "report.md").read_text()


def test_the_rival_of_the_paintings_is_the_better_of_two_tuned_ones(art, monkeypatch, key):
    def tuned(baseline, task, **settings):
        assert task.part == "validation" and settings["horizon"] == 3
        tried = {1.0: 9.0, 0.1: 3.0} if baseline.name == "adam" else {0.02: 2.0}
        best = min(tried, key=tried.get)
        return Tuned(best, tried, {}, second=0.8)

    monkeypatch.setattr("innerloop.reproduce.paintings.tune_baseline", tuned)
    name, rule = _best_rival(art, key, SimpleNamespace(validation_problems=2, grid=Grid()))
    assert name == "nesterov 0.02" and float(rule.learning_rate) == pytest.approx(0.02)
