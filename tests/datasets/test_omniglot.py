"""Omniglot as it comes with the package: the splits, the images, and damage."""

import collections
import hashlib
import json
import lzma
import shutil
import tomllib
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from innerloop import InnerloopError
from innerloop.datasets import omniglot
from innerloop.datasets.omniglot import DRAWINGS, load_omniglot

PACKED = Path(str(resources.files("innerloop") / "datasets" / "packed"))


@pytest.fixture(scope="module")
def upright():
    return {
        split: load_omniglot(split, rotations=False) for split in ("train", "validation", "test")
    }


def test_the_splits_are_the_published_ones(upright):
    sizes = {split: len(classes.names) for split, classes in upright.items()}
    assert sizes == {"train": 1028, "validation": 172, "test": 423}
    everything = [name for classes in upright.values() for name in classes.names]
    assert len(set(everything)) == 1623
    for classes in upright.values():
        assert classes.images.shape == (DRAWINGS * len(classes.names), 28, 28, 1)
        assert classes.images.dtype == np.uint8 and set(classes.counts) == {DRAWINGS}


def test_characters_are_in_the_published_order(upright):
    train, test = upright["train"].names, upright["test"].names
    assert train[0] == "Alphabet_of_the_Magi/character01" and train[-1] == "Gurmukhi/character41"
    assert test[:4] == tuple(f"Gurmukhi/character{number}" for number in (42, 43, 44, 45))
    assert test[4] == "Kannada/character01" and test[-1] == "ULOG/character26"
    alphabets = collections.Counter(name.split("/")[0] for name in upright["validation"].names)
    assert alphabets == {
        "Armenian": 41, "Bengali": 46, "Early_Aramaic": 22, "Hebrew": 22, "Mkhedruli_(Georgian)": 41
    }  # fmt: skip


def test_ink_is_bright_on_a_dark_page(upright):
    images = upright["validation"].images
    assert images.max() == 255 and images.min() == 0
    assert (images[:, [0, -1]] == 0).mean() > 0.9 and 0.06 < images.mean() / 255 < 0.1
    assert images.max(axis=(1, 2, 3)).min() > 127  # No drawing is lost.


def test_turned_characters_are_classes_of_their_own(upright):
    turned, straight = load_omniglot("validation"), upright["validation"]
    number = len(straight.names)
    assert len(turned.names) == 4 * number == 688
    assert turned.names[:number] == straight.names
    assert turned.names[number] == "Armenian/character01/rot090"
    assert turned.names[-1] == "Mkhedruli_(Georgian)/character41/rot270"
    by_turn = turned.images.reshape(4, -1, 28, 28)
    # Counter-clockwise: the right column becomes the top row.
    assert np.array_equal(by_turn[1, :, 0], straight.images[:, :, -1, 0])
    assert np.array_equal(by_turn[2], straight.images[:, ::-1, ::-1, 0])
    assert np.array_equal(by_turn[3, :, :, -1], straight.images[:, 0, :, 0])


def test_with_turned_characters_the_splits_have_the_usual_sizes(upright):
    assert [4 * len(classes.names) for classes in upright.values()] == [4112, 688, 1692]


def test_a_pixel_is_the_part_of_its_area_that_is_ink():
    page = np.zeros((2, 105, 105), bool)
    page[0, 10:50, 31:77] = True
    page[1] = True
    packed = np.packbits(page, axis=-1).transpose(0, 2, 1)
    # An exact count of quarters: each of the 105 pixels is 4×4, each of the 28 is 15×15.
    quarters = page.repeat(4, axis=1).repeat(4, axis=2)
    areas = quarters.reshape(2, 28, 15, 28, 15).mean(axis=(2, 4))
    found = omniglot._shrunk(packed)
    assert np.abs(found - 255 * areas).max() <= 0.5 + 1e-4 and (found[1] == 255).all()


def test_the_packed_files_go_into_the_package(root):
    settings = tomllib.loads((root / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["innerloop"]
    for name in ("omniglot.xz", "omniglot.json", "omniglot.LICENSE"):
        assert (PACKED / name).is_file()
        assert any(fnmatch(f"datasets/packed/{name}", pattern) for pattern in patterns)
    assert (PACKED / "omniglot.xz").stat().st_size < 8_000_000


@pytest.mark.parametrize("damage", ["flipped", "repacked", "short", "gone", "other"])
def test_damage_is_said_in_a_sentence(tmp_path, monkeypatch, damage):
    folder = tmp_path / "datasets" / "packed"
    shutil.copytree(PACKED, folder)
    content = bytearray((folder / "omniglot.xz").read_bytes())
    content[1000] ^= 1
    if damage == "flipped":
        (folder / "omniglot.xz").write_bytes(content)
    elif damage == "repacked":  # A sound file of other pixels.
        pixels = bytearray(lzma.decompress((folder / "omniglot.xz").read_bytes()))
        pixels[0] ^= 1
        (folder / "omniglot.xz").write_bytes(lzma.compress(pixels, preset=0))
    elif damage == "short":
        (folder / "omniglot.xz").write_bytes(content[:-10])
    elif damage == "gone":
        (folder / "omniglot.xz").unlink()
    else:
        (folder / "omniglot.json").write_text("[]")
    monkeypatch.setattr(omniglot.resources, "files", lambda package: tmp_path)
    with pytest.raises(InnerloopError, match=r"Omniglot in .* is damaged .* install innerloop"):
        load_omniglot("test")


def packed_again(tmp_path, monkeypatch, change=lambda it: it, pixels=lambda pixels: pixels):
    """Other pixels, or another description, with a digest that is right."""
    folder = tmp_path / "datasets" / "packed"
    folder.mkdir(parents=True)
    content = (PACKED / "omniglot.xz").read_bytes()
    changed = pixels(content)
    description = json.loads((PACKED / "omniglot.json").read_text())
    description["sha256"] = hashlib.sha256(changed).hexdigest()
    (folder / "omniglot.json").write_text(json.dumps(change(description)))
    (folder / "omniglot.xz").write_bytes(changed)
    monkeypatch.setattr(omniglot.resources, "files", lambda package: tmp_path)


@pytest.mark.parametrize(
    "alphabets",
    [
        [5],
        {"Hebrew": 10**12},
        {"Latin": -5},
        {"Latin": 1623},
        {name: 812 if name == "Hebrew" else 0 for name in omniglot._VALIDATION},
    ],
)
def test_alphabets_are_the_published_ones(tmp_path, monkeypatch, alphabets):
    packed_again(tmp_path, monkeypatch, lambda it: {**it, "alphabets": alphabets})
    with pytest.raises(InnerloopError, match=r"Omniglot in .* is damaged"):
        load_omniglot("test")


@pytest.mark.parametrize("size", [10, 1 << 27, 1623 * 20 * 28 * 105])
def test_no_more_and_no_less_is_unpacked_than_there_is(tmp_path, monkeypatch, size):
    content = lzma.compress(bytes(size), preset=0)
    packed_again(tmp_path, monkeypatch, pixels=lambda _: content)
    with pytest.raises(InnerloopError, match="does not hold 47716200 bytes"):
        load_omniglot("test")


def test_a_description_that_is_nested_too_deep_is_refused(tmp_path, monkeypatch):
    packed_again(tmp_path, monkeypatch)
    (tmp_path / "datasets" / "packed" / "omniglot.json").write_text("[" * 100_000)
    with pytest.raises(InnerloopError, match=r"Omniglot in .* is damaged"):
        load_omniglot("test")
