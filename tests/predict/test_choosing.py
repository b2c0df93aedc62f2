"""The learner that is taken where none is named."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from innerloop import InnerloopError
from innerloop.cli import main
from innerloop.fewshot.files import shipped
from innerloop.predict import choose_learner, choosing

INK, SMALL, PICTURES = (choosing._LEARNERS[kind] for kind in ("ink", "small pictures", "pictures"))


def ink(random, side=200):
    """A pen's strokes on warm paper that is lit from one side."""
    page = Image.new("L", (side, side), 255)
    points = [
        tuple(map(int, point)) for point in random.integers(side // 5, side - side // 5, (5, 2))
    ]
    ImageDraw.Draw(page).line(points, fill=0, width=side // 25)
    light = np.linspace(0.75, 1, side)[None, :, None]
    paper = 40 + np.asarray(page, float)[..., None] / 255 * 175
    noisy = paper * light * np.asarray([1, 0.97, 0.9]) + random.normal(0, 5, (side, side, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def white_ink(random, side=200):
    return 255 - ink(random, side)


def photograph(random, side=200):
    coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3)).astype(np.uint8))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))


def grey_photograph(random, side=200):
    return np.repeat(photograph(random, side)[..., :1], 3, 2)


def folder(path, make, shots=(1, 1), **settings):
    random = np.random.default_rng(0)
    for number, shot in enumerate(shots):
        (path / f"class{number}").mkdir(parents=True)
        for place in range(shot):
            pixels = make(random, **settings)
            Image.fromarray(pixels).save(path / f"class{number}" / f"{place}.png")
    return path


@pytest.fixture
def weights(monkeypatch):
    """Whether VGG16's weights are there."""
    there = [True]
    monkeypatch.setattr(choosing, "has_vgg16", lambda: there[0])
    return there


@pytest.mark.parametrize(
    ("make", "side", "learner", "reason"),
    [
        (ink, 200, INK[1], "ink on paper"),
        (ink, 28, INK[1], "ink on paper"),
        (white_ink, 105, INK[1], "ink on paper"),
        (photograph, 32, "vgg16-photographs", "are photographs"),
        (grey_photograph, 200, "vgg16-photographs", "are photographs"),
    ],
)
def test_a_learner_is_taken_by_what_the_images_are(tmp_path, weights, make, side, learner, reason):
    found = choose_learner(folder(tmp_path, make, (2, 2), side=side))
    assert found.learner == learner and reason in found.reason


@pytest.mark.parametrize(
    ("side", "learner"), [(32, SMALL[5]), (48, SMALL[5]), (49, PICTURES[1]), (200, PICTURES[1])]
)
def test_without_the_weights_photographs_go_to_a_shipped_learner(tmp_path, weights, side, learner):
    weights[0] = False
    found = choose_learner(folder(tmp_path, photograph, side=side))
    assert found.learner == learner and "pip install 'innerloop[style]'" in found.reason
    assert f"of {side} pixels" in found.reason


def test_the_class_with_the_fewest_images_decides_the_shots(tmp_path, weights):
    assert choose_learner(folder(tmp_path / "few", ink, (5, 2))).learner == INK[1]
    assert choose_learner(folder(tmp_path / "many", ink, (5, 4))).learner == INK[5]


def test_the_learners_that_are_taken_are_shipped():
    assert {*INK.values(), *SMALL.values(), *PICTURES.values()} <= set(shipped())


def test_images_that_cannot_be_read_get_a_sentence(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"?")
    with pytest.raises(InnerloopError, match=r"a/1.png is no readable image"):
        choose_learner(tmp_path)


def test_the_command_says_what_it_takes_and_why(tmp_path, monkeypatch, capsys):
    folder(tmp_path / "support", ink)
    Image.fromarray(ink(np.random.default_rng(9))).save(tmp_path / "query.png")
    monkeypatch.chdir(tmp_path)
    words = ["--support", "support", "--query", "query.png", "--out", "out"]
    monkeypatch.setattr("sys.argv", ["innerloop", "fewshot", "adapt", *words])
    main()
    out = capsys.readouterr().out
    assert out.startswith(f"Taken: {INK[1]}, as the images are ink on paper.\n")
    assert "Probabilities are not calibrated" in out
    assert (tmp_path / "out" / "predictions.csv").is_file()
