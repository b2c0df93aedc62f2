"""Equinox: a learned rule moves the arrays of a module."""

import equinox as eqx
import jax
import jax.numpy as jnp

import innerloop


def train(steps: int = 30) -> list[float]:
    """The loss of each step."""
    model = eqx.nn.MLP(4, 1, 8, 1, key=jax.random.key(0))
    optimizer = innerloop.load("tensorwise-mnist").as_optax()
    state = optimizer.init(eqx.filter(model, eqx.is_array))
    x = jax.random.normal(jax.random.key(1), (64, 4))

    @eqx.filter_jit
    def step(model, state):
        def loss_of(model):
            return jnp.mean((jax.vmap(model)(x) - x.sum(1, keepdims=True)) ** 2)

        loss, grads = eqx.filter_value_and_grad(loss_of)(model)
        updates, state = optimizer.update(grads, state, eqx.filter(model, eqx.is_array))
        return eqx.apply_updates(model, updates), state, loss

    losses = []
    for _ in range(steps):
        model, state, loss = step(model, state)
        losses.append(float(loss))
    return losses


if __name__ == "__main__":
    print(train()[-1])
