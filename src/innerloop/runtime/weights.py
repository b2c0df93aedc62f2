"""Files of weights as NumPy's arrays, checked; reading them needs neither JAX nor PyTorch."""

import difflib
import glob
import hashlib
import json
import math
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from ..errors import InnerloopError
from . import hub
from .files import read_bytes
from .folders import inside
from .names import fit_text

RULE_FILE = "rule.safetensors"
"""The rule in a training run's folder."""
RULE_FORMAT = 2
"""The format of files of rules."""
LARGEST_SETTING = 2**53
"""No number in a rule's settings is larger: JSON's are not exact everywhere above it."""
LARGEST_FILE = 1 << 30
"""Bytes that a file may have; the largest shipped one has half a million."""
LARGEST_HEADER = 1 << 20
"""Bytes that its header may have."""
MOST_ARRAYS = 1024
"""Arrays that it may hold."""
LARGEST_NUMBER = 8192
"""No whole number in a header's settings is larger."""
_SHOWN = 60


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(header, arrays), with safetensors' own checks.

    Raises `InnerloopError` where the file is damaged or none of ours, is larger than 1 GiB, or
    has a header of more than 1 MiB or more than 1,024 arrays.
    """
    data = read_bytes(path, LARGEST_FILE)
    try:
        length = int.from_bytes(data[:8], "little")
        if len(data) < 8 or not 0 < length <= min(LARGEST_HEADER, len(data) - 8):
            raise ValueError("no safetensors header")
        entries = json.loads(data[8 : 8 + length])
        metadata = entries.get("__metadata__", {})
        if len(entries) > MOST_ARRAYS + 1:
            raise InnerloopError(f"{path} holds more than {MOST_ARRAYS} arrays.")
        tensors = safetensors.numpy.load(data)
    except InnerloopError:
        raise
    except Exception as error:  # The parsers' many kinds of complaint.
        raise InnerloopError(
            f"{path} is damaged or truncated: it is no readable safetensors file."
        ) from error
    try:
        header = json.loads(metadata["innerloop"])
        if not isinstance(header, dict):
            raise TypeError("the header is no object")
    except Exception as error:  # Many kinds, and one more for what is nested too deep.
        raise InnerloopError(
            f"{path} is a safetensors file, but not one that innerloop wrote."
        ) from error
    return header, tensors


def check_format(header: dict[str, Any], path: Path, format: int) -> None:
    """Raises `InnerloopError` where the file is of another format than `format`."""
    found = header.get("format")
    if type(found) is not int or found != format:
        raise InnerloopError(
            f"{path} is of format {shown(found)}; this version of innerloop reads {format}."
        )


def check_numbers(*settings: Any, largest: int = LARGEST_NUMBER) -> None:
    """Raises ValueError for what makes no thing, or hangs: huge whole numbers, NaN, many parts."""
    for each in settings:
        if isinstance(each, (dict, list)) and len(each) > MOST_ARRAYS:
            raise ValueError("more parts than arrays")
        if isinstance(each, dict):
            check_numbers(*each.values(), largest=largest)
        elif isinstance(each, list):
            check_numbers(*each, largest=largest)
        elif isinstance(each, int) and abs(each) > largest:
            raise ValueError(f"{each} is out of range")
        elif isinstance(each, float) and not math.isfinite(each):
            raise ValueError(f"{each} is no finite number")


def shown(value: Any) -> str:
    """What a header says, for a message: on one line, and not much of it."""
    return fit_text(value, _SHOWN)


def layout(array: Any) -> tuple[tuple[int, ...], str]:
    """Shape and dtype, alike for dtypes that JAX's 64-bit mode turns into each other."""
    name = np.dtype(array.dtype).name
    wide = {"float64": "float32", "int64": "int32", "uint64": "uint32"}
    return tuple(array.shape), wide.get(name, name)


def check_arrays(
    wanted: dict[str, tuple[tuple[int, ...], str]], tensors: dict[str, np.ndarray], path: Path
) -> None:
    """Raises `InnerloopError` where arrays have not the layouts `wanted`, or are not finite."""
    if {name: layout(each) for name, each in tensors.items()} != wanted:
        raise InnerloopError(f"{path} is damaged: its arrays do not fit the settings it names.")
    check_finite(tensors.values(), path)


def check_finite(arrays: Iterable[Any], path: Path) -> None:
    """Raises `InnerloopError` where numbers of a file are not finite."""
    if not all(np.all(np.isfinite(array)) for array in arrays):
        raise InnerloopError(f"{path} is damaged: it holds numbers that are not finite.")


def digest(header: dict[str, Any], tensors: dict[str, np.ndarray]) -> str:
    """64 hexadecimal digits of a rule: of its name, its settings and all numbers in its arrays."""
    recipe = {name: header.get(name) for name in ("format", "rule", "settings")}
    found = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        found.update(f"{name} {tensor.dtype.str} {tensor.shape}".encode())
        found.update(tensor.tobytes())
    return found.hexdigest()


def shipped(*under: str) -> list[str]:
    """The names of the files that come with the package, in `shipped` or a folder `under` it."""
    folder = _shipped_folder(*under)
    if not folder.is_dir():
        return []
    return sorted(path.stem for path in folder.iterdir() if path.suffix == ".safetensors")


def find(path_or_name: str | Path, file: str, what: str, *under: str) -> Path:
    """A file itself, the `file` in a run's folder, or the shipped one of that name.

    Of hf://USER/NAME, it is the `file` in that repository, which is downloaded.

    Raises `InnerloopError`, which calls it `what`, where there is none.
    """
    if hub.is_address(path_or_name):
        return hub.download(path_or_name, file, LARGEST_FILE)
    path = Path(path_or_name)
    if (path / file).is_file():
        return inside(path, file)
    if path.is_file():
        return path
    name = str(path_or_name)
    if name in shipped(*under):
        return shipped_file(name, what, *under)
    if path.is_dir():
        raise InnerloopError(f"{path} is a folder without a {file} in it.")
    if path.name == name and any(_shipped_folder().rglob(f"{glob.escape(name)}.safetensors")):
        raise InnerloopError(
            f"'{name}' is no {what}: `innerloop list` names the rules that are shipped, "
            "`innerloop fewshot list` the meta-learners."
        )
    near = difflib.get_close_matches(name, shipped(*under), n=1)
    said = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(shipped(*under))}."
    raise InnerloopError(f"There is no file '{name}' and no shipped {what} of that name. {said}")


def shipped_file(name: str, what: str, *under: str) -> Path:
    """The file that comes with the package by this name, whatever the present folder holds.

    Raises `InnerloopError`, which calls it `what`, where there is none.
    """
    if name not in shipped(*under):
        raise InnerloopError(f"No {what} '{shown(name)}' is shipped.")
    return _shipped_folder(*under) / f"{name}.safetensors"


def _shipped_folder(*under: str) -> Path:
    return Path(str(resources.files("innerloop"))).joinpath("shipped", *under)
