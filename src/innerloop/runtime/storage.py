"""Pytrees of arrays in files: safetensors with a JSON header, and nothing that could run code."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from jaxtyping import PyTree

from ..errors import InnerloopError
from .files import replace_bytes
from .weights import (
    check_arrays as check_arrays,
    check_finite as check_finite,
    check_format as check_format,
    check_numbers as check_numbers,
    find as find,
    layout as layout,
    read as read,
    shipped as shipped,
    shipped_file as shipped_file,
    shown as shown,
)


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


def fill(template: PyTree, tensors: dict[str, np.ndarray], path: Path) -> PyTree:
    """`template`, whose leaves need only shapes and dtypes, with the arrays of a file.

    The arrays keep the dtypes of the file, whether or not JAX is in 64-bit mode. Raises
    `InnerloopError` where they do not fit, or are not finite.
    """
    wanted = named_leaves(template)
    check_arrays({name: layout(leaf) for name, leaf in wanted.items()}, tensors, path)
    leaves, structure = jax.tree.flatten(template)
    assert len(leaves) == len(wanted)
    return jax.tree.unflatten(structure, [jnp.asarray(tensors[name]) for name in wanted])


def is_numeric(leaf: Any) -> bool:
    """Whether a file can hold a leaf: an array of numbers or truth values, and no keys."""
    is_array = isinstance(leaf, (jax.Array, np.ndarray))
    return is_array and not jnp.issubdtype(leaf.dtype, jax.dtypes.extended)


def named_leaves(tree: PyTree) -> dict[str, Any]:
    """The leaves by their path, as in "initial['block1']['kernel']", in the tree's order."""
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path).lstrip("."): leaf for path, leaf in paths}
