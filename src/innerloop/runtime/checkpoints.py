"""Training checkpoints, kept by Orbax: complete or not there at all."""

import contextlib
import hashlib
import json
import logging
import shutil
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ..errors import FileError, InnerloopError
from .files import read_text, replace_text
from .folders import plain_path, refuse_links
from .hosts import is_first
from .runfile import FILE as ASKED, as_text, check_same, parse

_DIGESTS = "sha256.json"
"""In each checkpoint's folder: the digest of every file beside it."""


class Checkpoints:
    """The checkpoints of one training run, in a folder of their own.

    They are written in the background; the newest `keep` are kept. A tree's leaves are stored
    flat, by position, and read back against a tree of the same structure, whatever devices its
    arrays lie on. On many hosts each process writes the parts that it holds, into a folder that
    all of them see, and every method is to be called by all.

    Args:
        folder: Where they lie.
        keep: How many of the newest are kept.
        asked: What the run is asked, as a dataclass of settings or nested dicts. It is kept with
            each checkpoint, and what is restored must have been asked the same.

    Raises:
        InnerloopError: The folder or something in it is a symbolic link, or cannot be read.
    """

    def __init__(self, folder: Path, *, keep: int = 2, asked: Any = None):
        # Imported here since it takes long and only training needs it.
        import orbax.checkpoint as ocp

        self._folder = folder.absolute()
        refuse_links(self._folder)  # Orbax follows them, when it prunes too.
        self._asked = asked
        self._digesting = threading.Lock()
        self._own: set[int] = set()
        """The steps that were saved here. Others may have been damaged since they were."""
        # Left as found by `close`.
        self._level = logging.getLogger("absl").level
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self._ocp = ocp
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            cleanup_tmp_directories=True,
            async_options=ocp.AsyncOptions(post_finalization_callback=self._digest_coming),
        )
        self._places = contextlib.ExitStack()
        with self._said(None):
            place = self._places.enter_context(plain_path(self._folder))
            self._manager = ocp.CheckpointManager(place, options=options)

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
                self._own.add(step)
                self._manager.save(step, args=args)  # Which waits until the former is there.
            if wait:
                self._manager.wait_until_finished()
            self._digest()

    def restore(self, like: PyTree) -> tuple[int, PyTree] | None:
        """The newest (step, tree) that is whole, or None where there is none.

        The arrays lie where those of `like` do. Newer checkpoints that are damaged, or were never
        complete, are removed once this one is read. Raises `InnerloopError`, and removes nothing,
        where there are checkpoints and none is whole, or where the newest whole one is of a run
        that was asked something else, or cannot be read as `like`.
        """
        steps = sorted(self._steps(), reverse=True)
        for step in steps:
            if self._whole(step):
                self._check_asked(step)
                try:
                    tree = self._read(step, like)
                except Exception as error:
                    raise InnerloopError(
                        f"The checkpoint of meta-step {step} in {self._folder} is whole, but it "
                        f"cannot be read as a state of this run ({_cause(error)}): nothing is "
                        "removed. If the run had other settings, name another folder.",
                        arguments=("out",),
                    ) from error
                return self._taken(step, tree)
        if steps:
            raise InnerloopError(
                f"No checkpoint in {self._folder} is whole: they are damaged, or were never "
                "finished. Name another folder to start afresh.",
                arguments=("out",),
            )
        return None

    def _steps(self) -> list[int]:
        """The steps of the folders there are, whole or not; Orbax knows some of them only."""
        names = [path.name for path in self._folder.iterdir() if path.is_dir()]
        return [int(name) for name in names if name.isdecimal() and str(int(name)) == name]

    def _read(self, step: int, like: PyTree) -> PyTree:
        leaves, structure = jax.tree.flatten(like)
        wanted = {_name(index): _wanted(leaf) for index, leaf in enumerate(leaves)}
        args: Any = self._ocp.args.StandardRestore(wanted)  # pyright: ignore[reportCallIssue]
        stored = self._manager.restore(step, args=args)
        for name, leaf in wanted.items():
            if stored[name].shape != leaf.shape or stored[name].dtype != leaf.dtype:
                raise ValueError("its arrays are of other shapes")
        values = [_like(leaf, stored[name]) for leaf, name in zip(leaves, wanted, strict=True)]
        return jax.tree.unflatten(structure, values)

    def _taken(self, step: int, tree: PyTree) -> tuple[int, PyTree]:
        """`tree`, which was read, with what is newer removed: its steps are to be saved again."""
        for newer in [other for other in self._steps() if other > step]:
            if newer in self._manager.all_steps():
                self._manager.delete(newer)
            elif is_first():
                shutil.rmtree(self._folder / str(newer))
        self._manager.reload()
        return step, tree

    def _whole(self, step: int) -> bool:
        """Whether the files of a checkpoint are those whose digests were written with it."""
        folder = self._folder / str(step)
        try:
            return json.loads(read_text(folder / _DIGESTS)) == _digests(folder)
        except (OSError, ValueError, RecursionError):
            return False

    def _check_asked(self, step: int) -> None:
        """Raises `InnerloopError` where the run of a whole checkpoint was asked something else."""
        path = self._folder / str(step) / ASKED
        if self._asked is not None and path.exists():
            try:
                former = parse(read_text(path))
            except (OSError, ValueError) as error:
                raise FileError(f"{path} is damaged; name another folder.") from error
            check_same(former, self._asked, self._folder.parent)

    def close(self) -> None:
        """Wait until what is being written is there. Raises as `save` does."""
        try:
            with self._said(None):
                self._manager.wait_until_finished()
                self._digest()
                self._manager.close()
        finally:
            self._places.close()
            logging.getLogger("absl").setLevel(self._level)

    def _digest(self) -> None:
        """The digests of checkpoints of our own that for some reason have none."""
        self._digest_all([self._folder / str(step) for step in self._own & {*self._steps()}])

    def _digest_coming(self) -> None:
        """The digests of what Orbax has written and is about to give its name, in its thread."""
        self._digest_all(list(self._folder.glob("*.orbax-checkpoint-tmp*")))

    def _digest_all(self, folders: list[Path]) -> None:
        """Beside the files of each, their digests; they come last, and make it complete."""
        if not is_first():
            return
        with self._digesting:
            for folder in folders:
                # It may be pruned meanwhile; and a full disk is said by what comes next.
                with contextlib.suppress(OSError):
                    if not (folder / _DIGESTS).exists() and any(folder.iterdir()):
                        if self._asked is not None:
                            replace_text(folder / ASKED, as_text(self._asked))
                        replace_text(folder / _DIGESTS, json.dumps(_digests(folder), indent=1))

    @contextlib.contextmanager
    def _said(self, step: int | None) -> Generator[None]:
        """Turn an error in writing into a sentence that names the last good checkpoint."""
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
            "to again, a run with resume goes on from it."
        )


def peek(folder: Path, step: int, like: PyTree) -> PyTree:
    """The first leaves of a checkpoint as a tree like `like`; nothing is changed or waited for.

    For looking into the folder of a run that goes on: what a run trains comes first.

    Args:
        folder: Where the checkpoints lie.
        step: Which one.
        like: A tree with the structure, shapes and dtypes of what is read.

    Raises:
        InnerloopError: There is no such checkpoint, or it begins with something else.
    """
    import orbax.checkpoint as ocp

    place = folder.absolute() / str(step)
    refuse_links(place)
    leaves, structure = jax.tree.flatten(like)
    try:
        names = [_name(index) for index in range(len(leaves))]
        plain = dict.fromkeys(names, ocp.RestoreArgs(restore_type=np.ndarray))
        args: Any = ocp.args.PyTreeRestore(
            item=dict.fromkeys(names, 0), restore_args=plain, partial_restore=True
        )  # pyright: ignore[reportCallIssue]
        stored = ocp.PyTreeCheckpointer().restore(place / "default", args=args)
        found = [jnp.asarray(stored[_name(index)]) for index in range(len(leaves))]
    except Exception as error:  # Orbax's many kinds.
        raise InnerloopError(
            f"Cannot read a checkpoint of meta-step {step} in {folder} ({_cause(error)})."
        ) from error
    if [(each.shape, each.dtype) for each in found] != [
        (each.shape, each.dtype) for each in leaves
    ]:
        raise InnerloopError(f"The checkpoint of meta-step {step} in {folder} is of another rule.")
    return jax.tree.unflatten(structure, found)


def steps_in(folder: Path) -> list[int]:
    """The meta-steps of the complete checkpoints in a folder, in rising order."""
    return sorted(int(path.parent.name) for path in folder.glob(f"*/{_DIGESTS}"))


def _name(index: int) -> str:
    return f"{index:04d}"


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {}
    for path in files:
        # What is no part of the content may be added to a checkpoint after it is complete.
        if path.parent != folder or path.name == ASKED:
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
