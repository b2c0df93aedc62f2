"""L-BFGS with its line search: a second-order reference, outside the competition."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key, PRNGKeyArray

from .. import keys
from ..tasks import TaskFamily, draw_params, draw_problem


class Reference(eqx.Module):
    """`losses` [steps + 1, problems], and `evaluations` [steps + 1, problems] of f so far."""

    losses: np.ndarray
    evaluations: np.ndarray


def lbfgs(task: TaskFamily, *, key: PRNGKeyArray, problems: int, steps: int) -> Reference:
    """Optax's L-BFGS with its zoom line search, on the problems that `key` names.

    It takes several evaluations of f and ∇f a step and needs the same loss at every one of
    them, so it suits losses without minibatches; `evaluations` counts them.
    """
    losses, evaluations = _run(task, jax.random.split(key, problems), steps)
    return Reference(np.asarray(losses), np.asarray(evaluations))


@eqx.filter_jit
def _run(task: TaskFamily, problem_keys: Key[Array, " problems"], steps: int):
    solver = optax.lbfgs()

    def one(key):
        sample_key, init_key, loss_key = jax.random.split(key, 3)
        problem = draw_problem(task, key=sample_key)
        params = draw_params(task, problem, key=init_key)

        def f(params):
            return task.loss(params, problem, key=keys.step(loss_key, 0))

        def body(carry, _):
            params, state, count = carry
            value, grad = optax.value_and_grad_from_state(f)(params, state=state)
            updates, state = solver.update(grad, state, params, value=value, grad=grad, value_fn=f)
            params = optax.apply_updates(params, updates)
            info = optax.tree_utils.tree_get(state, "info")
            loss = optax.tree_utils.tree_get(state, "value")
            count = count + info.num_linesearch_steps.astype(count.dtype)
            return (params, state, count), (loss, count)

        first = f(params)
        # The first value and gradient are one evaluation; later ones come from the search.
        carry = (params, solver.init(params), jnp.ones((), jnp.int32))
        _, (losses, counts) = jax.lax.scan(body, carry, length=steps)
        losses = jnp.concatenate([first[None], losses])
        return losses, jnp.concatenate([jnp.ones(1, jnp.int32), counts])

    return jax.tree.map(lambda leaf: leaf.T, jax.vmap(one)(problem_keys))
