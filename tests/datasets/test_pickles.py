"""Pickles of arrays, as they are published; and of anything else."""

import pickle
import struct
import time

import numpy as np
import pytest

from innerloop import InnerloopError
from innerloop.datasets import pickles
from innerloop.datasets.pickles import load_arrays

REBUILD = b"cnumpy.core.multiarray\n_reconstruct\n"
ARRAY = b"cnumpy\nndarray\n"
KIND = b"cnumpy\ndtype\n"


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
    assert found.dtype == array.dtype and np.array_equal(found, array)


def test_what_is_there_twice_is_there_twice():
    array = np.zeros(3)
    first, second = load_arrays(pickle.dumps([array, array], 2), "it")
    assert first is second


@pytest.mark.parametrize("code", [b"u1", b"V8"])
def test_a_dtype_is_not_given_a_state_of_its_own(code):
    # In NumPy its flags may say that bytes are objects: addresses that anyone may write.
    state = pickle.dumps((3, "|", None, ("f",), {"f": (np.dtype("u1"), 0)}, 8, 1, 63), 2)
    content = KIND + b"(X\x02\0\0\0" + code + b"K\0K\x01tR" + state[2:-1] + b"b."
    with pytest.raises(InnerloopError, match="it is refused: it holds"):
        load_arrays(content, "it")


def test_an_array_cannot_be_asked_for_by_its_shape():
    with pytest.raises(InnerloopError, match="it is refused: it calls something"):
        load_arrays(ARRAY + b"((J\xff\xff\xff\x7ftX\x02\0\0\0u1tR.", "it")


@pytest.mark.parametrize("value", [(1, 2), {(1,): 2}, [(1,)], {"a": (np.zeros(2),)}])
def test_tuples_are_no_values(value):
    with pytest.raises(InnerloopError, match="it is refused: it holds"):
        load_arrays(pickle.dumps(value, 2), "it")


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([1j]), np.zeros(2, "f4,i4")])
def test_arrays_of_anything_but_numbers_are_refused(array):
    with pytest.raises(InnerloopError, match="it is refused: it"):
        load_arrays(pickle.dumps(array, 2), "it")


def test_an_array_without_its_bytes_is_refused():
    unfinished = REBUILD + b"(" + ARRAY + b"(K\0tU\x01btR"
    for content in (unfinished + b".", b"]" + unfinished + b"a."):
        with pytest.raises(InnerloopError, match="it is refused: it holds something other"):
            load_arrays(content, "it")
    state = b"(K\x01(K\x03t" + KIND + b"(U\x02u1K\0K\x01tRI00\nU\x02abtb."
    with pytest.raises(InnerloopError, match="bytes do not fit its shape"):
        load_arrays(unfinished + state, "it")


def test_a_memo_of_any_size_costs_nothing():
    content = b"]r" + struct.pack("<I", 2**32 - 1) + b"."
    assert load_arrays(content, "it") == []


def test_a_list_within_itself_is_read():
    (inside,) = load_arrays(b"]q\x00h\x00a.", "it")
    assert inside[0] is inside


def test_bytes_are_not_multiplied():
    encode = b"c_codecs\nencode\nq\x01X" + struct.pack("<I", 1 << 20) + b"x" * (1 << 20) + b"q\x02"
    again = b"h\x01h\x02U\x06latin1\x86Ra"
    with pytest.raises(InnerloopError, match="the same bytes again and again"):
        load_arrays(encode + b"]" + again * 100_000 + b".", "it")


def test_more_operations_than_a_dataset_needs_are_refused(monkeypatch):
    monkeypatch.setattr(pickles, "MOST_OPERATIONS", 1000)
    with pytest.raises(InnerloopError, match="it has more than 1000 operations"):
        load_arrays(b"]" + b"Na" * 1000 + b".", "it")


def test_tuples_may_be_deep():
    began = time.perf_counter()
    with pytest.raises(InnerloopError, match="it is refused"):
        load_arrays(b")" + b"\x85" * 100_000 + b".", "it")
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**2000])
def test_numbers_have_64_bits(number):
    with pytest.raises(InnerloopError, match="more than 64 bits"):
        load_arrays(pickle.dumps([number], 2), "it")


# Found by tests/fuzz: an escape in a text of Python 2 of which Python 3 warns.
def test_odd_escapes_are_no_warning():
    assert load_arrays(b"S'\\]'\n.", "it") == b"\\]"


def test_a_batch_with_its_names_is_read():
    value = {b"labels": list(range(1000)), b"filenames": [b"%d.png" % n for n in range(1000)]}
    assert load_arrays(pickle.dumps(value, 2), "it") == value
