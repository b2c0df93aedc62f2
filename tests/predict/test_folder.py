"""A folder of one's own images in, predictions and a picture sheet out."""

import csv
import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from helpers import close, learner as make_learner
from innerloop import InnerloopError
from innerloop.cli import main
from innerloop.fewshot import Shape, TrainingData, save
from innerloop.plots.sheet import draw_sheet, sheet_figure
from innerloop.predict import adapt_folder, folder as adapt, predictions

# Four convolutions of 36 numbers, whose statistics are means over up to six images of 256 pixels.
TOLERANCE = {"additions": 2000, "dtype": "float32"}


def make(method="protonet", data="photographs", channels=3, **settings):
    shape = Shape(way=3, shot=1, side=16, channels=channels, classes=6)
    found = make_learner(method, shape=shape, filters=4, blocks=4, **settings)
    return found, TrainingData(name=data, dataset=data)


@pytest.fixture(scope="session")
def protonet():
    return make()


@pytest.fixture(scope="session")
def meta_lstm():
    return make("meta-lstm", steps=2)


COLOURS = {"red": (220, 30, 30), "green": (20, 200, 40), "blue": (40, 30, 230)}


def picture(path, colour, seed=0, size=(24, 20), mode="RGB"):
    """A noisy image of one colour, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    noisy = random.normal(colour, 12, (size[1], size[0], 3)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noisy).convert(mode).save(path)
    return path


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """support/ with 1, 2 and 3 images of three colours, and query/ with one of each and more."""
    monkeypatch.chdir(tmp_path)
    for many, (name, colour) in enumerate(COLOURS.items(), 1):
        for number in range(many):
            picture(tmp_path / "support" / name / f"{number}.png", colour, 10 * many + number)
        picture(tmp_path / "query" / "inside" / f"{name}.JPG", colour, 100 + many, (17, 40))
    picture(tmp_path / "query" / "10.png", COLOURS["red"], 7, mode="L")
    picture(tmp_path / "query" / "2.png", COLOURS["blue"], 8, mode="RGBA")
    picture(tmp_path / "query" / ".thumbs" / "2.png", (0, 0, 0))
    picture(tmp_path / "support" / ".cache" / "2.png", (0, 0, 0))
    (tmp_path / "query" / "notes.txt").write_text("No image.")
    (tmp_path / "support" / "notes.txt").write_text("No image.")
    return tmp_path / "support", tmp_path / "query"


def names(predictions):
    return [name.split("query/")[1] for name in predictions.names]


def test_images_like_a_class_s_are_named_after_it(protonet, folders):
    found = adapt_folder(*protonet, *folders)
    assert found.classes == ("blue", "green", "red")
    expected = ["2.png", "10.png", "inside/blue.JPG", "inside/green.JPG", "inside/red.JPG"]
    assert names(found) == expected
    labels = dict(zip(expected, found.labels, strict=True))
    assert labels["2.png"] == "blue"
    for colour in COLOURS:
        assert labels[f"inside/{colour}.JPG"] == colour
    assert found.probabilities.shape == (5, 3)
    close(found.probabilities.sum(1), np.ones(5), additions=10, dtype="float32")
    assert list(found.support_labels) == [0, 0, 0, 1, 1, 2]
    assert found.support.shape == (6, 16, 16, 3) and found.shown.shape == (5, 16, 16, 3)
    assert found.inverted == 0
    # Every class has its own images, and grey has three equal channels.
    assert (
        found.support[:3].mean((0, 1, 2)).argmax() == 2 and found.support[5].mean((0, 1))[0] > 200
    )
    assert np.all(found.shown[1] == found.shown[1][..., :1])


def test_a_learner_by_gradients_adapts_and_says_what_its_predictor_says(meta_lstm, folders):
    import jax.numpy as jnp

    from innerloop.fewshot.episode import Labelled

    learner, recipe = meta_lstm
    found = adapt_folder(learner, recipe, *folders, seed=3)
    support = Labelled(jnp.asarray(found.support), jnp.asarray(found.support_labels))

    @jax.jit
    def expect(images):
        return jax.nn.softmax(learner.adapt(support, 3, key=jax.random.key(3))(images))

    expected = expect(jnp.asarray(found.shown))
    close(found.probabilities, expected, **TOLERANCE)


def test_queries_in_batches_are_judged_as_all_at_once(protonet, folders, monkeypatch):
    whole = adapt_folder(*protonet, *folders)
    monkeypatch.setattr(adapt, "BATCH_SIZE", 2)
    monkeypatch.setattr(adapt, "SHOWN", 3)
    parts = adapt_folder(*protonet, *folders)
    assert parts.names == whole.names
    close(parts.probabilities, whole.probabilities, **TOLERANCE)
    np.testing.assert_array_equal(parts.shown, whole.shown[:3])


def test_transductive_queries_are_normalised_together(protonet, folders):
    support, query = folders
    alone = adapt_folder(*protonet, support, query)
    together = adapt_folder(*protonet, support, query, transductive=True)
    assert np.abs(alone.probabilities - together.probabilities).max() > 1e-3
    (query / "10.png").unlink()
    fewer = adapt_folder(*protonet, support, query, transductive=True)
    assert np.abs(together.probabilities[0] - fewer.probabilities[0]).max() > 1e-4


def test_one_file_is_a_query(protonet, folders):
    support, query = folders
    found = adapt_folder(*protonet, support, query / "inside" / "green.JPG")
    assert found.labels == ["green"] and found.probabilities.shape == (1, 3)


@pytest.fixture
def drawings(tmp_path):
    """Dark strokes on white, and white ones on black."""
    for place, name in enumerate("ab"):
        pixels = np.full((40, 40), 255, np.uint8)
        pixels[10 : 20 + 10 * place, 18:22] = 0
        for folder, content in (("support", pixels), ("query", 255 - pixels)):
            path = tmp_path / folder / name / "1.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(content).save(path)
    return tmp_path / "support", tmp_path / "query"


@pytest.mark.parametrize(
    ("data", "invert", "inverted", "ink"),
    [
        ("omniglot", "auto", 2, (True, True)),
        ("omniglot", "no", 0, (False, True)),
        ("omniglot", "yes", 4, (True, False)),
        ("others", "auto", 0, (False, True)),
    ],
)
def test_a_learner_of_omniglot_sees_white_ink(drawings, data, invert, inverted, ink):
    learner, recipe = make(data=data, channels=1)
    found = adapt_folder(learner, recipe, *drawings, invert=invert)
    assert found.inverted == inverted
    assert found.support.shape == (2, 16, 16, 1)
    assert (bool(found.support.mean() < 127), bool(found.shown.mean() < 127)) == ink


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir(parents=True)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda s, q: shutil.rmtree(s), "The support folder .*support does not exist"),
        (lambda s, q: (shutil.rmtree(s), s.write_text("")), "support is a file; a folder with one"),
        (lambda s, q: empty(s), "support has no folders in it"),
        (lambda s, q: empty(s / "red"), r"class folder red in .*support has no images \(.png"),
        (
            lambda s, q: (shutil.rmtree(s / "red"), shutil.rmtree(s / "blue")),
            "has one class, green; there must be two or more",
        ),
        (lambda s, q: (s / "red" / "0.png").write_bytes(b"?"), "red/0.png is no readable image"),
        (
            lambda s, q: Image.new("RGB", (9, 9)).save(s / "red" / "moving.gif"),
            "red/moving.gif is no readable image: it is damaged, or no PNG, JPEG, BMP or WebP",
        ),
        (
            lambda s, q: [(s / "red" / f"{n}.png").write_bytes(b"?") for n in (0, 7)],
            "2 of the 7 support images cannot be read: .*red/0.png, .*red/7.png",
        ),
        (
            lambda s, q: [file.write_bytes(b"?") for file in q.rglob("*.*") if file.is_file()],
            "5 of the 5 query images cannot be read: .*query/2.png, .*query/10.png, ",
        ),
        (lambda s, q: shutil.rmtree(q), "no queries at .*query: it does not exist"),
        (lambda s, q: empty(q), "The query folder .*query has no images"),
        (
            lambda s, q: (shutil.rmtree(q), q.symlink_to(s)),
            "6 of the 6 query images in .*query are support images too",
        ),
        (lambda s, q: (q / "3.png").symlink_to(s / "red" / "0.png"), "1 of the 6 query images"),
    ],
)
def test_what_cannot_be_learned_from_gets_a_sentence(protonet, folders, spoil, words):
    spoil(*folders)
    with pytest.raises(InnerloopError, match=words) as caught:
        adapt_folder(*protonet, *folders)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("transductive", [False, True])
def test_queries_that_cannot_be_read_are_left_out(protonet, folders, transductive, tmp_path):
    support, query = folders
    shutil.copytree(query, tmp_path / "others" / "query")
    (tmp_path / "others" / "query" / "2.png").unlink()
    (query / "2.png").write_bytes(b"?")
    found, without = (
        adapt_folder(*protonet, support, place, transductive=transductive)
        for place in (query, tmp_path / "others" / "query")
    )
    assert names(found) == names(without) and len(found.names) == 4
    close(found.probabilities, without.probabilities, **TOLERANCE)
    np.testing.assert_array_equal(found.shown, without.shown)
    assert len(found.unreadable) == 1 and found.unreadable[0].endswith("query/2.png")
    written = predictions.write_predictions(found, tmp_path).read_text().splitlines()
    assert len(written) == 6 and written[-1] == f"{found.unreadable[0]},,,,,,"


def test_a_query_of_a_kind_that_is_not_read_is_named_too(protonet, folders):
    support, query = folders
    (query / "notes.txt").write_text("not an image by its ending")
    (query / "IMG_1.HEIC").write_bytes(b"as telephones save them")
    found = adapt_folder(*protonet, support, query)
    assert len(found.names) == 5
    assert found.unreadable == (f"{query.as_posix()}/IMG_1.HEIC",)


def test_a_query_that_is_a_support_image_is_refused(protonet, folders):
    support, _ = folders
    with pytest.raises(InnerloopError, match=r"The query .*0.png is a support image"):
        adapt_folder(*protonet, support, support / "red" / "0.png")


def test_a_learner_by_gradients_takes_its_own_number_of_classes(meta_lstm, protonet, folders):
    support, query = folders
    picture(support / "white" / "1.png", (255, 255, 255))
    with pytest.raises(InnerloopError, match=r"exactly 3 classes.*4 class folders: blue, green"):
        adapt_folder(*meta_lstm, support, query)
    assert adapt_folder(*protonet, support, query).probabilities.shape == (5, 4)
    shutil.rmtree(support / "white")
    shutil.rmtree(support / "red")
    with pytest.raises(InnerloopError, match=r"2 class folders: blue, green\. Give 3"):
        adapt_folder(*meta_lstm, support, query)


def test_too_many_queries_to_normalise_together_are_refused(protonet, folders, monkeypatch):
    monkeypatch.setattr(adapt, "MOST_TOGETHER", 4)
    with pytest.raises(InnerloopError, match="5 images; at most 4 can be normalised together"):
        adapt_folder(*protonet, *folders, transductive=True)


def test_probabilities_that_are_no_numbers_are_refused(protonet, folders):
    learner, recipe = protonet
    broken = jax.tree.map(lambda leaf: leaf * np.nan, learner)
    with pytest.raises(InnerloopError, match=r"protonet-photographs-3w-1s gives .*2.png"):
        adapt_folder(broken, recipe, *folders)


def some_predictions(queries, classes, shots):
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), shots)
    logits = random.normal(size=(queries, classes))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    shown = min(queries, adapt.SHOWN)
    return predictions.Predictions(
        learner="some-learner",
        # The sheet's font has not the letters of the last, and $ is no formula.
        classes=(*(f"of $x_{number}" for number in range(classes - 1)), "\u6f22"),
        names=tuple(f"{number}.png" for number in range(queries)),
        probabilities=chances.astype(np.float32),
        support=random.integers(0, 256, (len(labels), 16, 16, 3)).astype(np.uint8),
        support_labels=labels,
        shown=random.integers(0, 256, (shown, 16, 16, 3)).astype(np.uint8),
        inverted=0,
        transductive=False,
        seed=0,
    )


@pytest.mark.parametrize(
    ("queries", "classes", "shots", "words"),
    [
        (3, 2, 1, ("2 classes with 1 image each", "Asked: 3 queries.")),
        (70, 3, [1, 4, 12], ("1 to 12 images each (shown: at most 10", "the first 60")),
        (1, 25, 1, ("(shown: the first 20 classes)", "Asked: 1 query.")),
    ],
)
def test_a_sheet_shows_what_was_learned_and_what_was_asked(
    tmp_path, queries, classes, shots, words
):
    predictions = some_predictions(queries, classes, shots)
    axes = sheet_figure(predictions).axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert all(any(word in text for text in texts) for word in words)
    support = sum(min(10, count) for count in np.bincount(predictions.support_labels)[:20])
    assert len(axes.images) == support + min(queries, 60)
    first = f"{predictions.labels[0]}\n{100 * predictions.probabilities[0].max():.0f} %"
    assert first in texts
    with Image.open(draw_sheet(predictions, tmp_path / "sheet.png")) as sheet:
        assert sheet.width > 1000


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["innerloop", "fewshot", "adapt", *arguments])
        try:
            main()
            code = 0
        except SystemExit as stopped:
            code = stopped.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_the_command_writes_predictions_and_a_sheet(run, protonet, folders, tmp_path):
    save(protonet[0], tmp_path / "mine.safetensors", data=protonet[1])
    given = ("mine.safetensors", "--support", "support", "--query", "query")
    code, out, _ = run(*given)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["query", "label", "probability", "blue", "green", "red", "doubt"]
    assert lines[1].split()[:2] == ["query/2.png", "blue"]
    folder = tmp_path / "runs" / "adapt-protonet-photographs-3w-1s"
    assert "adapt-protonet-photographs-3w-1s: predictions.csv, sheet.png" in out
    assert (folder / "sheet.png").stat().st_size > 5_000
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows][:2] == ["query/2.png", "query/10.png"]
    of = ["P(blue)", "P(green)", "P(red)"]
    assert list(rows[0]) == ["path", "label", "probability", *of, "doubt"]
    for row in rows:
        chances = {name: float(row[f"P({name})"]) for name in COLOURS}
        assert row["label"] == max(chances, key=lambda name: chances[name])
        assert float(row["probability"]) == max(chances.values())

    code, out, _ = run(*given, "--format", "json", "--out", "again")
    content = json.loads((tmp_path / "again" / "predictions.json").read_text())
    assert code == 0 and content["classes"] == ["blue", "green", "red"]
    assert content["support"] == [3, 2, 1] and content["learner"] == "protonet-photographs-3w-1s"
    for found, row in zip(content["predictions"], rows, strict=True):
        assert found["path"] == row["path"] and found["label"] == row["label"]
        assert found["probabilities"]["red"] == pytest.approx(float(row["P(red)"]), abs=1e-5)


def test_a_command_that_fails_leaves_no_folder(run, protonet, folders, tmp_path):
    save(protonet[0], tmp_path / "mine.safetensors", data=protonet[1])
    code, _, err = run("mine.safetensors", "--support", "query", "--query", "support")
    assert code == 2 and err.startswith("innerloop: ")
    assert not (tmp_path / "runs" / "adapt-protonet-photographs-3w-1s").exists()


def test_the_command_says_that_it_inverted(run, drawings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine, data = make(data="omniglot", channels=1)
    save(mine, tmp_path / "mine.safetensors", data=data)
    given = ("mine.safetensors", "--support", "support", "--query", "query")
    assert "2 of the 4 images were bright on the whole and were inverted" in run(*given)[1]
    assert "inverted" not in run(*given, "--invert", "no")[1]


def test_the_command_refuses_to_write_among_what_it_reads(run, protonet, folders, tmp_path):
    save(protonet[0], tmp_path / "mine.safetensors", data=protonet[1])
    given = ("mine.safetensors", "--support", "support", "--query")
    for query, out in (("query", "query/out"), (".", "out"), ("query", "support")):
        code, _, err = run(*given, query, "--out", out)
        assert code == 2 and err.startswith(f"innerloop: The output folder {out} is in")
        assert err.count("\n") == 1
    code, _, err = run(*given, "query", "--out", "mine.safetensors")
    assert code == 2 and "Cannot write to the folder" in err


def test_a_long_table_is_cut_and_says_so():
    text = predictions.table(some_predictions(13, 8, 1))
    assert len(text.splitlines()) == 12 and text.endswith("… and 3 more")
    assert text.splitlines()[0].split() == ["query", "label", "probability", "doubt"]
