"""Pickles of arrays, as they are published; and of others, which import and call nothing."""

import os
import pickle
import sys

import numpy as np
import pytest

from innerloop import InnerloopError
from innerloop.datasets.pickles import load_arrays


@pytest.mark.parametrize("protocol", range(5))
def test_arrays_and_plain_values_are_read(protocol):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    value = {b"a": array, "b": [1, -1.5, None, True, "é", b"\xff", 1 << 40], "c": {"d": array.T}}
    found = load_arrays(pickle.dumps(value, protocol), "it")
    assert found["b"] == value["b"] and np.array_equal(found[b"a"], array)
    assert found[b"a"].dtype == np.float32 and np.array_equal(found["c"]["d"], array.T)


def test_arrays_of_another_byte_order_are_read():
    array = np.arange(5, dtype=">i4")
    found = load_arrays(pickle.dumps(array, 2), "it")
    assert np.array_equal(found, array)


def test_strings_of_python_2_stay_bytes():
    assert load_arrays(b"(dp0\nS'data'\nS'\\xff'\ns.", "it") == {b"data": b"\xff"}


class Harmful:
    def __reduce__(self):
        return (os.system, ("touch harmed",))


NAMED = {
    "posix.system": pickle.dumps(Harmful(), 2),
    "os.system": b"cos\nsystem\n(S'touch harmed'\ntR.",
    "builtins.eval": b"cbuiltins\neval\n(S'1'\ntR.",
    "antigravity.fly": b"cantigravity\nfly\n.",
    "numpy.load": b"cnumpy\nload\n(S'x'\ntR.",
    "numpy.core.multiarray.fromfile": b"cnumpy.core.multiarray\nfromfile\n.",
}


@pytest.mark.parametrize("name", NAMED)
def test_what_is_not_on_the_list_is_neither_imported_nor_called(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InnerloopError, match=rf"^it is refused: it asks for .*{name[-5:]}, and"):
        load_arrays(NAMED[name], "it")
    assert not list(tmp_path.iterdir()) and "antigravity" not in sys.modules


def test_a_codec_is_not_imported():
    content = b"c_codecs\nencode\n(Va\nVantigravity\ntR."
    with pytest.raises(InnerloopError, match="it encodes something other than bytes"):
        load_arrays(content, "it")


@pytest.mark.parametrize("content", [b"", b"\x80\x02no pickle", b"]"])
def test_a_damaged_pickle_is_refused(content):
    with pytest.raises(InnerloopError, match="it is damaged: it is no readable pickle"):
        load_arrays(content, "it")
