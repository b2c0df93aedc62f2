"""Reading tar archives a member at a time: nothing is written, and little is unpacked."""

import gzip
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InnerloopError

MOST_UNPACKED = 512 << 20
"""Bytes that an archive may unpack to."""
MOST_MEMBERS = 1000
_GZIP = b"\x1f\x8b"


class _Limited:
    """A stream that refuses to give more than so many bytes."""

    def __init__(self, read: Callable[..., bytes], path: Path):
        self.unlimited, self.path, self.left = read, path, MOST_UNPACKED

    def read(self, size: int) -> bytes:
        content = self.unlimited(size)
        self.left -= len(content)
        if self.left < 0:
            raise InnerloopError(f"{self.path} unpacks to more than {MOST_UNPACKED} bytes.")
        return content


def members(path: Path, wanted: Callable[[str], bool], largest: int) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of each file in a tar archive, gzipped or not, whose path is `wanted`.

    Links are no files. Raises `InnerloopError` where the archive is damaged, has more than
    1,000 members, unpacks to more than 512 MiB, or where a wanted file is there twice or has
    more than `largest` bytes.
    """
    seen: set[str] = set()
    try:
        with path.open("rb") as raw:
            packed = raw.read(len(_GZIP)) == _GZIP
            raw.seek(0)
            stream: Any = _Limited((gzip.GzipFile(fileobj=raw) if packed else raw).read, path)
            # As a stream, so that what is passed over counts too.
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for count, member in enumerate(archive, 1):
                    if count > MOST_MEMBERS:
                        raise InnerloopError(f"{path} has more than {MOST_MEMBERS} members.")
                    if not member.isfile() or not wanted(member.name):
                        continue
                    name = PurePosixPath(member.name).name
                    if member.size > largest:
                        raise InnerloopError(f"{name} in {path} is larger than {largest} bytes.")
                    if member.name in seen:
                        raise InnerloopError(f"{path} has {name} twice; once is enough.")
                    seen.add(member.name)
                    file = archive.extractfile(member)
                    content = b"" if file is None else file.read(largest)
                    if len(content) != member.size:
                        raise InnerloopError(f"{name} in {path} is cut short.")
                    yield member.name, content
    except InnerloopError:
        raise
    except Exception as error:  # tarfile, gzip and zlib raise many kinds.
        raise InnerloopError(f"{path} is damaged: it is no readable tar archive.") from error
