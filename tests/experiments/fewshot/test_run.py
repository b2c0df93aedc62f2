"""Few-shot methods by name, from a folder of class folders to results.json."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from helpers import learner, same
from innerloop import InnerloopError, registry
from innerloop.cli import main
from innerloop.cli.fewshot_list import shipped_lines
from innerloop.experiments import Choice
from innerloop.experiments.fewshot import EvaluationSettings, evaluate_learner
from innerloop.experiments.fewshot.find import find_data, find_recipe, with_side
from innerloop.fewshot import TrainingData, describe, load, save
from innerloop.fewshot.files import load_with_data, name_of

LOOP = {
    "steps": 2,
    "meta_batch_size": 1,
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
    data = TrainingData(name="shapes")
    return save(learner("protonet"), tmp_path / "mine.safetensors", data=data)


SMALL = ("--backbone.filters", "3", "--backbone.blocks", "1")


@pytest.fixture
def asked(folder):
    """Two-way episodes of the folder."""
    small = ("--way", "2", "--queries", "2", "--data.side", "16", "--data.grey", "--shift", "0")
    return ("--data", str(folder), *small)


def test_a_method_is_trained_and_evaluated_from_the_command_line(run, asked, tmp_path):
    settings = (*SMALL, "--method.steps", "2", "--method.hidden", "4")
    code, out, _ = run("train", "meta-lstm", *asked, "--out", "mine", *TINY, *settings)
    assert code == 0 and "Accuracy on validation episodes: " in out
    assert "after 2 meta-steps" in out and "innerloop fewshot evaluate mine" in out
    assert {"run.toml", "metrics.jsonl"} <= {file.name for file in (tmp_path / "mine").iterdir()}
    found, data = load_with_data("mine")
    assert name_of(found, data) == "meta-lstm-shapes-2w-1s" and found.shape.channels == 1
    assert found.inner_steps == 2 and found.settings.hidden == 4
    # A file names no folder to read; the command that is shown does.
    small = ("--episodes", "4", "--queries", "3")
    code, _, err = run("evaluate", "mine", *small)
    assert code == 2 and "learned on images of a folder" in err and "--data" in err
    command = out.splitlines()[-1].split()
    assert command[:4] == ["innerloop", "fewshot", "evaluate", "mine"]
    code, out, _ = run(*command[2:], *small, "--out", "judged")
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


def test_a_baseline_is_trained_on_all_classes_of_the_training_split(run, asked):
    code, *_ = run("train", "nearest-neighbour", *asked, "--out", "mine", *TINY, *SMALL)
    mine = load("mine")
    assert code == 0 and mine.shape.classes == 3 and mine.head is None


def test_evaluation_is_of_the_split_and_seed_that_are_asked_for(folder, file):
    found = [
        evaluate_learner(
            *load_with_data(file),
            EvaluationSettings(split=split, episodes=6, queries=2, seed=seed),
            data=str(folder),
        )
        for split, seed in (("test", 0), ("test", 0), ("test", 1), ("validation", 0))
    ]
    assert found[0] == found[1] and {each["split"] for each in found} == {"test", "validation"}
    assert len({(each["accuracy"], each["ci95"]) for each in found}) > 1
    assert all(each["inner_steps"] == 0 for each in found)


def test_transductive_results_say_so(folder, file):
    found = evaluate_learner(
        *load_with_data(file),
        EvaluationSettings(episodes=2, queries=2, transductive=True),
        data=str(folder),
    )
    assert found["transductive"] is True


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "protonets"], "no method 'protonets'. Did you mean 'protonet'?"),
        (["train"], "Name a method"),
        (["train", "protonet", "--data", "nowhere"], "There is no data 'nowhere'"),
        (["train", "protonet", "--backbone", "conv5"], "backbone 'conv5'. Did you mean 'conv4'?"),
        (["train", "protonet", "--queries", "0"], "queries is 0"),
        (
            ["train", "protonet", "--way", "4", "--queries", "2"],
            "has 9 classes, 3 for training, 3 for validation and 3 for testing, and 4-way",
        ),
        (["train", "protonet", "--way", "1"], "way is 1; it must be a whole number of at least 2"),
        (["train", "protonet", "--shot", "4"], "An episode takes "),
        (["train", "protonet", "--steps", "0"], "steps is 0"),
        (["train", "meta-lstm", "--method.steps", "0"], "steps is 0"),
        (["train", "maml", "--training-way", "3"], "training_way is 3; it must be left out"),
        (["train", "finetune", "--training-way", "3"], "training_way is 3; it must be left out"),
        (["train", "maml", "--rule-learning-rate", "1", "--queries", "2"], "MAML learns no rule"),
        (
            ["train", "protonet", "--rule-learning-rate", "1", "--queries", "2"],
            "Network learns no rule",
        ),
        (["train", "meta-sgd", "--rule-learning-rate", "0"], "rule_learning_rate is 0"),
        (["train", "maml", "--init-from", "nowhere"], "There is no file 'nowhere'"),
        (["train", "maml", "--init-from", "mine.safetensors"], "Training cannot begin from mine"),
        (["evaluate", "nowhere"], "There is no file 'nowhere'"),
        (["evaluate", "mine.safetensors", "--data", "nowhere"], "There is no data 'nowhere'"),
        (["evaluate", "mine.safetensors"], "does not say which data it learned on"),
        (["evaluate", "mine.safetensors", "--episodes", "1", "--data", "D"], "episodes is 1"),
        (["evaluate", "mine.safetensors", "--queries", "4", "--data", "D"], "An episode takes 6"),
        (["adept"], "There is no command 'fewshot adept'. Did you mean 'adapt'?"),
    ],
)
def test_what_cannot_be_done_gets_a_sentence(run, folder, file, arguments, words):
    if arguments[0] == "train" and len(arguments) > 1:
        more = {"--data": folder, "--way": "2", "--data.side": "16", "--out": "out"}
        if "nowhere" in arguments and "--data" in arguments:
            more.pop("--data.side")
        for name, value in more.items():
            if name not in arguments:
                arguments = [*arguments, name, str(value)]
    code, _, err = run(*(str(folder) if word == "D" else word for word in arguments))
    sentence = err.splitlines()[-1]
    assert code == 2 and sentence.startswith("innerloop: ") and words in sentence
    assert "Traceback" not in err


def test_images_of_another_size_are_refused(file):
    with pytest.raises(InnerloopError, match=r"28×28×1; protonet-shapes-2w-2s learned on 16×16×1"):
        evaluate_learner(*load_with_data(file), data="omniglot")


def test_a_learner_of_nothing_but_nan_has_no_accuracy(run, asked, tmp_path):
    """The argmax of NaN is class 0, which is right in one of `way` cases."""
    save(learner("maml", rate=3e38), tmp_path / "wild.safetensors", data=TrainingData(name="a"))
    small = ("--episodes", "4", "--queries", "2", "--data", asked[1], "--out", "judged")
    code, out, err = run("evaluate", "wild.safetensors", *small)
    assert code == 2 and "no accuracy: in 4 of 4 episodes its logits are no finite" in err
    assert "%" not in out and not (tmp_path / "judged" / "results.json").exists()


@pytest.mark.parametrize(
    "method",
    ["maml", *(pytest.param(name, marks=pytest.mark.slow) for name in ("meta-sgd", "meta-lstm"))],
)
def test_a_run_that_skips_all_of_its_steps_fails(run, asked, tmp_path, method, monkeypatch):
    rate = ("--method.rate", "1e30") if method != "meta-lstm" else ()
    if not rate:
        monkeypatch.setattr(
            "innerloop.fewshot._base.jax.nn.log_softmax", lambda logits: logits * float("nan")
        )
    code, out, err = run("train", method, *asked, "--out", "mine", *TINY, *SMALL, *rate)
    assert code == 2 and "All 2 meta-steps were skipped" in err and "%" not in out
    assert not (tmp_path / "mine" / "learner.safetensors").exists()


def test_a_run_is_resumed_as_it_was_begun(run, asked):
    """With three classes to train on, which are fewer than the method's recipe would draw."""
    words = ("train", "protonet", *asked, "--out", "mine", *TINY, *SMALL)
    assert run(*words)[0] == 0
    code, _, err = run(*words, "--seed", "1", "--resume")
    assert code == 2 and "begun with seed = 0" in err
    code, _, err = run(*words)
    assert code == 2 and "--resume" in err


def test_a_run_is_made_again_from_its_own_settings(run, asked, tmp_path):
    assert run("train", "maml", *asked, "--out", "mine", *TINY, *SMALL)[0] == 0
    assert run("train", "--config", "mine/run.toml", "--out", "again")[0] == 0
    texts = [(tmp_path / name / "run.toml").read_text() for name in ("mine", "again")]
    assert texts[0] == texts[1] and same(load("mine"), load("again"))


def test_photographs_of_ones_own_are_mirrored_and_moved_and_trained_for_an_hour(folder):
    large, small = (find_data(str(folder), {"side": side}) for side in (84, 32))
    for method in registry.members("method"):
        mine, theirs = find_recipe(method, large), find_recipe(method, Choice("omniglot"))
        assert mine.augment.flip and mine.augment.shift == 8
        assert not theirs.augment.flip and mine.loop.steps < theirs.loop.steps
        assert mine.method.name == method and mine.data == large
        # A small image costs less, so that an hour has more steps.
        quick = find_recipe(method, small)
        assert quick.augment.shift == 3 and quick.loop.steps > 5 * mine.loop.steps
    assert find_recipe("maml", find_data("miniimagenet")).augment.shift == 8
    shrunk = find_recipe("joint", find_data("miniimagenet", {"side": 32}))
    assert shrunk.augment.shift == 3 and shrunk.loop.steps == 16_000
    assert find_recipe("maml", find_data(str(folder))).augment.shift == 8


def test_plda_builds_upon_the_joint_embedding_of_photographs(folder):
    joint, plda = (find_recipe(method, find_data(str(folder))) for method in ("joint", "plda"))
    assert joint.backbone == plda.backbone and plda.method.settings == {"mirrored": True}


@pytest.mark.parametrize(("pixels", "side"), [(16, 28), (32, 32), (100, 84)])
def test_images_keep_their_size_up_to_84_pixels(pixels, side, tmp_path):
    for name in "abc":
        place = tmp_path / "own" / name
        place.mkdir(parents=True)
        Image.new("RGB", (pixels + 9, pixels)).save(place / "0.png")
    found = with_side(find_data(str(tmp_path / "own")))
    assert found.settings["side"] == side
    given = find_data(str(tmp_path / "own"), {"side": 20})
    assert with_side(given) == given and with_side(Choice("omniglot")) == Choice("omniglot")


def test_list_names_all_that_is_registered(run):
    code, out, _ = run("list")
    for kind in ("method", "backbone", "dataset"):
        assert code == 0 and all(f"  {name} " in out for name in registry.members(kind))
    assert "protonet-omniglot-5w-1s" in out


def test_list_says_how_what_is_shipped_was_trained():
    runs = {
        "one": {"loop": {"steps": 1500}, "init_from": "two"},
        "two": {"loop": {"steps": 0}, "init_from": "/home/somebody/run"},
        "three": {"loop": {"steps": 20}, "init_from": None},
    }
    assert [" ".join(line.split()) for line in shipped_lines(runs)] == [
        "one 1,500 meta-steps, from two",
        "two no meta-step",
        "three 20 meta-steps",
    ]


def test_with_no_steps_a_learner_is_taken_as_it_is_and_tuned(run, asked, tmp_path):
    small = (*SMALL, "--validation-problems", "2", "--learning-rate", "0.1")
    code, *_ = run("train", "nearest-neighbour", *asked, *small, "--steps", "2", "--out", "near")
    assert code == 0
    again = ("--init-from", "near", "--steps", "0", "--out", "tuned", "--method.steps", "3")
    code, out, _ = run("train", "finetune", *asked, *small, *again)
    assert code == 0 and "after 0 meta-steps" in out
    near, mine = load(tmp_path / "near"), load(tmp_path / "tuned")
    assert same(mine.params, near.params)
    header = describe(tmp_path / "tuned")["run"]
    assert header["init_from"] == "near" and header["loop"]["steps"] == 0
    best = max(header["tuning"], key=lambda each: each["accuracy"])
    assert best["settings"]["rate"] == mine.settings.rate
    assert f"{100 * best['accuracy']:.2f} %" in out
