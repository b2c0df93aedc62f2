"""Files read with a bound and replaced whole, and the folder where innerloop caches."""

import atexit
import errno
import functools
import io
import os
import shutil
import stat
import tempfile
from pathlib import Path

from ..errors import FileError

LARGEST_TEXT = 16 << 20
"""Bytes that a file of settings, digests or a report may have."""
LINK = "it is a symbolic link, which is not followed"
"""Why a link is refused where innerloop itself names the file."""


def read_bytes(path: str | Path, largest: int) -> bytes:
    """The content of a file.

    Args:
        path: The file.
        largest: The number of bytes that it may have; no more are read.

    Raises:
        FileError: The file is larger, or cannot be read.
    """
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(largest + 1)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > largest:
        raise FileError(f"{path} is larger than {largest} bytes.")
    return content


def read_own(path: Path, largest: int) -> bytes:
    """The content of a regular file that innerloop wrote.

    Args:
        path: The file.
        largest: The number of bytes that it may have.

    Raises:
        OSError: It is larger or cannot be read, or is a symbolic link or a pipe.
    """
    with os.fdopen(_open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if status.st_size > largest:
            raise OSError(errno.EFBIG, f"it is larger than {largest} bytes", str(path))
        return stream.read(largest)


def read_text(path: Path, largest: int = LARGEST_TEXT) -> str:
    """As `read_own`, of a text in UTF-8. Raises ValueError too, where it is none."""
    return read_own(path, largest).decode()


def open_for_append(path: Path) -> io.TextIOWrapper:
    """Open a file to write at its end.

    Raises:
        OSError: It cannot be opened, or is a symbolic link.
    """
    return os.fdopen(_open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a", encoding="utf-8")


def write_output(path: Path, content: str | bytes) -> Path:
    """Make `content` the file `path`, whole, and return the path.

    Raises:
        FileError: It cannot be written, or is a symbolic link.
    """
    try:
        replace_bytes(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise FileError(f"Cannot write {path}: {error.strerror}.", arguments=("out",)) from error
    return path


def replace_bytes(path: Path, content: bytes) -> None:
    """Make `content` the file `path`: all of it, or what was there before stays.

    Raises:
        OSError: It cannot be written, or is a symbolic link.
    """
    if path.is_symlink():
        raise OSError(errno.ELOOP, LINK, str(path))
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)  # What a killed process left, or a link.
    try:
        with os.fdopen(_open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """`replace_bytes` of `text` in UTF-8."""
    replace_bytes(path, text.encode())


def _open(path: Path, flags: int) -> int:
    """A descriptor of a file that is no link, where the system can say so."""
    for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        return os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ELOOP, LINK, str(path)) from error


def cache_folder() -> Path:
    """The folder for what can be made or downloaded again: `innerloop` in the user's cache.

    The environment variable XDG_CACHE_HOME names another place. A user without a home directory,
    as in some containers, has a folder that is removed when the process ends.
    """
    import pooch

    try:
        return Path(pooch.os_cache("innerloop"))
    except (RuntimeError, KeyError):  # No HOME, and no user of this number.
        return _temporary_cache()


@functools.cache
def _temporary_cache() -> Path:
    folder = tempfile.mkdtemp(prefix="innerloop-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
