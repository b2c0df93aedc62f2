"""The files and folders under a folder, links followed, each cycle once."""

import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import FileError


def list_tree(root: Path, most: int) -> tuple[list[str], list[str]]:
    """The paths of all files and of all folders under `root`, relative to it, with "/".

    Links to files and folders count as what they lead to. A folder that leads back to one that it
    lies in is left out. A link that leads nowhere counts as a file, so that reading it says so.
    What is neither file nor folder, a pipe for one, is left out.

    Args:
        root: The folder.
        most: How many files and folders there may be.

    Raises:
        FileError: There are more, or a folder cannot be read.
    """
    files: list[str] = []
    folders: list[str] = []
    for path, is_folder in _walk(root, "", frozenset([_identity(root)])):
        (folders if is_folder else files).append(path)
        if len(files) + len(folders) > most:
            raise FileError(f"{root} holds more than {most} files and folders; name a smaller one.")
    return files, folders


def _walk(
    folder: Path, prefix: str, above: frozenset[tuple[int, int]]
) -> Iterator[tuple[str, bool]]:
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError as error:
        raise FileError(f"{folder} cannot be read: {error.strerror}.") from error
    for entry in entries:
        path = f"{prefix}{entry.name}"
        if _is_folder(entry):
            identity = _identity(entry.path)
            if identity not in above:
                yield path, True
                yield from _walk(Path(entry.path), f"{path}/", above | {identity})
        elif _is_file(entry):
            yield path, False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link to itself.
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))  # noqa: PTH110
    except OSError:
        return True


def _identity(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116
    return status.st_dev, status.st_ino
