"""Flax NNX: a learned rule stands in `nnx.Optimizer`, and gets the loss through `update`."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import innerloop


def train(steps: int = 30) -> list[float]:
    """The loss of each step."""
    model = nnx.Linear(4, 1, rngs=nnx.Rngs(0))
    rule = innerloop.safeguard(innerloop.load("lstm-quadratic"), optax.adam(0.01))
    optimizer = nnx.Optimizer(model, rule, wrt=nnx.Param)
    x = jax.random.normal(jax.random.key(0), (64, 4))

    @nnx.jit
    def step(model, optimizer):
        def loss_of(model):
            return jnp.mean((model(x) - x.sum(1, keepdims=True)) ** 2)

        loss, grads = nnx.value_and_grad(loss_of)(model)
        optimizer.update(model, grads, value=loss)
        return loss

    return [float(step(model, optimizer)) for _ in range(steps)]


if __name__ == "__main__":
    print(train()[-1])
