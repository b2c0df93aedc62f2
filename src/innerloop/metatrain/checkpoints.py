"""Training checkpoints, kept by Orbax: complete or not there at all."""

import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ..errors import InnerloopError


class Checkpoints:
    """The checkpoints of one training run, in a folder of their own.

    They are written in the background; the newest two are kept. A tree's leaves are stored
    flat, by position, and read back against a tree of the same structure.
    """

    def __init__(self, folder: Path, *, keep: int = 2):
        # Imported here since it takes long and only training needs it.
        import orbax.checkpoint as ocp

        logging.getLogger("absl").setLevel(logging.ERROR)
        self._ocp = ocp
        self._folder = folder
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def save(self, step: int, tree: PyTree, *, wait: bool = False) -> None:
        """Store `tree` as step `step`, in place of what that step held."""
        # Copies: the arrays are donated to the next step while the file is being written.
        leaves = [np.array(_data(leaf)) for leaf in jax.tree.leaves(tree)]
        named = {f"{index:04d}": leaf for index, leaf in enumerate(leaves)}
        if self._manager.latest_step() != step:
            self._manager.save(step, args=self._ocp.args.StandardSave(named))  # pyright: ignore[reportCallIssue]
        if wait:
            self._manager.wait_until_finished()

    def restore(self, like: PyTree) -> tuple[int, PyTree] | None:
        """The newest readable (step, tree), or None where there is none.

        Raises `InnerloopError` where there are checkpoints and none can be read as `like`.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        leaves, structure = jax.tree.flatten(like)
        wanted = {f"{index:04d}": np.asarray(_data(leaf)) for index, leaf in enumerate(leaves)}
        for step in steps:
            try:
                args: Any = self._ocp.args.StandardRestore(wanted)  # pyright: ignore[reportCallIssue]
                stored = self._manager.restore(step, args=args)
            except Exception:  # Orbax's many kinds of damage; an older one may be whole.
                continue
            same = all(
                stored[name].shape == leaf.shape and stored[name].dtype == leaf.dtype
                for name, leaf in wanted.items()
            )
            if same:
                values = [
                    _like(leaf, stored[name]) for leaf, name in zip(leaves, wanted, strict=True)
                ]
                return step, jax.tree.unflatten(structure, values)
        if steps:
            raise InnerloopError(
                f"No checkpoint in {self._folder} can be read as a state of this run: they are "
                "damaged, or the run had other settings. Give another --out to start afresh."
            )
        return None

    def close(self) -> None:
        """Wait until what is being written is there."""
        self._manager.wait_until_finished()
        self._manager.close()


def _data(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _like(leaf: Any, data: np.ndarray) -> Any:
    if _is_key(leaf):
        return jax.random.wrap_key_data(jnp.asarray(data), impl=jax.random.key_impl(leaf))
    return data


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
