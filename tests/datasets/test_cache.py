"""Arrays in the user's cache: built once, and again where they are not what they should be."""

import contextlib
import resource

import numpy as np
import pytest

from innerloop import InnerloopError
from innerloop.datasets.cache import cached_array

SHAPE = (3, 4, 5)


class Build:
    """Fills an array with a number, and counts how often it was asked to."""

    def __init__(self, number=7):
        self.number = number
        self.times = 0

    def __call__(self, array):
        assert array.shape[1:] == SHAPE[1:] and not array.any()
        self.times += 1
        array[:] = self.number


def built(folder, build, shape=SHAPE, name="digits", source="here"):
    array = cached_array(name, shape, build, source=source, folder=folder)
    assert array.shape == shape and array.dtype == np.uint8 and (array == build.number).all()
    return array


def test_it_is_built_once_and_cannot_be_written(tmp_path):
    build = Build()
    for _ in range(2):
        array = built(tmp_path / "new", build)
        assert isinstance(array, np.memmap) and not array.flags.writeable
    assert build.times == 1
    (file,) = (tmp_path / "new").iterdir()
    assert np.array_equal(np.load(file), array)


def test_the_users_cache_is_where_it_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cached_array("digits", SHAPE, Build(), source="here")
    assert [file.suffix for file in (tmp_path / "innerloop" / "arrays").iterdir()] == [".npy"]


@pytest.mark.parametrize("other", [{"name": "letters"}, {"source": "there"}])
def test_another_name_or_source_is_another_array(tmp_path, other):
    built(tmp_path, Build(7))
    built(tmp_path, Build(8), **other)
    build = Build(7)
    built(tmp_path, build)
    assert build.times == 0 and len(list(tmp_path.iterdir())) == 2


def emptied(content):
    return b""


def cut_short(content):
    return content[:-40]


def without_its_end(content):
    return content[:-1]


def with_more_after_it(content):
    return content + b"x"


def other_shape(content):
    return content.replace(b"(3, 4, 5)", b"(3, 5, 4)")


def other_dtype(content):
    return content.replace(b"|u1", b"|i1")


def other_order(content):
    return content.replace(b"False", b"True ")


def no_array(content):
    return b"PK" + content[2:]


def zeros_at_the_end(content):
    return content[:-32] + bytes(32)


@pytest.mark.parametrize(
    "damage",
    [
        emptied,
        cut_short,
        without_its_end,
        with_more_after_it,
        other_shape,
        other_dtype,
        other_order,
        no_array,
        zeros_at_the_end,
    ],
)
def test_what_is_not_complete_is_built_anew(tmp_path, damage):
    built(tmp_path, Build(7))
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    assert damage(whole) != whole
    file.write_bytes(damage(whole))
    again = Build(7)
    built(tmp_path, again)
    assert again.times == 1 and file.read_bytes() == whole


def test_another_shape_is_built_anew(tmp_path):
    built(tmp_path, Build(7))
    build = Build(8)
    built(tmp_path, build, (2, 4, 5))
    assert build.times == 1 and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("error", [InnerloopError("no image"), KeyboardInterrupt()])
def test_a_build_that_fails_leaves_nothing_behind(tmp_path, error):
    def build(array):
        array[:] = 1
        raise error

    with pytest.raises(type(error)):
        cached_array("digits", SHAPE, build, source="here", folder=tmp_path)
    assert not list(tmp_path.iterdir())
    built(tmp_path, Build())


def test_two_may_build_at_a_time(tmp_path):
    first, second = Build(7), Build(7)
    arrays = []

    def interrupted(array):
        first(array)
        arrays.append(built(tmp_path, second))  # Another process is done before this one.

    arrays.append(cached_array("digits", SHAPE, interrupted, source="here", folder=tmp_path))
    assert first.times == second.times == 1 and len(list(tmp_path.iterdir())) == 1
    assert all((array == 7).all() for array in arrays)


def test_a_folder_that_cannot_be_is_said_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InnerloopError, match=r"file/arrays cannot keep digits, 0.0 MB .*writable"):
        cached_array("digits", SHAPE, Build(), source="here", folder=tmp_path / "file" / "arrays")


@contextlib.contextmanager
def largest_file(size):
    """As a full disk: no file may grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [100_000, 2_000_000 + 128 + 16], ids=["the zeros", "the end"])
def test_a_full_disk_is_said_in_a_sentence(tmp_path, size):
    build = Build()
    with (
        largest_file(size),
        pytest.raises(InnerloopError, match=r"cannot keep digits, 2.0 MB \(.*\): make room"),
    ):
        built(tmp_path, build, (100_000, 4, 5))
    assert not list(tmp_path.iterdir()) and build.times == (size > 2_000_000)
