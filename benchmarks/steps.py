"""Meta-steps as the commands that train take them."""

import jax
import optax

from innerloop.metatrain.step import Stepper
from innerloop.runtime.devices import flags, problem_mesh, replicate


def meta_stepper(learner, source, estimator):
    """A function that takes one meta-step on all cores, and waits for it."""
    mesh = problem_mesh(estimator.meta_batch_size)
    stepper = Stepper(replicate(source, mesh), estimator, optax.adam(1e-3), mesh)
    calm, state = flags(False, mesh), stepper.init(learner, jax.random.key(1))

    def meta_step():
        nonlocal state
        state = stepper(state, calm)
        jax.block_until_ready(state.step)

    return meta_step
