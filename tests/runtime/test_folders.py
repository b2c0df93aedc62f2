"""What is below a run's folder stays there: no link in it is followed."""

import dataclasses
import os
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

import innerloop
from helpers import lstm, metrics, stop_after
from innerloop import InnerloopError, OptaxRule, Quadratic, TrainingSettings, compare, train
from innerloop.comparison import ComparisonSettings
from innerloop.experiments import Choice, RunSettings
from innerloop.experiments.fewshot.run import write_results
from innerloop.experiments.outputs import write_comparison
from innerloop.experiments.run import train_experiment
from innerloop.inspection.gates import Gates, LayerGates, write_gates
from innerloop.inspection.steps import inspect
from innerloop.metatrain import RunOptions, TruncatedBackprop
from innerloop.plots.comparison import plot_curves
from innerloop.plots.figures import Panel, draw_curves
from innerloop.plots.gates import draw_gates
from innerloop.plots.sheet import draw_sheet
from innerloop.plots.steps import draw_steps
from innerloop.predict.predictions import Predictions, write_predictions
from innerloop.runtime.checkpoints import Checkpoints
from innerloop.runtime.folders import only_one, removed_if_empty

SETTINGS = TrainingSettings(
    steps=3, validation_problems=2, validate_every=3, checkpoint_every=1, checkpoints_kept=1
)
SIZES = {"meta_batch_size": 2, "horizon": 2, "truncation": 2}
PRECIOUS = "years of work"


@pytest.fixture
def run(tmp_path):
    """A run's folder, which is itself a link that the user named."""
    (tmp_path / "real").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "real")
    return tmp_path / "run"


@pytest.fixture
def elsewhere(tmp_path):
    """A folder with a file in it, and nothing else when the test is over."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "thesis").write_text(PRECIOUS)
    yield folder
    assert [path.name for path in folder.iterdir()] == ["thesis"]
    assert (folder / "thesis").read_text() == PRECIOUS


def go(run, *, resume=False, **options):
    return train(
        Quadratic(2),
        lstm(preprocessing=None),
        settings=SETTINGS,
        estimator=TruncatedBackprop(**SIZES),
        options=RunOptions(out=run, resume=resume, **options),
    )


def begin(run, *, seed=0, resume=False, **loop):
    settings = RunSettings(
        task=Choice("quadratic", {"dimension": 2}),
        rule=Choice("lstm", {"hidden": 3, "preprocessing": None}),
        estimator=Choice("truncated-backprop", SIZES),
        loop=dataclasses.replace(SETTINGS, **loop),
        seed=seed,
    )
    return train_experiment(settings, RunOptions(out=run, resume=resume))


@pytest.mark.parametrize("place", ["checkpoints", "checkpoints/1", "checkpoints/3/default"])
def test_no_checkpoint_is_read_deleted_or_written_through_a_link(run, elsewhere, place):
    go(run)
    if (run / place).exists():
        (run / place).rename(run / "aside")
    (run / place).symlink_to(elsewhere)
    with pytest.raises(InnerloopError, match=rf"{place} .*symbolic link"):
        go(run, resume=True)
    assert (run / place).is_symlink()


def test_no_run_begins_behind_a_link(run, elsewhere):
    (run / "checkpoints").symlink_to(elsewhere)
    with pytest.raises(InnerloopError, match=r"checkpoints .*symbolic link"):
        go(run)
    (run / "tensorboard").symlink_to(elsewhere)
    (run / "checkpoints").unlink()
    with pytest.raises(InnerloopError, match=r"tensorboard .*symbolic link"):
        go(run, tensorboard=True)


def comparison():
    sizes = ComparisonSettings(problems=2, horizon=2, validation_problems=2)
    rule = OptaxRule(optax.sgd, 0.01)
    return compare(rule, Quadratic(2), sizes, baselines={"sgd": optax.sgd})


def steps(path):
    found = inspect(OptaxRule(optax.sgd, 0.01), Quadratic(), steps=2)
    return draw_steps(found.gradients, found.steps, found.losses, path, title="")


def gates():
    layer = LayerGates(mean=np.ones(2), quantiles=np.ones((3, 2)))
    return Gates(episodes=1, forget={"head": layer}, input={"head": layer})


def predictions():
    images = np.zeros((2, 4, 4, 1), np.uint8)
    return Predictions(
        learner="it", classes=("a", "b"), names=("one", "two"), support=images, shown=images,
        probabilities=np.full((2, 2), 0.5, np.float32), support_labels=np.arange(2),
        inverted=0, transductive=False, seed=0,
    )  # fmt: skip


def panels():
    return [Panel(comparison=comparison(), title="one", rule="it")]


WRITERS = {
    "rule.safetensors": lambda run: innerloop.save(lstm(), run / "rule.safetensors"),
    "results.json": lambda run: write_results([], run),
    "curves.png": lambda run: plot_curves(comparison(), run / "curves.png"),
    "inspect.png": lambda run: steps(run / "inspect.png"),
    "gates.json": lambda run: write_gates(gates(), run / "gates.json"),
    "gates.png": lambda run: draw_gates(*gates().quantiles(), run / "gates.png", title=""),
    "predictions.csv": lambda run: write_predictions(predictions(), run),
    "predictions.json": lambda run: write_predictions(predictions(), run, "json"),
    "sheet.png": lambda run: draw_sheet(predictions(), run / "sheet.png"),
    "figure.png": lambda run: draw_curves(panels(), run / "figure.png", source="Nobody"),
    "metrics.jsonl": go,
    ".lock": go,
    "run.toml": begin,
}


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_is_written_through_a_link(run, elsewhere, name):
    (run / name).symlink_to(elsewhere / "thesis")
    with pytest.raises(InnerloopError, match=rf"{name}.*symbolic link"):
        WRITERS[name](run)


def test_a_comparison_is_not_written_through_a_link(run, elsewhere):
    (run / "results.json").symlink_to(elsewhere / "thesis")
    with pytest.raises(InnerloopError, match=r"results.json: it is a symbolic link"):
        write_comparison(comparison(), run)


@pytest.mark.parametrize("name", ["rule.safetensors", "metrics.jsonl", "run.toml"])
def test_what_is_being_written_is_not_written_through_a_link(run, elsewhere, name):
    (run / f"{name}.partial").symlink_to(elsewhere / "thesis")
    begin(run)
    assert (run / name).is_file() and not (run / name).is_symlink()


@pytest.mark.parametrize("name", ["run.toml", "metrics.jsonl", "rule.safetensors"])
def test_nothing_is_read_through_a_link(run, tmp_path, name):
    begin(run)
    (run / name).rename(tmp_path / "other")
    (run / name).symlink_to(tmp_path / "other")
    with pytest.raises(InnerloopError, match=rf"{name}.*symbolic link"):
        if name == "rule.safetensors":
            innerloop.load(run)
        else:
            begin(run, resume=True)


def test_no_pipe_is_waited_for(run):
    begin(run)
    (run / "metrics.jsonl").unlink()
    os.mkfifo(run / "metrics.jsonl")
    with pytest.raises(InnerloopError, match="no regular file"):
        begin(run, resume=True)


def test_the_folder_itself_may_be_a_link(run):
    begin(run, steps=2, validate_every=2)
    assert jax.tree.leaves(innerloop.load(run))


def killed(monkeypatch, run, **settings):
    """Begin a run that ends before its first checkpoint, as if it were killed."""
    with monkeypatch.context() as patch:
        patch.setattr("innerloop.metatrain.step.Stepper.init", _die)
        with pytest.raises(KeyboardInterrupt):
            begin(run, **settings)


def _die(*_):
    raise KeyboardInterrupt


def test_the_settings_in_a_folder_are_those_of_its_checkpoints(run, monkeypatch):
    killed(monkeypatch, run, seed=1)
    begin(run, seed=2)
    begin(run, seed=2, resume=True)
    with pytest.raises(InnerloopError, match="begun with seed = 2"):
        begin(run, seed=1, resume=True)


def test_a_checkpoint_knows_what_its_run_was_asked(run):
    begin(run, seed=2)
    settings = run / "run.toml"
    settings.write_text(settings.read_text().replace("seed = 2", "seed = 1"))
    with pytest.raises(InnerloopError, match="begun with seed = 2, and is resumed with 1"):
        begin(run, seed=1, resume=True)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["3"]


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_is_refused_changes_nothing(run, monkeypatch, resume):
    killed(monkeypatch, run, seed=1)
    (run / "checkpoints").rmdir()  # Both begin together, and the other has not come so far.
    with only_one(run):
        before = everything(run)
        with pytest.raises(InnerloopError, match="Another process is training in"):
            begin(run, seed=2 - resume, resume=resume)
        assert everything(run) == before
    begin(run, seed=1)
    before = everything(run)
    with pytest.raises(InnerloopError, match="holds a training run already"):
        begin(run, seed=2)
    assert everything(run) == before


ODD = [
    *"[]*?{}~%#:'\"\\ $&;!`|<>",
    "[a-z]",
    "[!r]un",
    "**",
    "~root",
    "%2e%2e",
    "$HOME",
    "-o",
    "a\nb",
    "\udcff",
    "\x1b",
    "ä字",
    "a:b",
    "".join(chr(code) for code in range(32, 127) if chr(code) != "/"),
]


@pytest.mark.parametrize("name", ODD)
def test_checkpoints_lie_in_a_folder_of_any_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    folder = Path(name, "checkpoints")
    folder.mkdir(parents=True)
    tree = {"weights": np.arange(6.0, dtype=np.float32)}
    for step in (1, 2):
        with Checkpoints(folder, keep=1) as checkpoints:
            checkpoints.save(step, tree, wait=True)
    with Checkpoints(folder) as checkpoints:
        found = checkpoints.restore(jax.tree.map(np.zeros_like, tree))
    assert found is not None and found[0] == 2
    assert np.array_equal(found[1]["weights"], tree["weights"])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [path.name for path in folder.iterdir()] == ["2"]


def test_a_folder_may_be_named_by_way_of_another(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for resume in (False, True):
        go("../there/../run", resume=resume)
    assert (tmp_path / "run" / "checkpoints" / "3").is_dir()


def test_no_neighbour_is_taken_for_a_folder_whose_name_is_a_pattern(tmp_path):
    """What matches the pattern is another run, killed while it wrote."""
    for name in ("run*", "runs"):
        go(tmp_path / name)
    neighbour = everything(tmp_path / "runs")
    go(tmp_path / "run*", resume=True)
    assert everything(tmp_path / "runs") == neighbour


def test_a_run_is_trained_stopped_and_resumed_in_a_folder_of_any_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Path("~", ODD[-1])
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            begin(run)
    begin(run, resume=True)
    assert len(metrics(run)) == 1 and jax.tree.leaves(innerloop.load(run))
    assert [path.name for path in tmp_path.iterdir()] == ["~"]


def test_a_folder_that_stays_empty_goes_when_all_fails(tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    for folder, name, kept in (
        (there, "", True),
        (tmp_path / "a", "", False),
        (tmp_path / "b", "x", True),
    ):
        with pytest.raises(KeyError), removed_if_empty(folder) as made:
            if name:
                (made / name).touch()
            raise KeyError
        assert folder.is_dir() is kept
