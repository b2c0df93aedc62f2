"""Meta-steps as the commands that train take them."""

import jax
import optax
from innerloop.metatrain.loop import _begin, _step

from innerloop.runtime.devices import flags, problem_mesh, replicate


def meta_stepper(learner, problems, gradient):
    """A function that takes one meta-step on all cores, and waits for it."""
    adam, mesh = optax.adam(1e-3), problem_mesh(gradient.problems)
    given = replicate(problems, mesh), flags(False, mesh)
    state = _begin(learner, problems, gradient, adam, mesh, jax.random.key(1))

    def meta_step():
        nonlocal state
        state = _step(given, state, gradient, adam, mesh)
        jax.block_until_ready(state.step)

    return meta_step
