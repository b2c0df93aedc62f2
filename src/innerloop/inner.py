"""The inner loop: T steps of a rule on a batch of problems, as one `lax.scan`."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray, PyTree

from . import keys
from .rules import Rule
from .rules._batch import batched
from .tasks import TaskFamily, draw_params, draw_problem, over_batch


class InnerLoop(eqx.Module):
    """A batch of inner loops in mid-run. Every leaf leads with the axis `problems`.

    It carries the loss and the gradient *at* the present parameters. A step then costs one
    gradient, and a window of K steps sees the losses f(θ_1) … f(θ_K). `init` makes one at its
    start.

    Attributes:
        key: A key for each problem, which draws its minibatches.
        problem: The problems, as from `TaskFamily.sample`.
        params: θ_t, as from `TaskFamily.init`.
        state: The rule's state, as from `Rule.init`.
        loss: f(θ_t), float [problems].
        grads: ∇f(θ_t), a pytree like `params`.
        step: t, int32 [problems].

    Example:
        >>> import innerloop
        >>> import jax
        >>> import optax
        >>> rule, task = innerloop.OptaxRule(optax.sgd, 0.01), innerloop.Quadratic(2)
        >>> loop = innerloop.InnerLoop.init(rule, task, jax.random.split(jax.random.key(0), 3))
        >>> loop.params.shape
        (3, 2)
    """

    key: Key[Array, "*problems"]
    problem: PyTree
    params: PyTree
    state: PyTree
    loss: Float[Array, "*problems"]
    grads: PyTree
    step: Int[Array, "*problems"]

    @classmethod
    def init(cls, rule: Rule, task: TaskFamily, keys: Key[Array, " problems"]) -> "InnerLoop":
        """Draw fresh problems, and put each at its θ₀.

        Args:
            rule: The rule whose state begins.
            task: The family that problems and initial parameters are drawn from.
            keys: A key for each problem.

        Returns:
            The inner loops at step 0.
        """

        def one(key):
            sample_key, init_key, loss_key = jax.random.split(key, 3)
            problem = draw_problem(task, key=sample_key)
            params = draw_params(task, problem, key=init_key)
            return cls.init_one(rule, task, problem, params, loss_key)

        return over_batch(task, one)(keys)

    @classmethod
    def init_one(
        cls, rule: Rule, task: TaskFamily, problem: PyTree, params: PyTree, key: PRNGKeyArray
    ) -> "InnerLoop":
        """Put one problem, without an axis `problems`, at the given θ₀.

        Args:
            rule: The rule whose state begins.
            task: The family that `problem` is of.
            problem: What `task.sample` returned.
            params: θ₀.
            key: The key that draws the problem's minibatches.

        Returns:
            The inner loop at step 0.
        """
        loss, grads = jax.value_and_grad(task.loss)(params, problem, key=keys.step(key, 0))
        zero = jnp.zeros((), jnp.int32)
        return cls(key, problem, params, rule.init(params), loss, grads, zero)


class Moment(eqx.Module):
    """What a rule sees at one step: enough to replay it without the problem."""

    grads: PyTree
    state: PyTree
    params: PyTree
    loss: Float[Array, " problems"]


class Arrival(eqx.Module):
    """Where a step arrives: θ_{t+1}, and f and ∇f there."""

    params: PyTree
    loss: Float[Array, " problems"]
    grads: PyTree
    step: Int[Array, " problems"]


def unroll(
    rule: Rule,
    task: TaskFamily,
    loop: InnerLoop,
    length: int,
    *,
    second_order: bool = False,
    record: Callable[[Moment, Arrival], Any] = lambda moment, arrival: arrival.loss,
) -> tuple[InnerLoop, Any]:
    """Run `length` steps from `loop`, and stack what `record` keeps of each.

    θ_{t+1} = θ_t + rule(∇f(θ_t)). The result is differentiable in the leaves of `rule` and in
    `loop`.

    Args:
        rule: The rule that makes the steps.
        task: The family that the problems of `loop` are of.
        loop: The inner loops to go on from.
        length: Steps, 0 or more.
        second_order: Whether ∇_t and the loss that a rule is shown depend on θ_t for
            differentiation. Without it they count as constants: the "dashed edges" of Figure 2 in
            the paper are cut. The slope of a recorded loss is then the gradient that is there
            already, and nothing is differentiated twice.
        record: Called with what the rule saw at θ_t (`grads`, `state`, `params` and `loss`) and
            with where its step led (`params`, `loss`, `grads` and `step`); returns a pytree of
            arrays. By default it keeps the loss f(θ_{t+1}).

    Returns:
        The inner loops after the last step, and what was recorded: each leaf leads with the axes
        [length, problems] for the default.

    Example:
        >>> import innerloop
        >>> import jax
        >>> import optax
        >>> rule, task = innerloop.OptaxRule(optax.sgd, 0.01), innerloop.Quadratic(2)
        >>> loop = innerloop.InnerLoop.init(rule, task, jax.random.split(jax.random.key(0), 3))
        >>> loop, losses = innerloop.unroll(rule, task, loop, 5)
        >>> losses.shape
        (5, 3)

    References:
        Andrychowicz et al., "Learning to learn by gradient descent by gradient descent" (2016,
        arXiv:1606.04474), equation (3) and Figure 2.
    """
    rules = batched(rule)

    def gradient(params, problem, key, step):
        key = keys.step(key, step)
        if second_order:
            return jax.value_and_grad(task.loss)(params, problem, key=key)
        held = jax.lax.stop_gradient(params)
        loss, grads = jax.value_and_grad(task.loss)(held, problem, key=key)
        return _sloped(params, loss, grads), grads

    def body(carry, _):
        state, params, loss, grads, step = carry
        seen = (grads, loss) if second_order else jax.lax.stop_gradient((grads, loss))
        moment = Moment(seen[0], state, params, seen[1])
        updates, state = rules.update(moment.grads, state, params, moment.loss)
        params = optax.apply_updates(params, updates)
        step = step + 1
        loss, grads = over_batch(task, gradient)(params, loop.problem, loop.key, step)
        kept = record(moment, Arrival(params, loss, grads, step))
        return (state, params, loss, grads, step), kept

    carry = (rules.pack(loop.state), loop.params, loop.loss, loop.grads, loop.step)
    (state, params, loss, grads, step), kept = jax.lax.scan(body, carry, length=length)
    state = rules.unpack(state, loop.step.shape[0])
    return InnerLoop(loop.key, loop.problem, params, state, loss, grads, step), kept


@jax.custom_jvp
def _sloped(params: PyTree, loss: Float[Array, ""], grads: PyTree) -> Float[Array, ""]:
    """`loss`, whose slope in `params` is `grads`."""
    return loss


@_sloped.defjvp
def _sloped_jvp(primals, tangents):
    _, loss, grads = primals
    products = jax.tree.map(
        lambda slope, way: jnp.sum(slope * way).astype(loss.dtype), grads, tangents[0]
    )
    return loss, sum(jax.tree.leaves(products), jnp.zeros((), loss.dtype))
