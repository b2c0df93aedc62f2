"""Orbax: parameters and a learned rule's state are saved, and the run goes on from there."""

from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp

import innerloop

OPTIMIZER = innerloop.load("tensorwise-mnist").as_optax()


@jax.jit
def step(params, state):
    """One step on a fixed loss."""
    grads = jax.grad(lambda params: jnp.sum((params["w"] @ params["w"].T - 1) ** 2))(params)
    updates, state = OPTIMIZER.update(grads, state, params)
    return optax.apply_updates(params, updates), state


def train(steps: int, folder: Path | None = None) -> jax.Array:
    """The parameters at the end; with a folder the run is saved halfway, and goes on from there."""
    params = {"w": jax.random.normal(jax.random.key(0), (3, 2))}
    state = OPTIMIZER.init(params)
    for number in range(steps):
        if folder is not None and number == steps // 2:
            with ocp.StandardCheckpointer() as checkpointer:
                checkpointer.save(folder / "run", (params, state))
                checkpointer.wait_until_finished()
                params, state = checkpointer.restore(folder / "run", (params, state))
        params, state = step(params, state)
    return params["w"]
