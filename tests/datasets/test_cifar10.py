"""CIFAR-10 from its archive, a zip and folders; and from what is none of them."""

import hashlib
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


def published(path):
    """What is read of an archive that counts as the published one."""
    return read_cifar10(path, digest=hashlib.md5(path.read_bytes()).hexdigest())


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
    data = published(archive(tmp_path / ARCHIVE, members))
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
    with pytest.raises(
        InnerloopError, match=r"no CIFAR-10 that can be read|digest is wrong|neither"
    ):
        load_cifar10(tmp_path / name)


def test_an_archive_that_is_not_the_published_one_is_refused(tmp_path):
    path = archive(tmp_path / ARCHIVE, {"data_batch_1": batch(images(1), [0])})
    with pytest.raises(InnerloopError, match=f"{ARCHIVE} is not the .* its digest is wrong"):
        read_cifar10(path)
    with pytest.raises(InnerloopError, match="its digest is wrong"):
        load_cifar10(tmp_path)


class Harmful:
    def __reduce__(self):
        return (os.system, ("touch harmed",))


def test_a_pickle_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    members = {"data_batch_1": pickle.dumps(Harmful(), protocol=2)}
    with pytest.raises(InnerloopError, match=r"is refused: it asks for .*system"):
        published(archive(tmp_path / ARCHIVE, members))
    assert not (tmp_path / "harmed").exists()


def test_what_is_nowhere_is_asked_for(tmp_path):
    with pytest.raises(InnerloopError, match=f"put {ARCHIVE} into"):
        load_cifar10(tmp_path)


@pytest.mark.slow
def test_the_real_images_are_read(real_data):
    data = load_cifar10(real_data)
    assert data.train_images.shape == (20_000, 32, 32, 3)
    assert np.bincount(data.test_labels).tolist() == [500] * 10
