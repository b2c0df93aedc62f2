"""Runs of many rates of one optimizer on the same problems, as one program."""

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
from ..tasks import TaskFamily, over_batch


def runs(
    make: Callable[[Float[Array, ""]], Rule],
    rates: list[float],
    task: TaskFamily,
    *,
    key: PRNGKeyArray,
    problems: int,
    horizon: int,
) -> Float[np.ndarray, "rates steps problems"]:
    """The losses at steps 0 … horizon of each rate, on the problems that `key` names."""
    keys = jax.random.split(key, problems)
    mesh = problem_mesh(problems)
    losses = _runs(
        make, jnp.asarray(rates), replicate(task, mesh), shard(keys, mesh), horizon, mesh
    )
    return np.asarray(losses)


@eqx.filter_jit
def _runs(
    make: Callable[..., Any],
    rates: Float[Array, " rates"],
    task: TaskFamily,
    keys: Key[Array, " problems"],
    horizon: int,
    mesh: Mesh,
) -> Float[Array, "rates steps problems"]:
    def local(shared, keys):
        task, rates = shared
        return over_batch(task, lambda rate: run(make(rate), task, keys, (horizon,))[0])(rates)

    along = jax.sharding.PartitionSpec(None, None, "problems")
    return over_problems(local, mesh, (task, rates), keys, along)
