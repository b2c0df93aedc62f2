"""Folders of one class each: how they are split, what is read, and what is refused."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from innerloop import InnerloopError
from innerloop.datasets.class_folders import load_class_folders

SPLITS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture(params=["folder", "zip"])
def laid_out(request, tmp_path):
    """Makes a folder, or a zip, of images ("cat/1.png": its shade) and texts."""

    def make(files, empty=()):
        root = tmp_path / "photographs"
        for name in empty:
            (root / name).mkdir(parents=True)
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, int):
                Image.new("RGB", (6, 4), (content, content, content)).save(root / name)
            else:
                (root / name).write_text(content)
        if request.param == "folder":
            return root
        with zipfile.ZipFile(tmp_path / "photographs.zip", "w") as archive:
            for file in sorted(root.rglob("*")):
                # Folders are written only where nothing else would name them.
                if file.is_file() or not any(file.iterdir()):
                    archive.write(file, file.relative_to(root))
        return tmp_path / "photographs.zip"

    return make


def load(path, split="train", **settings):
    return load_class_folders(path, split, side=4, progress=False, **settings)


def shades(classes):
    """Class → the shades of its images."""
    parts = zip(classes.names, classes.starts, classes.counts, strict=True)
    return {
        name: classes.images[start : start + count, 0, 0, 0].tolist()
        for name, start, count in parts
    }


def classes(*names, under="", number=1):
    """`number` images of each class."""
    return {f"{under}{name}/{index}.png": index for name in names for index in range(number)}


@pytest.mark.parametrize("called", ["validation", "val"])
def test_folders_of_the_splits_are_the_splits(laid_out, called):
    path = laid_out(
        {"train/dog/2.png": 2, "train/dog/1.png": 1, "train/cat/a.png": 3, "test/owl/1.png": 4}
        | {f"{called}/fox/1.png": 5, "train.txt": "fox\n", "owl/9.png": 9}
    )
    assert shades(load(path, "train")) == {"cat": [3], "dog": [1, 2]}
    assert shades(load(path, "validation")) == {"fox": [5]}
    assert shades(load(path, "test")) == {"owl": [4]}


@pytest.mark.parametrize("called", ["validation", "val"])
def test_lists_of_classes_are_the_splits(laid_out, called):
    files = classes("cat", "dog", "fox", "owl", "yak")
    files |= {"train.txt": "\ufeffowl\r\n cat \n\n", f"{called}.txt": "fox", "test.txt": "dog\n"}
    path = laid_out(files)
    assert [load(path, split).names for split in SPLITS] == [("owl", "cat"), ("fox",), ("dog",)]


def test_lists_may_lie_beside_the_folder_of_all_classes(laid_out):
    files = classes("cat", "dog", "fox", under="images/")
    path = laid_out(files | {"train.txt": "fox", "val.txt": "dog", "test.txt": "cat"})
    assert [load(path, split).names for split in SPLITS] == [("fox",), ("dog",), ("cat",)]


@pytest.mark.parametrize(
    ("number", "sizes"),
    [(3, (1, 1, 1)), (4, (2, 1, 1)), (10, (6, 2, 2)), (50, (32, 8, 10)), (100, (64, 16, 20))],
)
def test_otherwise_classes_are_split_by_chance(laid_out, number, sizes):
    names = [f"class{index:02}" for index in range(number)]
    path = laid_out(classes(*names))
    parts = [load(path, split).names for split in SPLITS]
    assert tuple(map(len, parts)) == sizes
    assert sorted(name for part in parts for name in part) == names
    assert all(part == tuple(sorted(part)) for part in parts)


def test_another_seed_is_another_split_and_the_same_is_the_same(laid_out):
    path = laid_out(classes(*"abcdefghijklmnopqrst"))
    tests = [load(path, "test", seed=seed).names for seed in (0, 0, 1, 2)]
    assert tests[0] == tests[1] == ("e", "i", "k", "n") and len(set(tests)) == 3


def test_a_class_called_like_a_split_is_a_class(laid_out):
    path = laid_out(classes("train", "bus", "tram"))
    assert sorted(name for split in SPLITS for name in load(path, split).names) == [
        "bus", "train", "tram"
    ]  # fmt: skip


def test_classes_may_differ_in_size_and_have_folders_inside(laid_out):
    path = laid_out(
        classes("cat", number=3)
        | classes("dog", number=1)
        | {"owl/images/1.png": 7, "owl/2.PNG": 8, "owl/notes.txt": "", "readme.png": 9}
        | {"train.txt": "cat\ndog\nowl", "val.txt": "fox", "test.txt": "yak"}
        | classes("fox", "yak")
    )
    found = load(path)
    assert found.counts == (3, 1, 2) and found.starts == (0, 3, 4)
    assert shades(found)["owl"] == [8, 7]


@pytest.mark.parametrize("outer", ["all/", "all/of/them/"])
def test_the_one_folder_that_everything_lies_in_is_looked_into(laid_out, outer):
    files = classes("cat", "dog", "fox", under=outer) | {
        "__MACOSX/all/cat/._0.png": "",
        "a.txt": "",
    }
    path = laid_out(files)
    assert sorted(name for split in SPLITS for name in load(path, split).names) == [
        "cat", "dog", "fox"
    ]  # fmt: skip


def test_hidden_files_are_ignored(laid_out):
    files = {".git/1.png": 1, "cat/.2.png": "no image", "cat/.more/3.png": "no image"}
    path = laid_out(classes("cat", "dog", "fox") | files)
    assert sum((load(path, split).counts for split in SPLITS), ()) == (1, 1, 1)


def test_images_are_squares_of_the_side_and_kind_asked_for(laid_out):
    path = laid_out(classes("cat", "dog", "fox"))
    for side, grey, channels in ((4, False, 3), (9, False, 3), (9, True, 1)):
        found = load_class_folders(path, "train", side=side, grey=grey, progress=False)
        assert found.images.shape == (1, side, side, channels) and found.images.dtype == np.uint8
    assert load_class_folders(path, "train", progress=False).images.shape == (1, 84, 84, 3)


def test_images_are_converted_once_and_counted(laid_out, monkeypatch, capfd):
    path = laid_out(classes("cat", "dog", "fox", number=2))
    first = load_class_folders(path, "test", side=4)
    assert "2/2" in capfd.readouterr().err
    monkeypatch.setattr("innerloop.datasets.class_folders.square", None)
    second = load_class_folders(path, "test", side=4)
    assert isinstance(second.images, np.memmap) and np.array_equal(first.images, second.images)
    assert not capfd.readouterr().err


def test_a_new_image_is_seen(laid_out, tmp_path):
    splits = {"train.txt": "cat", "val.txt": "dog", "test.txt": "fox"}
    files = classes("cat", "dog", "fox") | splits
    assert shades(load(laid_out(files))) == {"cat": [0]}
    assert shades(load(laid_out(files | {"cat/9.png": 9}))) == {"cat": [0, 9]}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (classes("cat", "dog"), r"has 2 class folders; 3 or more are wanted"),
        ({"1.png": 1}, r"has 0 class folders; 3 or more are wanted"),
        (classes("cat"), r"has 1 class folder; 3 or more are wanted"),
        (
            {"train/cat/1.png": 1, "test/dog/1.png": 1},
            r"has train/ and test/, but no validation/ or val/\.",
        ),
        ({"train/cat/1.png": 1}, r"has train/, but no validation/ or val/\."),
        (
            {"train/cat/1.png": 1, "val/cat/1.png": 1, "test/dog/1.png": 1},
            r"'cat' is in two splits of .*, train and validation;",
        ),
        (
            classes("cat", "dog", "fox") | {"train.txt": "cat", "test.txt": "dog"},
            r"has train.txt and test.txt, but no validation.txt or val.txt\.",
        ),
        (
            classes("cat", "dog") | {"train.txt": "cat", "val.txt": "cow", "test.txt": "dog"},
            r"val.txt in .* lists the class 'cow', and there is no folder",
        ),
        (
            classes("cat", "dog") | {"train.txt": "cat", "val.txt": "dog", "test.txt": "cat"},
            r"'cat' is in two splits of .*, train and test;",
        ),
        (
            classes("cat", "dog") | {"train.txt": "cat\ncat", "val.txt": "dog", "test.txt": "dog"},
            r"train.txt in .* lists the class 'cat' twice",
        ),
        (
            classes("cat", "dog") | {"train.txt": "cat", "val.txt": "\n", "test.txt": "dog"},
            r"val.txt in .* lists no class",
        ),
    ],
)
def test_what_cannot_be_split_is_refused(laid_out, files, message):
    with pytest.raises(InnerloopError, match=message):
        load(laid_out(files))


@pytest.mark.parametrize("splits", [{}, {"train.txt": "cat", "val.txt": "dog", "test.txt": "owl"}])
def test_a_class_without_images_is_named(laid_out, splits):
    path = laid_out(classes("cat", "dog", "fox") | splits, empty=["owl"])
    with pytest.raises(InnerloopError, match=r"folder owl in .* has no images \(.png, .jpg"):
        load(path)


@pytest.mark.parametrize("name", ["7.jpg", "7.tiff"])
def test_a_damaged_image_and_one_of_another_kind_are_named(laid_out, name):
    files = classes("cat", "dog", "fox") | {f"cat/{name}": "no image"}
    path = laid_out(files | {"train.txt": "cat", "val.txt": "dog", "test.txt": "fox"})
    with pytest.raises(InnerloopError, match=rf"cat/{name} in .* is no readable image"):
        load(path)
    assert shades(load(path, "test")) == {"fox": [0]}


def test_images_have_pixels(laid_out):
    with pytest.raises(InnerloopError, match="cannot be 0 pixels wide"):
        load_class_folders(laid_out(classes("cat", "dog", "fox")), "train", side=0)


def test_a_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InnerloopError, match="nowhere is neither a folder nor a readable zip"):
        load(tmp_path / "nowhere")
