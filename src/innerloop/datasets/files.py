"""Finding a dataset's files, or downloading them once; verified either way."""

import dataclasses
import gzip
import hashlib
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from ..errors import InnerloopError
from ..runtime.files import cache_folder, read_bytes

_LARGEST = 256 << 20  # No file of ours unpacks to more; what does is refused.


@dataclasses.dataclass(frozen=True)
class DataFile:
    """One published file: its name, its digests, and the mirrors that serve it."""

    name: str
    """The name once unpacked; the file itself may be gzipped, with `.gz` after it."""
    sha256: str
    """The digest of the unpacked bytes, whatever they came packed in."""
    published: str
    """The digest of the file that the mirrors serve, as pooch writes it."""
    mirrors: Sequence[str]


def data_folder(data_dir: str | Path | None) -> Path | None:
    """The folder a user named: `data_dir`, or else the environment's INNERLOOP_DATA.

    Raises `InnerloopError` where it does not exist.
    """
    named = data_dir if data_dir is not None else os.environ.get("INNERLOOP_DATA")
    if named and not Path(named).exists():
        raise InnerloopError(f"The data folder {named} does not exist.")
    return Path(named) if named else None


def read(files: Sequence[DataFile], dataset: str, data_dir: str | Path | None) -> list[bytes]:
    """The unpacked bytes of `files`, each checked against its digest.

    Looks in the named folder, in its subfolder `dataset`, and in the user's cache; what is
    in none of them is downloaded to the cache. Raises `InnerloopError` where a digest is
    wrong, or where there is neither file nor network.
    """
    named = data_folder(data_dir)
    cache = cache_folder() / dataset
    places = [cache] if named is None else [named, named / dataset, cache]
    return [_read(file, places, files) for file in files]


def _read(file: DataFile, places: Sequence[Path], files: Sequence[DataFile]) -> bytes:
    for place in places:
        for path in (place / file.name, place / f"{file.name}.gz"):
            if path.is_file():
                return _checked(path, file)
    wanted = [f"{one.name}(.gz)" for one in files]
    path = download(f"{file.name}.gz", file.mirrors, file.published, places[-1], wanted)
    return _checked(path, file)


def _checked(path: Path, file: DataFile) -> bytes:
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                content = stream.read(_LARGEST + 1)
        else:
            content = read_bytes(path, _LARGEST)
    except (OSError, EOFError, zlib.error) as error:
        raise InnerloopError(
            f"{path} cannot be read ({error}); remove it and try again."
        ) from error
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise InnerloopError(
            f"{path} is not the published file: its digest is wrong. Remove it and try again."
        )
    return content


def download(
    name: str, mirrors: Sequence[str], digest: str, cache: Path, wanted: Sequence[str]
) -> Path:
    """Fetch `name` from the first of `mirrors` that serves it with `digest`, into `cache`.

    `digest` is written as pooch has it, `md5:…`. Raises `InnerloopError`, which says that
    the files `wanted` may be put there by hand, where no mirror does.
    """
    import pooch

    pooch.get_logger().setLevel("ERROR")
    for mirror in mirrors:
        try:
            path = pooch.retrieve(
                mirror + name,
                known_hash=digest,
                fname=name,
                path=cache,
                downloader=pooch.HTTPDownloader(progressbar=True, timeout=30),  # pyright: ignore[reportArgumentType]
            )
            return Path(path)
        except Exception:  # No network, no such host, a wrong digest: the next mirror may do.
            continue
    raise InnerloopError(
        f"{name} is not here and no mirror could be reached: put {', '.join(wanted)} into {cache}, "
        "or into a folder that you name with --data-dir or the environment variable INNERLOOP_DATA."
    )
