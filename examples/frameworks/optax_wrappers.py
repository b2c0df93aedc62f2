"""Optax: a learned rule within `apply_if_finite`, `inject_hyperparams` and `lookahead`."""

import jax
import jax.numpy as jnp
import optax

import innerloop


def scaled(rate: float) -> optax.GradientTransformation:
    """A learned rule whose steps are `rate` times as long."""
    return optax.chain(innerloop.load("lstm-quadratic").as_optax(), optax.scale(rate))


WRAPPED = {
    "apply_if_finite": lambda: optax.apply_if_finite(scaled(1.0), max_consecutive_errors=3),
    "inject_hyperparams": lambda: optax.inject_hyperparams(scaled)(rate=0.5),
    "lookahead": lambda: optax.lookahead(scaled(1.0), sync_period=5, slow_step_size=0.5),
}


def train(name: str, steps: int = 30) -> list[float]:
    """The loss of each step."""
    optimizer, params = WRAPPED[name](), jnp.ones(10)
    if name == "lookahead":
        params = optax.LookaheadParams.init_synced(params)
    state = optimizer.init(params)

    @jax.jit
    def step(params, state):
        fast = params.fast if name == "lookahead" else params
        loss, grads = jax.value_and_grad(lambda x: jnp.sum(x**2))(fast)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    losses = []
    for _ in range(steps):
        params, state, loss = step(params, state)
        losses.append(float(loss))
    return losses
