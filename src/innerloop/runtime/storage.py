"""Pytrees of arrays in files: safetensors with a JSON header, and nothing that could run code."""

import difflib
import glob
import importlib.metadata
import json
import math
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from jaxtyping import PyTree

from ..errors import InnerloopError
from .files import read_bytes, replace_bytes
from .folders import inside
from .names import fit_text

LARGEST_FILE = 1 << 30
"""Bytes that a file may have; the largest shipped one has half a million."""
LARGEST_HEADER = 1 << 20
"""Bytes that its header may have."""
MOST_ARRAYS = 1024
"""Arrays that it may hold."""
LARGEST_NUMBER = 8192
"""No whole number in a header's settings is larger."""
_SHOWN = 60


def write(tree: PyTree, path: str | Path, recipe: dict[str, Any], run: dict[str, Any]) -> Path:
    """Write the arrays of `tree` to `path` (made whole before it replaces what is there).

    The header holds `recipe`, from which the tree can be made again, versions, and `run`: what
    is to be remembered of the run that made it. Raises `InnerloopError` where `path` cannot be
    written.
    """
    return write_named(named_leaves(tree), path, recipe, run)


def write_named(
    arrays: dict[str, Any], path: str | Path, recipe: dict[str, Any], run: dict[str, Any]
) -> Path:
    """As `write`, of arrays by the names that `named_leaves` gives."""
    path = Path(path)
    header = {
        **recipe,
        "versions": {name: importlib.metadata.version(name) for name in ("innerloop", "jax")},
        "run": run,
    }
    tensors = {name: np.asarray(leaf) for name, leaf in arrays.items()}
    data = safetensors.numpy.save(tensors, {"innerloop": json.dumps(header)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(path, data)
    except OSError as error:
        raise InnerloopError(f"Cannot write {path}: {error.strerror}.") from error
    return path


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


def fill(template: PyTree, tensors: dict[str, np.ndarray], path: Path) -> PyTree:
    """`template`, whose leaves need only shapes and dtypes, with the arrays of a file.

    The arrays keep the dtypes of the file, whether or not JAX is in 64-bit mode. Raises
    `InnerloopError` where they do not fit, or are not finite.
    """
    wanted = named_leaves(template)
    found = {name: layout(each) for name, each in tensors.items()}
    if found != {name: layout(leaf) for name, leaf in wanted.items()}:
        raise InnerloopError(f"{path} is damaged: its arrays do not fit the settings it names.")
    if not all(np.all(np.isfinite(tensor)) for tensor in tensors.values()):
        raise InnerloopError(f"{path} is damaged: it holds numbers that are not finite.")
    leaves, structure = jax.tree.flatten(template)
    assert len(leaves) == len(wanted)
    return jax.tree.unflatten(structure, [jnp.asarray(tensors[name]) for name in wanted])


def is_numeric(leaf: Any) -> bool:
    """Whether a file can hold a leaf: an array of numbers or truth values, and no keys."""
    is_array = isinstance(leaf, (jax.Array, np.ndarray))
    return is_array and not jnp.issubdtype(leaf.dtype, jax.dtypes.extended)


def layout(array: Any) -> tuple[tuple[int, ...], str]:
    """Shape and dtype, alike for dtypes that JAX's 64-bit mode turns into each other."""
    name = np.dtype(array.dtype).name
    wide = {"float64": "float32", "int64": "int32", "uint64": "uint32"}
    return tuple(array.shape), wide.get(name, name)


def shipped(*under: str) -> list[str]:
    """The names of the files that come with the package, in `shipped` or a folder `under` it."""
    folder = _shipped_folder(*under)
    if not folder.is_dir():
        return []
    return sorted(path.stem for path in folder.iterdir() if path.suffix == ".safetensors")


def find(path_or_name: str | Path, file: str, what: str, *under: str) -> Path:
    """A file itself, the `file` in a run's folder, or the shipped one of that name.

    Raises `InnerloopError`, which calls it `what`, where there is none.
    """
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


def named_leaves(tree: PyTree) -> dict[str, Any]:
    """The leaves by their path, as in "initial['block1']['kernel']", in the tree's order."""
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path).lstrip("."): leaf for path, leaf in paths}
