"""Files read with a bound and replaced whole, and the folder where innerloop caches."""

import os
from pathlib import Path

from ..errors import InnerloopError


def read_bytes(path: str | Path, largest: int) -> bytes:
    """The content of a file.

    Args:
        path: The file.
        largest: The number of bytes that it may have; no more are read.

    Raises:
        InnerloopError: The file is larger, or cannot be read.
    """
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(largest + 1)
    except OSError as error:
        raise InnerloopError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > largest:
        raise InnerloopError(f"{path} is larger than {largest} bytes.")
    return content


def replace_bytes(path: Path, content: bytes) -> None:
    """Make `content` the file `path`: all of it, or what was there before stays.

    Raises:
        OSError: It cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """`replace_bytes` of `text` in UTF-8."""
    replace_bytes(path, text.encode())


def cache_folder() -> Path:
    """The folder for what can be made or downloaded again: `innerloop` in the user's cache.

    The environment variable XDG_CACHE_HOME names another place.
    """
    import pooch

    return Path(pooch.os_cache("innerloop"))
