"""Flax Linen: a learned rule is the `tx` of a `TrainState`."""

import jax
import jax.numpy as jnp
from flax import linen
from flax.training.train_state import TrainState

import innerloop


def train(steps: int = 30) -> list[float]:
    """The loss of each step."""
    model = linen.Dense(1)
    x = jax.random.normal(jax.random.key(0), (64, 4))
    params = model.init(jax.random.key(1), x)["params"]
    tx = innerloop.load("tensorwise-mnist").as_optax()
    state = TrainState.create(apply_fn=model.apply, params=params, tx=tx)

    @jax.jit
    def step(state):
        def loss_of(params):
            return jnp.mean((state.apply_fn({"params": params}, x) - x.sum(1, keepdims=True)) ** 2)

        loss, grads = jax.value_and_grad(loss_of)(state.params)
        return state.apply_gradients(grads=grads), loss

    losses = []
    for _ in range(steps):
        state, loss = step(state)
        losses.append(float(loss))
    return losses


if __name__ == "__main__":
    print(train()[-1])
