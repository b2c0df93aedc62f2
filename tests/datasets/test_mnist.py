"""The idx reader, and what happens when the files are wrong or missing."""

import gzip

import numpy as np
import pytest
from hypothesis import given, strategies as st

from innerloop import InnerloopError
from innerloop.datasets import load_mnist
from innerloop.datasets.mnist import parse_idx


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """A cache of the test's own, and a network that is not there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def unreachable(*arguments, **settings):
        raise ConnectionError("no network")

    monkeypatch.setattr("pooch.retrieve", unreachable)


def test_idx_is_read():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(parse_idx(idx(array)), array)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no idx file"),
        (b"\x00\x00\x0d\x01" + bytes(8), "no idx file"),
        (b"\x00\x00\x08\x00", "no idx file"),
        (idx(np.zeros((2, 3), np.uint8))[:-1], r"should hold 6 bytes for its shape \(2, 3\)"),
        (idx(np.zeros(2, np.uint8)) + b"x", "it holds 3"),
        (b"\x00\x00\x08\x03\x00\x00", "idx file"),
    ],
)
def test_what_is_no_idx_is_refused(content, words):
    with pytest.raises(InnerloopError, match=words):
        parse_idx(content)


@given(st.binary(max_size=64))
def test_any_bytes_are_read_rightly_or_refused(content):
    try:
        array = parse_idx(content)
    except InnerloopError:
        return
    assert idx(array) == content


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InnerloopError, match="nowhere does not exist"):
        load_mnist(tmp_path / "nowhere")


def test_without_files_and_network_one_sentence_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.delenv("INNERLOOP_DATA", raising=False)
    with pytest.raises(InnerloopError) as caught:
        load_mnist()
    message = str(caught.value)
    for part in ("train-images-idx3-ubyte(.gz)", "innerloop/mnist", "--data-dir", "INNERLOOP_DATA"):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_wrong_digest_is_refused(tmp_path, suffix):
    content = idx(np.zeros((2, 28, 28), np.uint8))
    path = tmp_path / f"train-images-idx3-ubyte{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(InnerloopError, match="digest is wrong"):
        load_mnist(tmp_path)


def test_a_truncated_archive_is_refused(tmp_path):
    content = gzip.compress(idx(np.zeros((2, 28, 28), np.uint8)))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content[:-9])
    with pytest.raises(InnerloopError, match="cannot be read"):
        load_mnist(tmp_path)


def test_the_real_files_are_read(real_data):
    data = load_mnist(real_data)
    assert data.train_images.shape == (60000, 28, 28) and data.test_images.shape == (10000, 28, 28)
    assert sorted(set(data.test_labels.tolist())) == list(range(10))


@pytest.mark.parametrize("axes", [9, 65, 255])
def test_no_array_has_that_many_dimensions(axes):
    with pytest.raises(InnerloopError, match=f"has {axes} dimensions; up to 8 can be read"):
        parse_idx(idx(np.zeros(1, np.uint8))[:3] + bytes([axes]) + bytes(4 * axes))


def test_no_bytes_are_no_array_of_any_size():
    content = b"\x00\x00\x08\x04" + bytes(4) + b"\xff" * 12
    with pytest.raises(InnerloopError, match="cannot have the shape"):
        parse_idx(content)


def test_a_plain_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("innerloop.datasets.files._LARGEST", 1000)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(bytes(1001))
    with pytest.raises(InnerloopError, match="train-images-idx3-ubyte is larger than 1000 bytes"):
        load_mnist(tmp_path)
