"""Pickles of NumPy arrays, as CIFAR-10 and VGG16's weights are published."""

import io
import pickle
from typing import Any

import numpy as np

from ..errors import InnerloopError


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into a pickle for Python 2."""
    if encoding != "latin1":
        raise InnerloopError("it encodes something other than bytes.")
    return text.encode("latin1")


_rebuild = np.zeros(0).__reduce__()[0]
_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _rebuild,
    ("numpy._core.multiarray", "_reconstruct"): _rebuild,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
}
"""All that a pickle may name. It is looked up here, and nothing is imported."""


class _Arrays(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return _NAMES[module_name, global_name]
        except KeyError:
            asked = f"{module_name}.{global_name}"[:80]
            raise InnerloopError(
                f"it asks for {asked}, and only NumPy arrays may be in it."
            ) from None


def load_arrays(content: bytes, what: str) -> Any:
    """The lists, dictionaries, strings, numbers and NumPy arrays pickled in `content`.

    For files whose digest was checked: what `pickle` itself does with memory is not bounded here.

    Args:
        content: A pickle. Byte strings of Python 2 stay `bytes`.
        what: The name of the file, for messages.

    Raises:
        InnerloopError: The pickle names anything but what arrays are rebuilt from, or is damaged.
    """
    try:
        return _Arrays(io.BytesIO(content), encoding="bytes").load()
    except InnerloopError as error:
        raise InnerloopError(f"{what} is refused: {error}") from None
    except Exception as error:  # Damaged pickles raise nearly anything.
        raise InnerloopError(f"{what} is damaged: it is no readable pickle.") from error
