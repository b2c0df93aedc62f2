"""Output folders: whether they can be written to, what lies in them, and whose turn it is."""

import contextlib
import os
import re
import tempfile
import uuid
from collections.abc import Generator
from pathlib import Path

from ..errors import FileError, InnerloopError
from .files import LINK

_PLAIN = re.compile(r"[A-Za-z0-9_./+=@, -]*")


def writable(folder: str | Path) -> Path:
    """`folder`, made if need be. Raises `InnerloopError` where nothing can be written to it."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".innerloop-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InnerloopError(
            f"Cannot write to the folder {folder} ({error.strerror}); name another.",
            arguments=("out",),
        ) from error
    return folder


@contextlib.contextmanager
def removed_if_empty(folder: Path) -> Generator[Path]:
    """While entered, a folder that can be written to; it goes if nothing was written and all fails.

    Args:
        folder: The folder, which is made if need be. One that was there stays.

    Raises:
        InnerloopError: Nothing can be written to it.
    """
    was_there = folder.exists()
    try:
        yield writable(folder)
    except BaseException:
        if not was_there and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        raise


# A run's folder may come from somebody else, and a link in it may lead anywhere. The folder
# itself may be a link, since the user names it; nothing that innerloop names is followed.


def inside(folder: Path, *names: str) -> Path:
    """The place `names` below a run's folder.

    Raises:
        FileError: A folder or file on the way is a symbolic link.
    """
    for name in names:
        folder = folder / name
        if folder.is_symlink():
            raise FileError(f"{folder} cannot be used: {LINK}. Remove it.")
    return folder


def refuse_links(folder: Path) -> None:
    """Raises `FileError` where `folder`, or anything below it, is a symbolic link."""
    inside(folder.parent, folder.name)
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            inside(Path(place), name)


@contextlib.contextmanager
def plain_path(folder: Path) -> Generator[Path]:
    """While entered, a path to `folder` of letters, digits and a few signs.

    Libraries take [, ], * and ? in a path of their own for patterns, find nothing or what lies
    elsewhere, and refuse other characters.
    """
    if _PLAIN.fullmatch(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="innerloop-") as place:
        link = Path(place) / "folder"
        link.symlink_to(folder, target_is_directory=True)
        yield link


@contextlib.contextmanager
def only_one(folder: Path) -> Generator[None]:
    """While entered, no other training run can enter for the same folder, which must exist.

    The operating system lets go of it when the process ends, however it ends. Raises
    `InnerloopError` where another run has entered.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(inside(folder, ".lock"), blocking=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise InnerloopError(
            f"Another process is training in {folder}; wait for it to end, or name another folder.",
            arguments=("out",),
        ) from error
    except OSError as error:
        raise InnerloopError(f"Cannot lock the folder {folder} ({error.strerror}).") from error
    try:
        yield
    finally:
        lock.release()
