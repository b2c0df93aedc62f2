"""CIFAR-10 from its archive, a zip and folders; and from what is none of them."""

import io
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from innerloop import InnerloopError
from innerloop.datasets.cifar10 import ARCHIVE, CLASSES, load_cifar10, read_cifar10


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("pooch.retrieve", lambda *a, **k: 1 / 0)


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3)).astype(np.uint8)


def batch(pictures, labels):
    data = pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1)
    return pickle.dumps({b"data": data, b"labels": labels, b"batch_label": b"x"}, protocol=2)


def archive(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def folders(root, side=32, classes=CLASSES):
    for split in ("train", "test"):
        for label, kind in enumerate(classes):
            folder = root / split / kind
            folder.mkdir(parents=True)
            picture = np.full((side, side, 3), 10 * label, np.uint8)
            Image.fromarray(picture).save(folder / "0000.png")
    return root


def test_the_published_archive_is_read(tmp_path):
    train, test = images(4), images(2, seed=1)
    members = {
        "data_batch_2": batch(train[2:], [2, 3]),
        "data_batch_1": batch(train[:2], [0, 1]),
        "test_batch": batch(test, [9, 8]),
        "readme.html": b"hello",
    }
    archive(tmp_path / ARCHIVE, members)
    data = load_cifar10(tmp_path)
    assert np.array_equal(data.train_images, train) and data.train_labels.tolist() == [0, 1, 2, 3]
    assert np.array_equal(data.test_images, test) and data.test_labels.tolist() == [9, 8]


def test_folders_and_the_same_in_a_zip_are_read(tmp_path):
    root = folders(tmp_path / "cifar10")
    data = load_cifar10(tmp_path)
    assert data.train_labels.tolist() == list(range(10))
    assert data.train_images[3].tolist() == np.full((32, 32, 3), 30).tolist()
    with zipfile.ZipFile(tmp_path / "cifar10-some.zip", "w") as packed:
        for file in root.rglob("*.png"):
            packed.write(file, file.relative_to(root))
    again = load_cifar10(tmp_path / "cifar10-some.zip")
    assert all(np.array_equal(a, b) for a, b in zip(data, again, strict=True))


def test_an_image_of_another_size_is_refused(tmp_path):
    with pytest.raises(InnerloopError, match=r"is 28×28 pixels; 32×32 are wanted"):
        read_cifar10(folders(tmp_path / "small", side=28))


def test_a_missing_class_is_named(tmp_path):
    with pytest.raises(InnerloopError, match="no images in train/truck/"):
        read_cifar10(folders(tmp_path / "nine", classes=CLASSES[:9]))


def test_a_file_that_is_no_image_is_named(tmp_path):
    root = folders(tmp_path / "broken")
    (root / "train" / "cat" / "0000.png").write_bytes(b"no picture")
    with pytest.raises(InnerloopError, match=r"train/cat/0000.png in .* is no readable image"):
        read_cifar10(root)


@pytest.mark.parametrize("name", ["cifar.7z", ARCHIVE, "cifar10.zip"])
def test_a_wrong_container_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"something else entirely")
    with pytest.raises(InnerloopError, match=r"no CIFAR-10 that can be read|damaged|neither"):
        load_cifar10(tmp_path / name)


def test_an_archive_of_something_else_is_refused(tmp_path):
    path = archive(tmp_path / ARCHIVE, {"data_batch_1": batch(images(1), [0])})
    with pytest.raises(InnerloopError, match="holds 1 training and 0 test batches"):
        read_cifar10(path)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps([1, 2], protocol=2),
        pickle.dumps({b"data": np.zeros((2, 7), np.uint8), b"labels": [0, 1]}, protocol=2),
        pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, protocol=2),
        b"\x80\x02no pickle",
    ],
)
def test_batches_of_another_kind_are_refused(tmp_path, content):
    members = {"data_batch_1": content, "test_batch": batch(images(1), [0])}
    with pytest.raises(InnerloopError, match=r"data_batch_1 in .* is (no batch|damaged)"):
        read_cifar10(archive(tmp_path / ARCHIVE, members))


class Harmful:
    def __reduce__(self):
        return (os.system, ("touch harmed",))


def test_a_pickle_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    members = {"data_batch_1": pickle.dumps(Harmful(), protocol=2)}
    with pytest.raises(InnerloopError, match=r"is refused: it asks for .*system"):
        read_cifar10(archive(tmp_path / ARCHIVE, members))
    assert not (tmp_path / "harmed").exists()


def test_arrays_of_objects_are_refused(tmp_path):
    members = {"data_batch_1": pickle.dumps(np.array([{}], dtype=object), protocol=2)}
    with pytest.raises(InnerloopError, match="refused"):
        read_cifar10(archive(tmp_path / ARCHIVE, members))


def test_what_is_nowhere_is_asked_for(tmp_path):
    with pytest.raises(InnerloopError, match=f"put {ARCHIVE} into"):
        load_cifar10(tmp_path)


def test_the_real_images_are_read(real_data):
    data = load_cifar10(real_data)
    assert data.train_images.shape == (20_000, 32, 32, 3)
    assert np.bincount(data.test_labels).tolist() == [500] * 10


def packed(path, members):
    """As `archive`, with members that are (name, bytes) and may be there twice."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_what_is_passed_over_counts_as_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("innerloop.datasets.archives.MOST_UNPACKED", 1 << 20)
    bomb = packed(tmp_path / ARCHIVE, [("zeros", bytes(2 << 20))])
    assert bomb.stat().st_size < 10_000
    with pytest.raises(InnerloopError, match=r"tar.gz unpacks to more than 1048576 bytes"):
        read_cifar10(bomb)


def test_a_batch_that_is_there_twice_is_refused(tmp_path):
    one = batch(images(1), [0])
    for other in ("data_batch_1", "more/data_batch_1"):
        members = [("data_batch_1", one), (other, one), ("test_batch", one)]
        with pytest.raises(InnerloopError, match="has data_batch_1 twice; once is enough"):
            read_cifar10(packed(tmp_path / ARCHIVE, members))


def test_thousands_of_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("innerloop.datasets.archives.MOST_MEMBERS", 10)
    members = [(str(number), b"") for number in range(11)]
    with pytest.raises(InnerloopError, match="has more than 10 members"):
        read_cifar10(packed(tmp_path / ARCHIVE, members))


def test_a_batch_of_too_many_bytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("innerloop.datasets.cifar10._LARGEST_BATCH", 1000)
    members = [("test_batch", bytes(1001))]
    with pytest.raises(InnerloopError, match=r"test_batch in .* is larger than 1000 bytes"):
        read_cifar10(packed(tmp_path / ARCHIVE, members))


def test_headers_within_headers_are_refused_in_a_sentence(tmp_path):
    header = tarfile.TarInfo("x")
    header.type = tarfile.XHDTYPE
    (tmp_path / "cifar.tar").write_bytes(header.tobuf() * 2000)
    with pytest.raises(InnerloopError, match="it is no readable tar archive"):
        read_cifar10(tmp_path / "cifar.tar")


def test_labels_are_whole_numbers(tmp_path):
    members = {"data_batch_1": batch(images(1), [True]), "test_batch": batch(images(1), [0])}
    with pytest.raises(InnerloopError, match="n whole numbers from 0 to 9"):
        read_cifar10(archive(tmp_path / ARCHIVE, members))
