"""Runs of one optimizer at many settings on the same problems, as one program."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key, PRNGKeyArray

from ..evaluation import run
from ..rules import Rule
from ..runtime.devices import over_problems, problem_mesh, replicate, shard
from ..tasks import TaskFamily, coordinates, over_batch

_COORDINATES = 1 << 22  # Of all runs at once.


def runs(
    make: Callable[[Float[Array, ""], Float[Array, ""]], Rule],
    pairs: list[tuple[float, float]],
    task: TaskFamily,
    *,
    key: PRNGKeyArray,
    problems: int,
    horizon: int,
) -> Float[np.ndarray, "pairs steps problems"]:
    """The losses at steps 0 … horizon of each pair of settings.

    Args:
        make: The rule at a learning rate and a second setting, float32 [] each, traced.
        pairs: Learning rates and second settings.
        task: The family of problems.
        key: Draws the problems.
        problems: How many there are.
        horizon: How far they are run.
    """
    keys = jax.random.split(key, problems)
    mesh = problem_mesh(problems)
    losses = _runs(
        make, jnp.asarray(pairs), replicate(task, mesh), shard(keys, mesh), horizon, mesh
    )
    return np.asarray(losses)


@eqx.filter_jit
def _runs(
    make: Callable[..., Any],
    pairs: Float[Array, "pairs 2"],
    task: TaskFamily,
    keys: Key[Array, " problems"],
    horizon: int,
    mesh: Mesh,
) -> Float[Array, "pairs steps problems"]:
    def local(shared, keys):
        task, pairs = shared

        def one(pair):
            return run(make(pair[0], pair[1]), task, keys, (horizon,))[0]

        if coordinates(task) * len(keys) * len(pairs) > _COORDINATES:
            return jax.lax.map(one, pairs)
        return over_batch(task, one)(pairs)

    along = jax.sharding.PartitionSpec(None, None, "problems")
    return over_problems(local, mesh, (task, pairs), keys, along)
