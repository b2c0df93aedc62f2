"""Output folders."""

import os
import uuid
from pathlib import Path

from .errors import InnerloopError


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
