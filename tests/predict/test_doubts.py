"""Calibrated probabilities, and queries that look like none of the classes."""

import json

import numpy as np
import pytest
from PIL import Image

from helpers import learner as make_learner
from innerloop import InnerloopError
from innerloop.cli import main
from innerloop.fewshot import Shape, TrainingData, save
from innerloop.predict import adapt_folder, reject
from innerloop.predict.doubts import Calibration, calibrate, doubt, strangeness
from innerloop.predict.judges import Judge

COLOURS = {"red": (220, 30, 30), "green": (20, 200, 40), "blue": (40, 30, 230)}


class Known(Judge):
    """Says of left-out images what it is told to."""

    def __init__(self, logits):
        self.logits, self.asked = logits, []

    def __call__(self, files, images):
        raise AssertionError("There are no queries.")

    def without(self, out):
        self.asked.append(list(out))
        return self.logits[out]


def test_one_image_of_each_class_is_left_out_in_turn():
    labels = np.asarray([0, 0, 0, 1, 1])
    judge = Known(np.eye(2)[labels] * 30.0)
    found = calibrate(judge, labels, None)
    assert judge.asked == [[0, 3], [1, 4]]
    assert found.source == "left-out support images" and found.images == 4
    assert found.temperature > 5 and found.error == pytest.approx(1 / 6, abs=0.02)


def test_a_class_with_one_image_leaves_nothing_to_calibrate_on():
    labels = np.asarray([0, 0, 1])
    judge = Known(np.eye(2)[labels])
    assert calibrate(judge, labels, None) == Calibration() and not judge.asked
    validated = calibrate(judge, labels, (0.5, 0.02))
    assert validated == Calibration(0.5, "validation episodes", 0.02)


def test_validation_episodes_keep_the_temperature_near_theirs():
    labels = np.repeat([0, 1], 3)
    found = calibrate(Known(np.eye(2)[labels] * 30.0), labels, (1.0, 0.02))
    assert found.temperature == pytest.approx(1.0, abs=0.05)
    assert (found.source, found.error, found.images) == ("validation episodes", 0.02, 6)


def test_an_outlier_is_strange_and_a_class_s_own_images_are_not():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 5)

    def near(classes):
        return np.eye(8)[classes] + random.normal(0, 0.1, (len(classes), 8))

    found = strangeness(near(labels), labels, near([0] * 20 + [1] * 20 + [2] * 5))
    assert np.mean(found[:40] > 1) < 0.2 and np.all(found[40:] > 2)
    # Lengths say nothing.
    twice = strangeness(2 * near(labels), labels, 9 * np.eye(8)[[0, 5]])
    assert twice[0] < 1 < twice[1]
    assert strangeness(near([0, 0, 1]), np.asarray([0, 0, 1]), near([0])) is None


def test_one_in_twenty_of_a_class_is_strange():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 300)

    def near():
        return np.eye(8)[labels] + random.normal(0, 0.1, (len(labels), 8))

    assert 0.02 < np.mean(strangeness(near(), labels, near()) > 1) < 0.1


def test_a_support_image_is_not_compared_with_itself():
    # Each has a right angle to the other one of its class, and half of it to the mean of both.
    labels = np.asarray([0, 0, 1, 1])
    found = strangeness(np.eye(4), labels, np.eye(4)[:1])
    assert found[0] == pytest.approx(1 - np.sqrt(0.5))


def test_doubts_are_named():
    classes = ("cat", "dog", "owl")
    assert doubt(np.asarray([0.5, 0.3, 0.2]), classes, False) == "or dog"
    assert doubt(np.asarray([0.7, 0.2, 0.1]), classes, False) == ""
    assert doubt(np.asarray([0.7, 0.2, 0.1]), classes, True) == "none of the classes"


@pytest.fixture
def folders(tmp_path):
    """Three classes of four images of one colour, a query of each, and a query of none."""

    def draw(path, colour, seed):
        path.parent.mkdir(parents=True, exist_ok=True)
        noisy = np.random.default_rng(seed).normal(colour, 12, (20, 20, 3)).clip(0, 255)
        Image.fromarray(noisy.astype(np.uint8)).save(path)

    for label, (name, colour) in enumerate(COLOURS.items()):
        for number in range(4):
            draw(tmp_path / "support" / name / f"{number}.png", colour, 10 * label + number)
        draw(tmp_path / "query" / f"{name}.png", colour, 90 + label)
    stripes = np.zeros((20, 20, 3), np.uint8)
    stripes[::4] = 255
    Image.fromarray(stripes).save(tmp_path / "query" / "stripes.png")
    return tmp_path


@pytest.fixture(scope="module")
def protonet():
    shape = Shape(way=3, shot=1, side=16, channels=3, classes=6)
    return make_learner("protonet", shape=shape, filters=4, blocks=4), TrainingData(name="colours")


def test_what_looks_like_none_of_the_classes_is_left_out(protonet, folders):
    found = adapt_folder(*protonet, folders / "support", folders / "query")
    assert found.calibration.source == "left-out support images" and found.calibration.images == 12
    assert found.labels[:3] == ["blue", "green", "red"] and found.labels[3]
    assert list(found.strange) == [False, False, False, True]
    assert found.doubts[3] == "none of the classes"
    assert reject(found).labels == ["blue", "green", "red", ""]


def test_rejecting_takes_two_images_of_every_class_and_features(protonet, folders):
    maml = make_learner("maml", shape=protonet[0].shape, filters=2, blocks=1, steps=1)
    found = adapt_folder(maml, TrainingData(), folders / "support", folders / "query")
    assert found.calibration.source == "left-out support images"
    with pytest.raises(InnerloopError, match="compares no embeddings"):
        reject(found)
    for number in (1, 2, 3):
        (folders / "support" / "red" / f"{number}.png").unlink()
    found = adapt_folder(*protonet, folders / "support", folders / "query")
    assert found.calibration == Calibration()
    with pytest.raises(InnerloopError, match="the class red has one support image"):
        reject(found)


def test_the_command_leaves_out_and_says_so(protonet, folders, monkeypatch, capsys):
    save(protonet[0], folders / "mine.safetensors", data=protonet[1])
    monkeypatch.chdir(folders)
    (folders / "query" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    words = ["mine.safetensors", "--support", "support", "--query", "query", "--reject"]
    words += ["--out", "out", "--format", "json"]
    monkeypatch.setattr("sys.argv", ["innerloop", "fewshot", "adapt", *words])
    main()
    out = capsys.readouterr().out
    assert "1 of 4 look like none of the classes and have no label." in out
    assert "calibrated on 12 left-out support images; the expected calibration error on" in out
    assert "HEIC is not read; convert it to JPEG" in out
    content = json.loads((folders / "out" / "predictions.json").read_text())
    last = content["predictions"][3]
    assert last["label"] is None and last["probability"] is None
    assert last["doubt"] == "none of the classes" and content["calibration"]["images"] == 12
    monkeypatch.setattr("sys.argv", ["innerloop", "fewshot", "adapt", *words[:-2]])
    main()
    rows = (folders / "out" / "predictions.csv").read_text().splitlines()
    assert rows[4].startswith("query/stripes.png,,,") and rows[4].endswith(",none of the classes")


def test_a_learner_and_features_are_not_given_together(folders, monkeypatch, capsys):
    words = ["mine", "--features", "f.npz", "--support", "support", "--query", "query"]
    monkeypatch.setattr("sys.argv", ["innerloop", "fewshot", "adapt", *words])
    with pytest.raises(SystemExit):
        main()
    assert "Both the learner mine and features are given" in capsys.readouterr().err
