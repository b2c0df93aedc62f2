"""The devices that the problems of a batch are spread over: cores, GPUs or hosts alike."""

import contextlib
import os
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

PROBLEMS = PartitionSpec("problems")
REPLICATED = PartitionSpec()


def problem_mesh(problems: int, devices: int | None = None) -> Mesh:
    """A mesh over as many of the first `devices` devices (all, by default) as divide `problems`."""
    available = jax.devices()[:devices]
    count = max(n for n in range(1, len(available) + 1) if problems % n == 0)
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


def spread(tree: PyTree, mesh: Mesh) -> PyTree:
    """`tree`, whose leaves lead with the axis `problems`, laid out over `mesh`."""
    return jax.device_put(tree, NamedSharding(mesh, PROBLEMS))


def replicate(tree: PyTree, mesh: Mesh) -> PyTree:
    """The arrays of `tree`, whole on every device of `mesh`."""
    arrays, static = eqx.partition(tree, eqx.is_array)
    return eqx.combine(jax.device_put(arrays, NamedSharding(mesh, REPLICATED)), static)
