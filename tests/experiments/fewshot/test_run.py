"""Few-shot methods by name, from a folder of class folders to results.json."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from helpers import SHAPE, learner, same
from innerloop import InnerloopError
from innerloop.cli import main
from innerloop.experiments.fewshot.run import evaluate_learner, train_method
from innerloop.fewshot import METHODS, Recipe, load, save
from innerloop.fewshot.files import describe

LOOP = {
    "steps": 2,
    "problems": 1,
    "validate_every": 2,
    "validation_problems": 2,
    "checkpoint_every": 2,
}
TINY = [word for name, n in LOOP.items() for word in (f"--{name.replace('_', '-')}", str(n))]
KEYS = {
    *("method", "data", "way", "shot", "query", "episodes", "accuracy", "ci95"),
    *("inner_steps", "transductive", "seed", "split"),
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def folder(tmp_path):
    """Three splits of three classes of four grey images each."""
    random = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        for name in "abc":
            place = tmp_path / "shapes" / split / f"{split}-{name}"
            place.mkdir(parents=True)
            for number in range(4):
                pixels = random.integers(0, 256, (16, 16)).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    return tmp_path / "shapes"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line: (exit code, stdout, stderr)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["innerloop", "fewshot", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stopped:
            code = stopped.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def file(tmp_path):
    """An untrained learner of images like the folder's."""
    recipe = Recipe(method="protonet", data="shapes", shape=SHAPE, settings={"filters": 3})
    return save(learner("protonet"), recipe, tmp_path / "mine.safetensors")


def test_a_method_is_trained_and_evaluated_from_the_command_line(run, folder, tmp_path):
    asked = ("--data", folder, "--way", "2", "--queries", "2", "--side", "16", "--grey")
    settings = ("--settings", "filters=3", "steps=2", "hidden=4")
    code, out, _ = run("train", "meta-lstm", *asked, "--out", "mine", *TINY, *settings)
    assert code == 0 and "Accuracy on validation episodes: " in out
    assert "after 2 meta-steps" in out and "innerloop fewshot evaluate mine" in out
    assert {"settings.json", "metrics.jsonl"} <= {
        file.name for file in (tmp_path / "mine").iterdir()
    }
    found, recipe = load("mine")
    assert recipe.name == "meta-lstm-shapes-2w-1s" and recipe.shape.channels == 1
    assert found.steps == 2 and recipe.settings["hidden"] == 4
    small = ("--episodes", "4", "--queries", "3", "--data", folder)
    code, out, _ = run("evaluate", "mine", *small, "--out", "judged")
    assert code == 0 and "2-way 1-shot" in out and "2 inner steps, not transductive" in out
    results = json.loads((tmp_path / "judged" / "results.json").read_text())
    assert set(results) == KEYS
    assert 0 <= results.pop("accuracy") <= 1 and results.pop("ci95") >= 0
    assert results == {
        "method": "meta-lstm",
        "data": "shapes",
        "way": 2,
        "shot": 1,
        "query": 3,
        "episodes": 4,
        "inner_steps": 2,
        "transductive": False,
        "seed": 0,
        "split": "test",
    }


def test_a_baseline_is_trained_on_all_classes_of_the_training_split(folder, tmp_path):
    found = train_method(
        "nearest-neighbour",
        data=str(folder),
        way=2,
        shot=1,
        out=tmp_path / "mine",
        queries=2,
        settings=["filters=3"],
        loop=LOOP,
        side=16,
        grey=True,
    )
    again, recipe = load(tmp_path / "mine")
    assert recipe.shape.classes == 3 and again.network.classes == 3
    assert found.steps == 2 and 0 <= found.validation <= 1


def test_evaluation_is_of_the_split_and_seed_that_are_asked_for(folder, file):
    found = [
        evaluate_learner(
            *load(file), data=str(folder), split=split, episodes=6, queries=2, seed=seed
        )
        for split, seed in (("test", 0), ("test", 0), ("test", 1), ("validation", 0))
    ]
    assert found[0] == found[1] and {each["split"] for each in found} == {"test", "validation"}
    assert len({(each["accuracy"], each["ci95"]) for each in found}) > 1
    assert all(each["inner_steps"] == 0 for each in found)


def test_transductive_results_say_so(folder, file):
    found = evaluate_learner(
        *load(file), data=str(folder), episodes=2, queries=2, transductive=True
    )
    assert found["transductive"] is True


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "protonets"], "There is no method 'protonets'. Did you mean 'protonet'?"),
        (["train", "protonet", "--settings", "width=3"], "'width=3' is no setting of the method"),
        (["train", "protonet", "--settings", "shape=3"], "'shape=3' is no setting of the method"),
        (["train", "protonet", "--data", "nowhere"], "There is no data 'nowhere'"),
        (["train", "meta-lstm", "--settings", "gates=own"], "gates is 'own'"),
        (["train", "protonet", "--queries", "0"], "queries is 0"),
        (
            ["train", "protonet", "--way", "4", "--queries", "2"],
            "has 9 classes, 3 for training, 3 for validation and 3 for testing, and 4-way",
        ),
        (["train", "protonet", "--way", "1"], "way is 1; there must be two or more"),
        (["train", "protonet", "--shot", "4"], "An episode takes "),
        (["train", "protonet", "--steps", "0"], "steps is 0"),
        (["train", "meta-lstm", "--settings", "steps=0"], "steps is 0"),
        (["evaluate", "nowhere"], "There is no file 'nowhere'"),
        (["evaluate", "mine.safetensors", "--data", "nowhere"], "There is no data 'nowhere'"),
        (["evaluate", "mine.safetensors", "--episodes", "1", "--queries", "2"], "episodes is 1"),
        (["train", "maml", "--training-way", "3"], "Training with 3 classes is for methods that"),
        (["train", "protonet", "--training-way", "9"], "episode of 9 classes cannot be drawn"),
        (["train", "maml", "--rule-learning-rate", "1"], "The method maml learns no rule for"),
        (["train", "protonet", "--rule-learning-rate", "1"], "protonet learns no rule for"),
        (["train", "meta-sgd", "--rule-learning-rate", "0"], "rule_learning_rate is 0"),
        (["train", "maml", "--start", "nowhere"], "There is no file 'nowhere'"),
        (["train", "maml", "--start", "mine.safetensors"], "its network is another"),
        (["evaluate", "mine.safetensors", "--queries", "4"], "An episode takes 6 images"),
    ],
)
def test_what_cannot_be_done_gets_a_sentence(run, folder, file, arguments, words):
    if "--data" not in arguments:
        arguments = [*arguments, "--data", str(folder)]
    if arguments[0] == "train":
        way = [] if "--way" in arguments else ["--way", "2"]
        arguments = [*arguments, *way, "--side", "16", "--grey", "--out", "out"]
    code, _, err = run(*arguments)
    sentence = err.splitlines()[-1]
    assert code == 2 and sentence.startswith("innerloop: ") and words in sentence
    assert "Traceback" not in err


def test_a_split_that_is_none_is_refused(folder, file):
    with pytest.raises(InnerloopError, match="split is 'all'"):
        evaluate_learner(*load(file), data=str(folder), split="all")


def test_images_of_another_size_are_refused(file):
    with pytest.raises(InnerloopError, match=r"28×28×1; protonet-shapes-2w-2s learned on 16×16×1"):
        evaluate_learner(*load(file), data="omniglot")


def test_a_run_is_resumed_as_it_was_begun(run, folder):
    """With three classes to train on, which are fewer than the method's recipe would draw."""
    asked = ("--data", folder, "--way", "2", "--queries", "2", "--side", "16", "--grey")
    asked = ("train", "protonet", *asked, "--out", "mine", *TINY, "--settings", "filters=3")
    assert run(*asked)[0] == 0
    code, _, err = run(*asked, "--seed", "1", "--resume")
    assert code == 2 and "begun with seed = 0" in err
    code, _, err = run(*asked)
    assert code == 2 and "--resume" in err


def test_list_names_every_method(run):
    code, out, _ = run("list")
    assert code == 0 and all(f"  {name} " in out for name in METHODS)


def test_list_says_how_what_is_shipped_was_trained(run, monkeypatch):
    runs = {
        "one": {"training": {"steps": 1500}, "start": "two"},
        "two": {"training": {"steps": 0}, "start": "/home/somebody/run"},
        "three": {"training": {"steps": 20}, "start": None},
    }
    monkeypatch.setattr("innerloop.fewshot.files.shipped", lambda: list(runs))
    monkeypatch.setattr("innerloop.fewshot.files.describe", lambda name: {"run": runs[name]})
    _, out, _ = run("list")
    lines = out.splitlines()[-3:]
    assert [" ".join(line.split()) for line in lines] == [
        "one 1,500 meta-steps, begun at two",
        "two no meta-step",
        "three 20 meta-steps",
    ]


def test_with_no_steps_a_start_is_taken_as_it_is_and_tuned(run, folder, tmp_path):
    asked = ("--data", folder, "--way", "2", "--queries", "2", "--side", "16", "--grey")
    small = ("--settings", "filters=3", "--validation-problems", "2", "--learning-rate", "0.1")
    code, *_ = run("train", "nearest-neighbour", *asked, *small, "--steps", "2", "--out", "near")
    assert code == 0
    again = ("--start", "near", "--steps", "0", "--out", "tuned")
    code, out, _ = run("train", "finetune", *asked, *small, *again)
    assert code == 0 and "after 0 meta-steps" in out
    (near, _), (mine, recipe) = load(tmp_path / "near"), load(tmp_path / "tuned")
    assert same(mine.params["block1"], near.params["block1"])
    assert {"rate", "decay"} <= set(recipe.settings)
    header = describe(tmp_path / "tuned")["run"]
    assert header["start"] == "near" and header["training"]["steps"] == 0
    best = max(each["accuracy"] for each in header["tuning"])
    assert f"{100 * best:.2f} %" in out


def test_without_a_start_there_is_nothing_to_take(run, folder):
    arguments = ("--data", folder, "--way", "2", "--queries", "2", "--side", "16", "--grey")
    code, _, err = run("train", "finetune", *arguments, "--steps", "0")
    assert code == 2 and "steps is 0" in err
