"""Reading published pickles of plain NumPy arrays, and nothing else that a pickle can do."""

import io
import pickle
from typing import Any

import numpy as np

from ..errors import InnerloopError


def load_arrays(content: bytes, what: str) -> Any:
    """The lists, dictionaries, strings, numbers and NumPy arrays pickled in `content`.

    Byte strings of Python 2 stay `bytes`. Only what an array is rebuilt from may be named in
    the pickle, so that no code of a stranger's can run. Raises `InnerloopError`, naming
    `what`, for anything else and for damaged content.
    """
    try:
        return _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
    except InnerloopError as error:
        raise InnerloopError(f"{what} is refused: {error}") from None
    except Exception as error:  # Damaged pickles raise nearly anything.
        raise InnerloopError(f"{what} is damaged: it is no readable pickle.") from error


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise InnerloopError(
                f"it asks for {module}.{name}, and only NumPy arrays are admitted."
            ) from None


def _bytes(text: Any, encoding: Any = "latin1") -> bytes:
    """`_codecs.encode`, as Python 3 pickles bytes for Python 2; with no other codec."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise InnerloopError("it encodes something other than bytes.")
    return text.encode("latin1")


def _empty(subtype: Any, shape: Any, typecode: Any) -> np.ndarray:
    """NumPy's `_reconstruct`, which makes the empty array that the state is put into."""
    if subtype is not np.ndarray or shape != (0,):
        raise InnerloopError("it rebuilds something other than a NumPy array.")
    return np.ndarray((0,), np.int8)


def _dtype(code: Any, *flags: Any) -> np.dtype:
    kind = np.dtype(code.decode("ascii") if isinstance(code, bytes) else code)
    if kind.hasobject or kind.fields is not None:
        raise InnerloopError("it holds arrays of objects.")
    return kind


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _empty,
    ("numpy._core.multiarray", "_reconstruct"): _empty,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _bytes,
}
