"""Features that a user has computed: a file of rows by file name."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float32

from ..errors import InnerloopError
from ..runtime.files import read_bytes
from ..runtime.names import fit_text

_LARGEST = 1 << 30
"""Bytes that a file may have, packed and unpacked."""
_WANTED = "an .npz with an array `names` of file names [n] and an array `features` [n, width]"
_SHOWN = 80


class FeatureTable:
    """Rows of features by the names of image files.

    A name is that of a file, with as many of its folders as it takes to tell it from others.

    Args:
        path: A file that `numpy.savez` wrote, with `names`, text [n], and `features`, numbers
            [n, width]. It is read without pickle.

    Raises:
        InnerloopError: The file cannot be read, is of another kind, is too large, has a name
            twice, or holds a number that is not finite.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from innerloop.predict.features import FeatureTable
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "clip.npz")
        ...     np.savez(path, names=np.asarray(["cat/1.jpg"]), features=np.ones((1, 4)))
        ...     FeatureTable(path).rows([Path("support/cat/1.jpg")]).shape
        (1, 4)
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        names, features = _read(self.path)
        if names.ndim != 1 or names.dtype.kind != "U":
            raise InnerloopError(f"`names` in {path} is no list of texts; {_WANTED} is wanted.")
        numbers = features.ndim == 2 and features.dtype.kind in "fiu" and features.shape[1]
        if not numbers or len(features) != len(names):
            raise InnerloopError(
                f"`features` in {path} has the shape {features.shape} and the type "
                f"{features.dtype}, for {len(names)} names; {_WANTED} is wanted."
            )
        with np.errstate(over="ignore"):
            self._features = np.asarray(features, np.float32)
        finite = np.all(np.isfinite(self._features), axis=1)
        if not np.all(finite):
            first = fit_text(names[int(np.argmin(finite))], _SHOWN)
            raise InnerloopError(
                f"{int(np.sum(~finite))} of the {len(names)} rows in {path} hold numbers that are "
                f"not finite; the first is that of {first}."
            )
        self._users: dict[int, Path] = {}
        self._places: dict[str, int] = {}
        for place, name in enumerate(map(str, names)):
            key = PurePosixPath(name.replace("\\", "/")).as_posix()
            if key in self._places:
                raise InnerloopError(f"{path} has two rows for {fit_text(name, _SHOWN)}.")
            self._places[key] = place

    def rows(self, files: Sequence[Path]) -> Float32[np.ndarray, "n width"]:
        """The rows of files, in their order.

        Raises `InnerloopError` where a file has no row, or where two that were ever asked for have
        the same.
        """
        for file in files:
            place = self._place(file)
            other = self._users.setdefault(place, file)
            if other != file:
                raise InnerloopError(
                    f"{other} and {file} have the same row in {self.path}; its names have to hold "
                    "the folders that tell them apart."
                )
        return self._features[[self._place(file) for file in files]]

    def _place(self, file: Path) -> int:
        """The row whose name has the most of the file's path."""
        parts = file.parts
        for start in range(len(parts)):
            place = self._places.get(PurePosixPath(*parts[start:]).as_posix())
            if place is not None:
                return place
        raise InnerloopError(f"{self.path} has no row for {file}.")


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    content = read_bytes(path, _LARGEST)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > _LARGEST:
            raise InnerloopError(f"{path} unpacks to more than {_LARGEST} bytes.")
        # Objects would be unpickled, which runs whatever a file says.
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return arrays["names"], arrays["features"]
    except InnerloopError:
        raise
    except Exception as error:  # NumPy and zipfile complain in many ways.
        raise InnerloopError(
            f"{path} cannot be read; {_WANTED} is wanted, without objects."
        ) from error
