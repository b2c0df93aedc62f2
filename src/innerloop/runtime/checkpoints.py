"""Training checkpoints, kept by Orbax: complete or not there at all."""

import contextlib
import hashlib
import json
import logging
from collections.abc import Generator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from ..errors import InnerloopError
from .files import replace_text
from .hosts import is_first

_DIGESTS = "sha256.json"
"""In each checkpoint's folder: the digest of every file beside it."""


class Checkpoints:
    """The checkpoints of one training run, in a folder of their own.

    They are written in the background; the newest `keep` are kept. A tree's leaves are stored
    flat, by position, and read back against a tree of the same structure, whatever devices its
    arrays lie on. On many hosts each process writes the parts that it holds, into a folder that
    all of them see, and every method is to be called by all.
    """

    def __init__(self, folder: Path, *, keep: int = 2):
        # Imported here since it takes long and only training needs it.
        import orbax.checkpoint as ocp

        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self._ocp = ocp
        self._folder = folder.absolute()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            cleanup_tmp_directories=True,
        )
        with self._said(None):
            self._manager = ocp.CheckpointManager(self._folder, options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # Whatever ended the run is told, and not what it then does to the last checkpoint.
        with contextlib.suppress(Exception) if kind else contextlib.nullcontext():
            self.close()

    @property
    def latest(self) -> int | None:
        """The step of the newest complete checkpoint."""
        return self._manager.latest_step()

    def save(self, step: int, tree: PyTree, *, wait: bool = False) -> None:
        """Store `tree` as step `step`, in place of what that step held.

        Raises `InnerloopError` where it cannot be written, or the one before could not.
        """
        with self._said(step):
            if not self._folder.is_dir():
                raise FileNotFoundError("the folder is gone")
            if self._manager.latest_step() != step:
                # Copies: the arrays are donated to the next step while the file is written.
                leaves = [jnp.copy(_data(leaf)) for leaf in jax.tree.leaves(tree)]
                named = {_name(index): leaf for index, leaf in enumerate(leaves)}
                args: Any = self._ocp.args.StandardSave(named)  # pyright: ignore[reportCallIssue]
                self._manager.save(step, args=args)  # Which waits until the former is there.
            if wait:
                self._manager.wait_until_finished()
            self._digest()

    def restore(self, like: PyTree) -> tuple[int, PyTree] | None:
        """The newest (step, tree) that is whole, or None where there is none.

        The arrays lie where those of `like` do. Newer checkpoints that are damaged are removed.
        Raises `InnerloopError` where there are checkpoints and none can be read as `like`.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        leaves, structure = jax.tree.flatten(like)
        wanted = {_name(index): _wanted(leaf) for index, leaf in enumerate(leaves)}
        for step in steps:
            try:
                self._check_digests(step)
                args: Any = self._ocp.args.StandardRestore(wanted)  # pyright: ignore[reportCallIssue]
                stored = self._manager.restore(step, args=args)
            except Exception:  # Orbax's many kinds of damage; an older one may be whole.
                continue
            same = all(
                stored[name].shape == leaf.shape and stored[name].dtype == leaf.dtype
                for name, leaf in wanted.items()
            )
            if same:
                for damaged in [other for other in steps if other > step]:
                    self._manager.delete(damaged)
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
        """Wait until what is being written is there. Raises as `save` does."""
        with self._said(None):
            self._manager.wait_until_finished()
            self._digest()
            self._manager.close()

    def _digest(self) -> None:
        """Beside the files of every checkpoint that is complete, their digests."""
        if not is_first():
            return
        for step in self._folder.iterdir():
            if step.name.isdecimal() and not (step / _DIGESTS).exists():
                # A checkpoint without digests is still one; and it may be pruned meanwhile.
                with contextlib.suppress(OSError):
                    replace_text(step / _DIGESTS, json.dumps(_digests(step), indent=1))

    def _check_digests(self, step: int) -> None:
        folder = self._folder / str(step)
        file = folder / _DIGESTS
        if file.exists() and json.loads(file.read_text()) != _digests(folder):
            raise ValueError("other content than was written")

    @contextlib.contextmanager
    def _said(self, step: int | None) -> Generator[None]:
        """What goes wrong in writing is said in a sentence, with what there is to go on from."""
        try:
            yield
        except Exception as error:  # Orbax's and TensorStore's many kinds.
            what = "a checkpoint" if step is None else f"the checkpoint of meta-step {step}"
            raise InnerloopError(
                f"Cannot write {what} to {self._folder} ({_cause(error)}); {self._last_good()}"
            ) from error

    def _last_good(self) -> str:
        # Asked of the disk, since the manager counts what it has begun.
        there = [int(path.name) for path in self._folder.glob("*") if path.name.isdecimal()]
        if not there:
            return "there is no former one."
        return (
            f"the last good one is of meta-step {max(there)}. Once the folder can be written "
            "to again, the same command with --resume goes on from it."
        )


def _name(index: int) -> str:
    return f"{index:04d}"


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {}
    for path in files:
        # What is no part of the content may be added to a checkpoint after it is complete.
        if path.parent != folder:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            digests[path.relative_to(folder).as_posix()] = digest
    return digests


def _cause(error: BaseException) -> str:
    """In a few words why, out of an exception that may hold pages."""
    for each in (error, error.__cause__, error.__context__):
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
    text = str(error)
    for known in ("No space left on device", "File too large", "Read-only file system"):
        if known in text:
            return known
    free = " ".join(text.split())
    return free[:200] or type(error).__name__


def _data(leaf: Any) -> Any:
    if isinstance(leaf, jax.Array):
        return jax.random.key_data(leaf) if _is_key(leaf) else leaf
    return jnp.asarray(leaf)


def _wanted(leaf: Any) -> jax.ShapeDtypeStruct:
    data = _data(leaf)
    return jax.ShapeDtypeStruct(data.shape, data.dtype, sharding=data.sharding)


def _like(leaf: Any, data: jax.Array) -> Any:
    if _is_key(leaf):
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    return data


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
