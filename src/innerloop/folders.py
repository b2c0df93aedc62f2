"""Output folders, what they remember of the run that writes to them, and whose turn it is."""

import contextlib
import errno
import io
import json
import os
import stat
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

from .errors import InnerloopError
from .hosts import is_first

_FREE = ("training.checkpoint_every", "training.checkpoints_kept")
"""What may change from one part of a run to the next: it changes no result."""


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
            f"Cannot write to the folder {folder} ({error.strerror}); give another --out."
        ) from error
    return folder


# A run's folder may come from somebody else, and a link in it may lead anywhere. The folder
# itself may be a link, since the user names it; nothing that innerloop names is followed.

_LINK = "it is a symbolic link, which is not followed"


def inside(folder: Path, *names: str) -> Path:
    """The place `names` below a run's folder.

    Raises `InnerloopError` where a folder or file on the way is a symbolic link.
    """
    for name in names:
        folder = folder / name
        if folder.is_symlink():
            raise InnerloopError(f"{folder} cannot be used: {_LINK}. Remove it.")
    return folder


def refuse_links(folder: Path) -> None:
    """Raises `InnerloopError` where `folder`, or anything below it, is a symbolic link."""
    inside(folder.parent, folder.name)
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            inside(Path(place), name)


def open_for_append(path: Path) -> io.TextIOWrapper:
    """The file `path` opened to write at its end. Raises OSError, for a symbolic link too."""
    return os.fdopen(_open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a")


def read_text(path: Path) -> str:
    """What the regular file `path` holds, in UTF-8.

    Raises OSError, for a symbolic link or a pipe too, and ValueError where it is no UTF-8.
    """
    with os.fdopen(_open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return stream.read().decode()


def replace_bytes(path: Path, content: bytes) -> None:
    """`content` as the file `path`: all of it, or what was there before.

    Raises OSError, for a symbolic link too.
    """
    if path.is_symlink():
        raise OSError(errno.ELOOP, _LINK, str(path))
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


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ELOOP, _LINK, str(path)) from error


def replace_text(path: Path, text: str) -> None:
    """`replace_bytes` of `text` in UTF-8."""
    replace_bytes(path, text.encode())


def write_output(path: Path, content: str | bytes) -> Path:
    """`content` as the file `path`, whole, for a command's results; returns the path.

    Raises `InnerloopError` where it cannot be written, for a symbolic link too.
    """
    try:
        replace_bytes(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise InnerloopError(f"Cannot write {path}: {error.strerror}.") from error
    return path


def write_picture(figure: Any, path: str | Path) -> Path:
    """A Matplotlib figure as the file `path`, whole, of the kind that its ending says.

    Raises `InnerloopError` where it cannot be written, for a symbolic link too.
    """
    path, drawn = Path(path), io.BytesIO()
    figure.savefig(drawn, format=path.suffix[1:] or "png")
    return write_output(path, drawn.getvalue())


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
            f"Another process is training in {folder}; wait for it to end, or give another --out."
        ) from error
    except OSError as error:
        raise InnerloopError(f"Cannot lock the folder {folder} ({error.strerror}).") from error
    try:
        yield
    finally:
        lock.release()


def remember(path: Path, description: dict[str, Any], resume: bool) -> None:
    """Write what a run was asked to `path`, or check that a resumed one is asked the same.

    To be called by the one run that has the folder, see `only_one`. Raises `InnerloopError` where
    there is nothing to resume, or with the first difference.
    """
    if resume:
        if not path.is_file():
            raise InnerloopError(f"There is no training run in {path.parent} to resume.")
        try:
            former = json.loads(read_text(path))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is damaged"
            raise InnerloopError(
                f"{path} cannot be read ({why}); give another --out to start afresh."
            ) from error
        check_same(former, description, path.parent)
    elif is_first():
        write_output(path, as_text(description))


def as_text(description: dict[str, Any]) -> str:
    """What a run was asked, as its settings.json has it."""
    return json.dumps(description, indent=2) + "\n"


def check_same(former: Any, description: dict[str, Any], folder: Path) -> None:
    """Raises `InnerloopError` with the first difference between two descriptions of a run."""
    asked = json.loads(json.dumps(description))
    before, now = _flatten(former if isinstance(former, dict) else {}), _flatten(asked)
    changed = [
        name
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name) and name not in _FREE
    ]
    if changed:
        name = changed[0]
        raise InnerloopError(
            f"The run in {folder} was begun with {name} = {before.get(name)}, and this "
            f"command asks for {now.get(name)}; resume it with the settings it was begun with."
        )


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
