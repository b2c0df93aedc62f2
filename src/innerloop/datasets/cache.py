"""Arrays too large to decode at every start: built once, then mapped from the user's cache."""

import contextlib
import hashlib
import io
import math
import os
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ..errors import InnerloopError
from ..runtime.files import cache_folder

_FORMAT = 1  # Part of every key: with another number everything is built anew.
_BLOCK = 16 << 20


def cached_array(
    name: str,
    shape: tuple[int, ...],
    build: Callable[[np.ndarray], None],
    *,
    source: str,
    folder: Path | None = None,
) -> UInt8[np.memmap, "..."]:
    """The uint8 array of `shape` that `build` fills, read-only and mapped into memory.

    `build` is given an array of zeros to write into, and is called only where `folder` (by
    default `arrays` in the user's cache) has no complete array of that name, source and
    shape. `source` tells what the array is made from, as `ImageStore.identity` does, and
    `name` how: with another of either it is another array. Old arrays stay until the user
    removes them.

    A file that was cut short, or holds something else, is built anew. It gets its name once
    it is complete, so that several processes may build at a time, and one that is stopped
    leaves no array behind. Raises `InnerloopError` where the folder cannot be written or the
    disk is full, and whatever `build` raises.
    """
    folder = cache_folder() / "arrays" if folder is None else folder
    key = hashlib.sha256(f"{_FORMAT}\n{name}\n{source}".encode()).digest()
    path = folder / f"{name}-{key.hex()[:16]}.npy"
    with contextlib.suppress(OSError, ValueError):
        return _mapped(path, shape, key)

    with _said(name, shape, folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(".partial", f"{name}-", folder)
    partial = Path(temporary)
    try:
        with _said(name, shape, folder), os.fdopen(handle, "wb") as stream:
            _reserve(stream, shape)
        with _said(name, shape, folder):
            array = np.lib.format.open_memmap(partial, mode="r+")
        build(array)
        with _said(name, shape, folder):
            array.flush()
            del array
            _complete(partial, key)
            partial.replace(path)
            return _mapped(path, shape, key)
    finally:
        partial.unlink(missing_ok=True)


def _mapped(path: Path, shape: tuple[int, ...], key: bytes) -> np.memmap:
    """The array in a complete file. Raises OSError or ValueError where it is not one."""
    header = _header(shape)
    with path.open("rb") as stream:
        # Compared and not parsed: there is one that is right.
        if stream.read(len(header)) != header:
            raise ValueError("another array")
        # Hashing hundreds of megabytes at every start would cost more than it is worth.
        stream.seek(len(header) + math.prod(shape))
        if stream.read(len(key) + 1) != key:
            raise ValueError("not complete")
    return np.memmap(path, np.uint8, "r", len(header), shape)


def _header(shape: tuple[int, ...]) -> bytes:
    """What a .npy file of bytes of that shape begins with."""
    stream = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, description)
    return stream.getvalue()


def _reserve(stream: io.BufferedWriter, shape: tuple[int, ...]) -> None:
    """Write a .npy file of zeros, every one of them.

    A map of a file with holes does not raise where the disk is full: the process is killed.
    """
    stream.write(_header(shape))
    size = math.prod(shape)
    for start in range(0, size, _BLOCK):
        stream.write(bytes(min(_BLOCK, size - start)))


def _complete(path: Path, key: bytes) -> None:
    """Say after the last number what the array is, on the disk before the file is renamed."""
    with path.open("ab") as stream:
        stream.write(key)
        stream.flush()
        os.fsync(stream.fileno())


@contextlib.contextmanager
def _said(name: str, shape: tuple[int, ...], folder: Path) -> Generator[None]:
    """What goes wrong with the folder is said in a sentence."""
    try:
        yield
    except OSError as error:
        size = f"{math.prod(shape) / 1e6:.1f} MB"
        raise InnerloopError(
            f"{folder} cannot keep {name}, {size} ({error.strerror or error}): "
            "make room there or make it writable, or name another cache folder with the "
            "environment variable XDG_CACHE_HOME."
        ) from error
