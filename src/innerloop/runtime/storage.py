"""Pytrees of arrays in files: safetensors with a JSON header, and nothing that could run code."""

import difflib
import glob
import importlib.metadata
import json
from importlib import resources
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from jaxtyping import PyTree

from ..datasets.files import contents
from ..errors import InnerloopError
from . import headers
from .folders import replace_bytes

FORMAT = 2
LARGEST_FILE = 1 << 30
"""Bytes that a file may have; the largest shipped one has half a million."""
LARGEST_HEADER = 1 << 20
"""Bytes that its header may have."""
MOST_ARRAYS = 1024
"""Arrays that it may hold."""
_SHOWN = 60


def write(tree: PyTree, path: str | Path, recipe: dict[str, Any], run: dict[str, Any]) -> Path:
    """Write the arrays of `tree` to `path` (made whole before it replaces what is there).

    The header holds `recipe`, from which the tree can be made again, versions, and `run`: what
    is to be remembered of the run that made it. Raises `InnerloopError` where `path` cannot be
    written.
    """
    path = Path(path)
    header = {
        "format": FORMAT,
        **recipe,
        "versions": {name: importlib.metadata.version(name) for name in ("innerloop", "jax")},
        "run": run,
    }
    tensors = {name: np.asarray(leaf) for name, leaf in named_arrays(tree).items()}
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
    data = contents(path, LARGEST_FILE)
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


def check_format(header: dict[str, Any], path: Path, *, oldest: int = FORMAT) -> None:
    """Raises `InnerloopError` where the file is of another format than this version reads."""
    found = header.get("format")
    if type(found) is not int or not oldest <= found <= FORMAT:
        raise InnerloopError(
            f"{path} is of format {shown(found)}; this version of innerloop reads {FORMAT}."
        )


def check_savable(thing: Any) -> dict[str, Any]:
    """What the header of a file says of a rule or a meta-learner, from which it is made again.

    Args:
        thing: An instance of a registered class.

    Raises:
        InnerloopError: Its class is not registered, a setting is nothing that a file can hold, or
            what is made from its settings is of another structure.
    """
    described = json.loads(json.dumps(headers.describe(thing)))
    name = type(thing).__name__
    try:
        again = template(described, type(thing).registry_kind)
    except Exception as error:  # Whatever a user's own constructor raises.
        raise InnerloopError(
            f"A {name} cannot be saved, since it cannot be made again from its settings: "
            f"{type(error).__name__}: {shown(error)}."
        ) from error
    for place, leaf in named_leaves(thing).items():
        if eqx.is_array(leaf) and not _kind(leaf.dtype):
            raise InnerloopError(f"A {name} cannot be saved, since {place} is of {leaf.dtype}.")
    if not _alike(thing, again):
        raise InnerloopError(
            f"A {name} cannot be saved, since what is made from its settings, "
            f"{shown(json.dumps(described['settings']))}, is of another structure than it."
        )
    return described


def template(described: Any, kind: str) -> Any:
    """The thing that a header describes, with shapes and dtypes for arrays."""
    return eqx.filter_eval_shape(lambda: headers.make(described, kind))


def _alike(thing: Any, again: Any) -> bool:
    """Whether both have the same static fields, and arrays of the same shapes and kinds."""
    one, other = named_leaves(thing), named_leaves(again)
    if jax.tree.structure(thing) != jax.tree.structure(again):
        return False
    return all(_same_leaf(leaf, other[name]) for name, leaf in one.items())


def _same_leaf(one: Any, other: Any) -> bool:
    if not _is_array(one) or not _is_array(other):
        return type(one) is type(other) and one == other
    return one.shape == other.shape and _kind(one.dtype) == _kind(other.dtype)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray, jax.ShapeDtypeStruct))


def _kind(dtype: Any) -> str:
    """What numbers of a dtype are, whatever their width."""
    kinds = {
        jnp.bool_: "truth value",
        jnp.integer: "integer",
        jnp.floating: "real",
        jnp.complexfloating: "complex",
    }
    return next((name for kind, name in kinds.items() if jnp.issubdtype(dtype, kind)), "")


def shown(value: Any) -> str:
    """What a header says, for a message: on one line, and not much of it."""
    text = "".join(char if char.isprintable() else "·" for char in str(value)[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def fill(template: PyTree, tensors: dict[str, np.ndarray], path: Path) -> PyTree:
    """`template`, whose arrays need only shapes and dtypes, with the arrays of a file.

    They have the file's dtypes, whatever `jax_enable_x64` was when it was written; without it,
    64-bit numbers become 32-bit ones.

    Raises:
        InnerloopError: The arrays have other names or shapes than the template's, numbers of
            another kind (integers for reals, say), or some that are not finite.
    """
    wanted = named_arrays(template)
    found = {name: (tensor.shape, _kind(tensor.dtype)) for name, tensor in tensors.items()}
    if found != {name: (leaf.shape, _kind(leaf.dtype)) for name, leaf in wanted.items()}:
        raise InnerloopError(f"{path} is damaged: its arrays do not fit the settings it names.")
    with np.errstate(over="ignore"):
        arrays = {
            name: tensor.astype(jax.dtypes.canonicalize_dtype(tensor.dtype))
            for name, tensor in tensors.items()
        }
    if not all(np.all(np.isfinite(array)) for array in arrays.values()):
        raise InnerloopError(f"{path} is damaged: it holds numbers that are not finite.")
    paths, structure = jax.tree_util.tree_flatten_with_path(template)
    named = [(_name(path), leaf) for path, leaf in paths]
    leaves = [jnp.asarray(arrays[name]) if name in wanted else leaf for name, leaf in named]
    return jax.tree.unflatten(structure, leaves)


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
        return path / file
    if path.is_file():
        return path
    name = str(path_or_name)
    if name in shipped(*under):
        return _shipped_folder(*under) / f"{name}.safetensors"
    if path.is_dir():
        raise InnerloopError(f"{path} is a folder without a {file} in it.")
    if any(_shipped_folder().rglob(f"{glob.escape(name)}.safetensors")):
        raise InnerloopError(
            f"'{name}' is no {what}: `innerloop list` names the rules that are shipped, "
            "`innerloop fewshot list` the meta-learners."
        )
    near = difflib.get_close_matches(name, shipped(*under), n=1)
    said = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(shipped(*under))}."
    raise InnerloopError(f"There is no file '{name}' and no shipped {what} of that name. {said}")


def _shipped_folder(*under: str) -> Path:
    return Path(str(resources.files("innerloop"))).joinpath("shipped", *under)


def named_leaves(tree: PyTree) -> dict[str, Any]:
    """The leaves by their path, as in "initial['block1']['kernel']", in the tree's order."""
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def named_arrays(tree: PyTree) -> dict[str, Any]:
    """Those of `named_leaves` that are arrays, or stand for one."""
    return {name: leaf for name, leaf in named_leaves(tree).items() if _is_array(leaf)}


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path).lstrip(".")
