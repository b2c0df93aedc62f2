"""Compiled programs, kept in the user's cache: the second run of a command need not compile."""

import contextlib
import hashlib
import os
import platform
import stat
import sys
from pathlib import Path

import jax
import jaxlib

from .files import cache_folder

_MOST = 1 << 30  # Bytes.
_MAPS = Path("/proc/self/maps")
_MOST_MAPS = 40_000
_LEVEL = "xla_backend_optimization_level"
_QUICK, _FULL = 1, 3


def compile_quickly() -> None:
    """Let XLA optimize less, which shortens compilation, for programs that run few times.

    On five task families compilation took 0.5 to 0.85 of the time, and running 1 to 1.3 times as
    long. The user's `XLA_FLAGS` come first. Call it before JAX is first used: later it has no
    effect.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if _LEVEL not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{_LEVEL}={_QUICK}".strip()


def full_compilation() -> dict[str, int]:
    """`compiler_options` of `jax.jit` that undo `compile_quickly`, for what is to be timed."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    return {_LEVEL: _FULL} if f"--{_LEVEL}={_QUICK}" in flags else {}


def keep_compiled(folder: Path | None = None) -> None:
    """Let JAX keep what it compiles in `folder`, by default `compiled` in the user's cache.

    A subfolder holds what one kind of CPU and one version of jaxlib made. JAX's own setting
    comes first, `JAX_ENABLE_COMPILATION_CACHE=false` turns it off, and where the folder cannot
    be written, or others can write to it, nothing is kept. At most a gigabyte stays, the newest.
    It has to be called before anything is compiled.
    """
    theirs = getattr(jax.config, "jax_compilation_cache_dir", None)
    if theirs or not getattr(jax.config, "jax_enable_compilation_cache", True):
        return
    if sys.platform == "darwin" and jaxlib.version.__version_info__ < (0, 10):
        return  # Programs that were read back have crashed there.
    folder = cache_folder() / "compiled" if folder is None else folder
    kind = f"{platform.machine()}-{_features()}-jaxlib-{jaxlib.version.__version__}"
    with contextlib.suppress(OSError):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        if os.access(folder / kind, os.W_OK) and _is_own(folder) and _is_own(folder / kind):
            _prune(folder)
            jax.config.update("jax_compilation_cache_dir", str(folder / kind))
            # Hundreds of small programs, too, are seconds before a run begins.
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
            jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def clear_programs_near_limit(most: int = _MOST_MAPS) -> None:
    """Clear JAX's compiled programs if this process has more than `most` memory maps.

    Linux allows a process about 65,000 memory maps. Each compiled program needs a few of them, and
    compilation fails when none are left. A program that was cleared is compiled again when it is
    next called, or read from the cache on disk.

    Args:
        most: The number of memory maps above which programs are cleared.
    """
    if _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > most:
        jax.clear_caches()


def _is_own(folder: Path) -> bool:
    """Whether nobody else can put a program there: it would be run."""
    if not hasattr(os, "getuid"):
        return True
    found = folder.stat()
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _features() -> str:
    """What tells one kind of CPU from another: programs made for one may not run on the other."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return hashlib.sha256(line.encode()).hexdigest()[:8]
    return hashlib.sha256(platform.processor().encode()).hexdigest()[:8]


def _prune(folder: Path) -> None:
    """Remove the oldest programs until a gigabyte is left."""
    found = [(path, path.stat()) for path in folder.rglob("*") if path.is_file()]
    size = sum(info.st_size for _, info in found)
    for path, info in sorted(found, key=lambda each: each[1].st_mtime):
        if size <= _MOST:
            return
        path.unlink(missing_ok=True)
        size -= info.st_size
