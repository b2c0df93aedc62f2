"""Decoded images, kept as .npy files in the user's cache and mapped into memory."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ..runtime.files import cache_folder

_FORMAT = 2  # Part of every key: with another number everything is decoded anew.


def cached_array(
    name: str, shape: tuple[int, ...], build: Callable[[], np.ndarray], *, source: str
) -> UInt8[np.ndarray, "..."]:
    """The uint8 array of `shape` that `build` returns, from the cache if it is there.

    Args:
        name: What the array is, and how it is made. The file's name begins with it.
        shape: The array's shape. A file of another shape or type is made anew.
        build: Makes the array. What it raises is raised.
        source: What the array is made from, as `ImageStore.identity` says it.

    Returns:
        The array, read-only and mapped from the file. Where the cache cannot be written, the array
        itself.
    """
    key = hashlib.sha256(f"{_FORMAT}\n{name}\n{source}".encode("utf-8", "surrogateescape"))
    path = cache_folder() / "arrays" / f"{name}-{key.hexdigest()[:16]}.npy"
    with contextlib.suppress(OSError, ValueError):
        return _mapped(path, shape)
    array = build()
    with contextlib.suppress(OSError):
        _write(path, array)
        return _mapped(path, shape)
    return array


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    array = np.lib.format.open_memmap(path, mode="r")
    if array.shape != shape or array.dtype != np.uint8:
        raise ValueError("another array")
    return array


def _write(path: Path, array: np.ndarray) -> None:
    """Write the array under a name of this process, which is made `path` once it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            np.save(stream, array)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
