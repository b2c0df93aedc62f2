"""miniImageNet from a zip and from a folder; and from what is neither."""

import collections
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from innerloop import InnerloopError
from innerloop.datasets.miniimagenet import SIDE, MiniImageNet, load_miniimagenet

TRAIN = "filename,label\nb.png,cat\na.png,dog\n"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def folder(root, train=TRAIN, names=("a", "b", "c")):
    """The published layout; the images are grey, each of its own shade."""
    (root / "images").mkdir(parents=True)
    for shade, name in enumerate(names):
        picture = np.full((SIDE, SIDE, 3), 50 * shade, np.uint8)
        Image.fromarray(picture).save(root / "images" / f"{name}.png")
    (root / "train.csv").write_text(train)
    (root / "val.csv").write_text("filename,label\nc.png,bird\n")
    return root


def packed(root, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in root.rglob("*.*"):
            archive.write(file, file.relative_to(root))
    return path


def shades(dataset):
    return dataset.store.images(dataset.names, (SIDE, SIDE))[:, 0, 0, 0].tolist()


def test_a_split_has_its_own_photographs_in_the_order_of_its_list(tmp_path):
    root = folder(tmp_path / "miniimagenet")
    train, val = MiniImageNet("train", root), MiniImageNet("val", root)
    assert train.labels == ["cat", "dog"] and shades(train) == [50, 0]
    assert val.labels == ["bird"] and shades(val) == [100]


@pytest.mark.parametrize("place", ["miniimagenet.zip", "miniimagenet/miniimagenet.zip", "my.zip"])
def test_the_zip_file_is_found_and_read(tmp_path, place):
    path = tmp_path / "data" / place
    path.parent.mkdir(parents=True)
    packed(folder(tmp_path / "made"), path)
    found = MiniImageNet("train", path if place == "my.zip" else tmp_path / "data")
    assert found.store.path == path and shades(found) == [50, 0]


def test_a_subfolder_the_environment_and_the_cache_are_looked_into(tmp_path, monkeypatch):
    folder(tmp_path / "data" / "miniimagenet")
    assert shades(MiniImageNet("train", tmp_path / "data")) == [50, 0]
    monkeypatch.setenv("INNERLOOP_DATA", str(tmp_path / "data"))
    assert shades(MiniImageNet("train")) == [50, 0]
    monkeypatch.delenv("INNERLOOP_DATA")
    (tmp_path / "data").rename(tmp_path / "innerloop")
    assert shades(MiniImageNet("train")) == [50, 0]


def test_what_is_nowhere_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("INNERLOOP_DATA", raising=False)
    for data_dir in (None, tmp_path):
        with pytest.raises(InnerloopError, match=r"put miniimagenet.zip .* INNERLOOP_DATA names"):
            MiniImageNet("train", data_dir)


def test_an_image_that_the_list_names_and_is_not_there_is_named(tmp_path):
    root = folder(tmp_path / "miniimagenet", names=("a", "c"))
    with pytest.raises(
        InnerloopError, match=r"train.csv and images/ do not agree \('b.png' is missing\)"
    ):
        MiniImageNet("train", root)


@pytest.mark.parametrize("column", ["filename", "label"])
def test_a_column_that_is_not_there_is_named(tmp_path, column):
    root = folder(tmp_path / "miniimagenet", train=TRAIN.replace(column, "other"))
    with pytest.raises(InnerloopError, match=f"'{column}' is missing"):
        MiniImageNet("train", root)


def test_a_split_without_a_list_is_named(tmp_path):
    with pytest.raises(InnerloopError, match=r"test.csv in .* cannot be read"):
        MiniImageNet("test", folder(tmp_path / "miniimagenet"))


@pytest.mark.parametrize(
    "train",
    [
        "filename,label\n" + "x" * 200_000,
        "filename,label\na.png\n",
    ],
    ids=["long", "no-label"],
)
def test_a_list_that_is_no_list_is_refused_in_a_sentence(tmp_path, train):
    root = folder(tmp_path / "miniimagenet")
    (root / "train.csv").write_bytes(train.encode())
    with pytest.raises(InnerloopError, match=r"train.csv"):
        MiniImageNet("train", root)


def test_something_else_in_its_place_is_refused(tmp_path):
    (tmp_path / "miniimagenet.zip").write_bytes(b"no zip")
    with pytest.raises(InnerloopError, match="neither a folder nor a readable zip"):
        MiniImageNet("train", tmp_path)


def test_an_image_of_another_size_is_refused(tmp_path):
    root = folder(tmp_path / "miniimagenet")
    Image.new("RGB", (90, 84)).save(root / "images" / "b.png")
    dataset = MiniImageNet("train", root)
    with pytest.raises(InnerloopError, match=r"b.png in .* is 90×84 pixels; 84×84 are wanted"):
        shades(dataset)


@pytest.fixture
def three(tmp_path):
    """Two classes in turn, the later in the alphabet first, and one in the validation split."""
    rows = "b.png,dog\na.png,cat\nd.png,dog\n"
    return folder(tmp_path / "miniimagenet", "filename,label\n" + rows, ("a", "b", "c", "d"))


def test_all_photographs_of_a_split_come_class_by_class(three, tmp_path, capfd):
    for path in (three, packed(three, tmp_path / "my.zip")):
        train = load_miniimagenet("train", path)
        assert train.names == ("dog", "cat") and train.counts == (2, 1)
        assert train.images.shape == (3, SIDE, SIDE, 3)
        assert train.images[:, 5, 7, 1].tolist() == [50, 150, 0]
        assert "miniimagenet-train: 100%" in capfd.readouterr().err
        assert load_miniimagenet("validation", path, False).names == ("bird",)
        assert not capfd.readouterr().err


def test_photographs_are_shrunk(three):
    whole, small = (load_miniimagenet("train", three, side=side) for side in (84, 21))
    assert small.images.shape == (3, 21, 21, 3) and small.names == whole.names
    # Each photograph here is of one colour.
    np.testing.assert_array_equal(small.images[:, 3, 3], whole.images[:, 9, 9])


@pytest.mark.parametrize("side", [0, 85])
def test_photographs_are_never_enlarged(three, side):
    with pytest.raises(InnerloopError, match=r"side is .*; it must be a whole number from 1 to 84"):
        load_miniimagenet("train", three, side=side)


def test_photographs_are_decoded_once(three, monkeypatch):
    first = load_miniimagenet("train", three)
    monkeypatch.setattr("innerloop.datasets.miniimagenet.ImageStore.image", None)
    second = load_miniimagenet("train", three)
    assert isinstance(second.images, np.memmap)
    assert np.array_equal(first.images, second.images) and first.names == second.names


def test_photographs_that_changed_are_decoded_again(three):
    load_miniimagenet("train", three)
    Image.new("RGB", (SIDE, SIDE), (9, 9, 9)).save(three / "images" / "a.png")
    os.utime(three / "images" / "a.png", ns=(0, 0))
    assert load_miniimagenet("train", three).images[:, 0, 0, 0].tolist() == [50, 150, 9]


def test_a_damaged_photograph_is_named_and_nothing_kept(three, tmp_path):
    (three / "images" / "d.png").write_bytes(b"no image")
    with pytest.raises(InnerloopError, match=r"images/d.png in .* is no readable image"):
        load_miniimagenet("train", three)
    assert not list(tmp_path.rglob("arrays/*"))


def test_a_list_of_nothing_is_refused(tmp_path):
    root = folder(tmp_path / "miniimagenet", train="filename,label\n")
    with pytest.raises(InnerloopError, match=r"list of .* for train names no photographs"):
        load_miniimagenet("train", root)


def test_the_real_photographs_of_a_class_are_read(real_data, monkeypatch):
    dataset = MiniImageNet("val", real_data)
    label = dataset.labels[-1]
    some = [name for name, of in zip(dataset.names, dataset.labels, strict=True) if of == label]
    monkeypatch.setattr(dataset, "names", some[:20])
    monkeypatch.setattr(dataset, "labels", [label] * 20)
    monkeypatch.setattr("innerloop.datasets.miniimagenet.MiniImageNet", lambda *_: dataset)
    found = load_miniimagenet("validation", real_data)
    assert found.names == (label,) and found.counts == (20,) and len(some) == 600
    last = dataset.store.images(some[19:20], (SIDE, SIDE))[0]
    assert np.array_equal(found.images[19], last) and last.std() > 10


def test_the_real_photographs_are_read(real_data):
    train = MiniImageNet("train", real_data)
    assert set(collections.Counter(train.labels).values()) == {600}
    assert len(set(train.labels)) == 64 and len(set(train.names)) == 64 * 600
    assert train.store.images(train.names[:1], (SIDE, SIDE)).shape == (1, 84, 84, 3)


@pytest.mark.parametrize("row", ["b.png,cat", "b.png,dog"])
def test_a_photograph_that_is_listed_twice_is_named(tmp_path, row):
    root = folder(tmp_path / "miniimagenet", train=f"{TRAIN}{row}\n")
    with pytest.raises(InnerloopError, match=r"train.csv in .* lists b.png twice; once is enough"):
        MiniImageNet("train", root)


def test_a_list_of_too_many_bytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("innerloop.datasets.miniimagenet.LARGEST_LIST", 20)
    with pytest.raises(InnerloopError, match=r"train.csv in .* is larger than 20 bytes"):
        MiniImageNet("train", folder(tmp_path / "miniimagenet"))


def test_a_long_name_does_not_fill_the_screen(tmp_path):
    root = folder(tmp_path / "miniimagenet", train=f"filename,label\n{'x' * 100_000},cat\n")
    with pytest.raises(InnerloopError, match="is missing") as caught:
        MiniImageNet("train", root)
    assert len(str(caught.value)) < 500
