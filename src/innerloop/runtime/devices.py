"""The devices that the problems of a batch are spread over: cores, GPUs or hosts alike."""

import contextlib
import os
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding
from jaxtyping import PyTree

from ..errors import InnerloopError
from .hosts import alone

PROBLEMS = PartitionSpec("problems")
REPLICATED = PartitionSpec()


def problem_mesh(problems: int, devices: int | None = None) -> Mesh:
    """A mesh over as many of the first `devices` devices (all, by default) as divide `problems`.

    Where several processes are one run all their devices are in it. Raises `InnerloopError`
    where they do not divide `problems`.
    """
    available = jax.devices()[:devices]
    count = max(n for n in range(1, len(available) + 1) if problems % n == 0)
    if not alone() and count < jax.device_count():
        raise InnerloopError(
            f"problems is {problems}; over the {jax.device_count()} devices of "
            f"{jax.process_count()} processes it must be a multiple of {jax.device_count()}."
        )
    auto = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((count,), ("problems",), auto, devices=available[:count])


def split_cores(cores: int | None = None) -> None:
    """Make each CPU core a JAX device (eight at most), so that a batch runs one part a core.

    At the sizes of learned optimizers this beats XLA's threads inside an operation. It has
    to be called before JAX is first used; afterwards it changes nothing.
    """
    if cores is None:
        affinity = getattr(os, "sched_getaffinity", None)
        cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with contextlib.suppress(RuntimeError):  # JAX is in use already.
        jax.config.update("jax_num_cpu_devices", max(1, min(cores, 8)))


def over_problems(
    function: Callable[..., Any], mesh: Mesh, shared: PyTree, split: PyTree, out_specs: Any
) -> Any:
    """`function(shared, split)` on every device, each with its part of the problems.

    The leaves of `split` lead with the axis `problems`; `shared` is whole everywhere, and
    may hold leaves that are no arrays. Inside `function`, "problems" names the axis for
    `jax.lax.pmean`.
    """
    arrays, static = eqx.partition(shared, eqx.is_array)

    def local(arrays, split):
        return function(eqx.combine(arrays, static), split)

    mapped = jax.shard_map(
        local, mesh=mesh, in_specs=(REPLICATED, PROBLEMS), out_specs=out_specs, check_vma=False
    )
    return mapped(arrays, split)


def shard(tree: PyTree, mesh: Mesh) -> PyTree:
    """`tree`, whose leaves lead with the axis `problems`, laid out over `mesh`."""
    return _place(tree, NamedSharding(mesh, PROBLEMS))


def replicate(tree: PyTree, mesh: Mesh) -> PyTree:
    """The arrays of `tree`, whole on every device of `mesh`."""
    arrays, static = eqx.partition(tree, eqx.is_array)
    return eqx.combine(_place(arrays, NamedSharding(mesh, REPLICATED)), static)


def flags(raised: bool, mesh: Mesh) -> jax.Array:
    """A number for each device of `mesh`: 1 for those of this process where `raised`, or else 0."""
    sharding = NamedSharding(mesh, PROBLEMS)
    mine = np.full(1, raised, np.float32)
    return jax.make_array_from_callback((mesh.size,), sharding, lambda part: mine)


def round_up(problems: int, mesh_size: int | None = None) -> int:
    """`problems`, rounded up so that `mesh_size` devices (all, by default) share them evenly."""
    size = jax.device_count() if mesh_size is None else mesh_size
    return -(-problems // size) * size


def gather(array: jax.Array) -> np.ndarray:
    """The whole of an array on the host, also where other processes hold parts of it."""
    if not array.is_fully_addressable and not array.is_fully_replicated:
        mesh = array.sharding.mesh  # pyright: ignore[reportAttributeAccessIssue]
        array = jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, REPLICATED))(array)
    return np.asarray(array)


def _place(tree: PyTree, sharding: Sharding) -> PyTree:
    if alone():
        return jax.device_put(tree, sharding)
    # Every process has the same whole arrays, and gives its devices their parts.
    return jax.tree.map(lambda leaf: _parts(leaf, sharding), tree)


def _parts(leaf: Any, sharding: Sharding) -> jax.Array:
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable and leaf.sharding == sharding:
        return leaf
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _parts(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    whole = np.asarray(leaf)
    return jax.make_array_from_callback(whole.shape, sharding, lambda part: whole[part])
