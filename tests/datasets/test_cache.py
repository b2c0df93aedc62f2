"""Arrays in the user's cache: built once, and again where they are not what they should be."""

import contextlib
import resource

import numpy as np
import pytest

from innerloop import InnerloopError
from innerloop.datasets.cache import cached_array

SHAPE = (3, 4, 5)


@pytest.fixture(autouse=True)
def arrays(monkeypatch, tmp_path):
    """The folder in which arrays are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "innerloop" / "arrays"


class Build:
    """Makes an array of a number, and counts how often it was asked to."""

    def __init__(self, number=7, shape=SHAPE):
        self.number, self.shape = number, shape
        self.times = 0

    def __call__(self):
        self.times += 1
        return np.full(self.shape, self.number, np.uint8)


def built(build, name="digits", source="here"):
    array = cached_array(name, build.shape, build, source=source)
    assert array.shape == build.shape and array.dtype == np.uint8
    assert (array == build.number).all()
    return array


def test_it_is_built_once_and_cannot_be_written(arrays):
    build = Build()
    for _ in range(2):
        array = built(build)
        assert isinstance(array, np.memmap) and not array.flags.writeable
    assert build.times == 1
    (file,) = arrays.iterdir()
    assert file.suffix == ".npy" and np.array_equal(np.load(file), array)


@pytest.mark.parametrize("other", [{"name": "letters"}, {"source": "there"}])
def test_another_name_or_source_is_another_array(arrays, other):
    built(Build(7))
    built(Build(8), **other)
    build = Build(7)
    built(build)
    assert build.times == 0 and len(list(arrays.iterdir())) == 2


def emptied(content):
    return b""


def cut_short(content):
    return content[:-40]


def without_its_end(content):
    return content[:-1]


def other_shape(content):
    return content.replace(b"(3, 4, 5)", b"(3, 5, 4)")


def other_dtype(content):
    return content.replace(b"|u1", b"|i1")


def objects(content):
    return content.replace(b"|u1", b"|O ")


def no_array(content):
    return b"PK" + content[2:]


@pytest.mark.parametrize(
    "damage",
    [emptied, cut_short, without_its_end, other_shape, other_dtype, objects, no_array],
)
def test_what_is_not_complete_is_built_anew(arrays, damage):
    built(Build(7))
    (file,) = arrays.iterdir()
    whole = file.read_bytes()
    assert damage(whole) != whole
    file.write_bytes(damage(whole))
    again = Build(7)
    built(again)
    assert again.times == 1 and file.read_bytes() == whole


@pytest.mark.parametrize("error", [InnerloopError("no image"), KeyboardInterrupt()])
def test_a_build_that_fails_leaves_nothing_behind(arrays, error):
    def build():
        raise error

    with pytest.raises(type(error)):
        cached_array("digits", SHAPE, build, source="here")
    assert not arrays.exists()
    built(Build())


def test_two_may_build_at_a_time(arrays):
    first, second = Build(7), Build(7)

    def interrupted():
        built(second)  # Another process is done before this one.
        return first()

    assert (cached_array("digits", SHAPE, interrupted, source="here") == 7).all()
    assert first.times == second.times == 1 and len(list(arrays.iterdir())) == 1


def test_a_cache_that_cannot_be_written_costs_only_the_time_to_decode(arrays):
    arrays.parent.write_text("in the way")
    build = Build()
    built(build)
    built(build)
    assert build.times == 2


@contextlib.contextmanager
def largest_file(size):
    """As a full disk: no file may grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_part_of_an_array(arrays):
    with largest_file(100_000):
        built(Build(shape=(100_000, 4, 5)))
    assert not list(arrays.iterdir())
