"""Folders as people and tools make them: links, cycles, pipes, and names in no encoding."""

import itertools
import os

import numpy as np
import pytest
from PIL import Image

from innerloop import InnerloopError
from innerloop.datasets import load_class_folders
from innerloop.datasets.cifar10 import CLASSES, read_cifar10
from innerloop.datasets.folders import list_tree
from innerloop.datasets.images import ImageStore


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def draw(path, number=7, side=32):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side, 3), number, np.uint8)).save(path)


def test_links_to_files_and_folders_are_followed(tmp_path):
    draw(tmp_path / "elsewhere" / "deep" / "a.png")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "b.png").symlink_to(tmp_path / "elsewhere" / "deep" / "a.png")
    files, folders = list_tree(tmp_path / "root", 10)
    assert sorted(files) == ["b.png", "cat/deep/a.png"] and sorted(folders) == ["cat", "cat/deep"]


@pytest.mark.parametrize("back", [".", "..", "../cat"])
def test_a_cycle_is_seen(tmp_path, back):
    draw(tmp_path / "root" / "cat" / "a.png")
    (tmp_path / "root" / "cat" / "back").symlink_to(tmp_path / "root" / "cat" / back)
    files, folders = list_tree(tmp_path / "root", 10)
    assert files == ["cat/a.png"] and folders == ["cat"]


def test_a_link_to_itself_is_no_file_that_can_be_read(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere.png")
    store = ImageStore(tmp_path)
    assert store.names == ["a.png", "b.png"]
    for name in store.names:
        with pytest.raises(InnerloopError, match=f"{name} in .* cannot be read"):
            store.read(name)


def test_a_pipe_is_passed_over(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert ImageStore(tmp_path).files == []


def test_links_that_multiply_are_refused(tmp_path):
    for number in range(12):
        for name in "ab":
            (tmp_path / str(number)).mkdir(exist_ok=True)
            (tmp_path / str(number) / name).symlink_to(tmp_path / str(number + 1))
    (tmp_path / "12").mkdir()
    with pytest.raises(InnerloopError, match="holds more than 1000 files and folders"):
        list_tree(tmp_path / "0", 1000)


def test_linked_classes_are_classes(tmp_path):
    for number, name in enumerate(("cat", "dog", "elk")):
        draw(tmp_path / "elsewhere" / name / "1.png", number)
        (tmp_path / "linked").mkdir(exist_ok=True)
        (tmp_path / "linked" / name).symlink_to(tmp_path / "elsewhere" / name)
    names = [
        load_class_folders(tmp_path / "linked", split, side=16, progress=False).names
        for split in ("train", "validation", "test")
    ]
    assert sorted(itertools.chain(*names)) == ["cat", "dog", "elk"]


def test_linked_folders_of_cifar_10_are_read(tmp_path):
    for label, name in enumerate(CLASSES):
        draw(tmp_path / "all" / name / "1.png", label)
    (tmp_path / "cifar10").mkdir()
    for split in ("train", "test"):
        (tmp_path / "cifar10" / split).symlink_to(tmp_path / "all")
    data = read_cifar10(tmp_path / "cifar10")
    assert data.train_images[:, 0, 0, 0].tolist() == data.test_labels.tolist() == [*range(10)]


def test_a_name_that_is_no_utf_8_is_read_and_cached(tmp_path):
    names = [os.fsdecode(name) for name in (b"caf\xe9", b"dog", b"elk")]
    for name in names:
        draw(tmp_path / "odd" / name / os.fsdecode(b"\xff.png"))
    for _ in range(2):
        loaded = [
            load_class_folders(tmp_path / "odd", split, side=4, progress=False)
            for split in ("train", "validation", "test")
        ]
    assert sorted(name for data in loaded for name in data.names) == sorted(names)
