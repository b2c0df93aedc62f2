"""The results that a benchmark has so far, each in a file of its own that is written whole."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import FileError
from ..runtime.files import read_bytes, replace_bytes
from ..runtime.folders import inside, writable
from ..runtime.names import fit_component

_LARGEST = 1 << 26  # Bytes of a file; ten thousand losses have forty thousand.


class Cells:
    """A folder with one file for each result.

    A result's name is a digest of what it depends on, so that a benchmark that is begun again in
    the same folder finds what it has, and another one in the same folder does not mistake it.

    Args:
        folder: The folder, which is made.

    Raises:
        InnerloopError: Nothing can be written there.
    """

    def __init__(self, folder: Path):
        self.folder = writable(folder)
        self.found = 0
        """How many results were there already."""

    def curve(
        self, what: dict[str, Any], make: Callable[[], Float[np.ndarray, " steps"]]
    ) -> Float[np.ndarray, " steps"]:
        """The losses of a run: those in the folder, or those that `make` returns.

        Args:
            what: What they depend on, as JSON can hold it.
            make: Called where there are none yet.
        """

        def write() -> bytes:
            stream = io.BytesIO()
            np.save(stream, make(), allow_pickle=False)
            return stream.getvalue()

        data = self._get(what, "npy", write)
        return np.load(io.BytesIO(data), allow_pickle=False)

    def record(self, what: dict[str, Any], make: Callable[[], Any]) -> Any:
        """As `curve`, of what JSON can hold."""
        return json.loads(self._get(what, "json", lambda: json.dumps(make()).encode()))

    def has(self, what: dict[str, Any], ending: str) -> bool:
        """Whether the result is there."""
        return self._path(what, ending).is_file()

    def _get(self, what: dict[str, Any], ending: str, make: Callable[[], bytes]) -> bytes:
        path = self._path(what, ending)
        if path.is_file():
            self.found += 1
            return read_bytes(path, _LARGEST)
        data = make()
        try:
            replace_bytes(path, data)
        except OSError as error:
            message = f"Cannot write {path}: {error.strerror}."
            raise FileError(message, arguments=("out",)) from error
        return data

    def _path(self, what: dict[str, Any], ending: str) -> Path:
        text = json.dumps(what, sort_keys=True)
        short = fit_component("-".join(str(what[part]) for part in ("task", "entrant")))[:60]
        name = f"{short}-{hashlib.sha256(text.encode()).hexdigest()[:20]}.{ending}"
        return inside(self.folder, name)
