"""Running a rule on fresh problems and keeping its losses."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Key, PRNGKeyArray

from . import keys
from .inner import InnerLoop, unroll
from .rules import Rule
from .rules._batch import batched
from .runtime.devices import gather, over_problems, problem_mesh, replicate, round_up, shard
from .runtime.hosts import alone
from .tasks import TaskFamily, coordinates, over_batch

_COORDINATES = 1 << 20  # Run at once; an LSTM's state is some 320 bytes for each.


class Curves(eqx.Module):
    """The losses of one rule on many problems.

    `losses` [steps + 1, problems] is f(θ_0) … f(θ_T), float32, each at the rule's `eval_params`,
    which are θ_t for all but rules that average; `held_out` [marks, problems]
    is the loss on held-out data at each of the marked steps, or None where the task has none.
    """

    losses: np.ndarray
    held_out: np.ndarray | None


def evaluate(
    rule: Rule,
    task: TaskFamily,
    *,
    key: PRNGKeyArray,
    problems: int,
    marks: tuple[int, ...],
    mesh: Mesh | None = None,
) -> Curves:
    """Run `rule` on fresh problems of `task`, and keep its losses.

    Problem i depends on `key` and i alone: rules that are given the same key meet the same
    problems, initial parameters and minibatches. A loss that is not finite stays as it is. Large
    problems are run a part at a time, to bound the memory.

    Args:
        rule: The rule.
        task: The family of problems.
        key: Draws the problems.
        problems: How many problems, 1 or more.
        marks: The steps, in rising order, at which the held-out loss is taken. The last of them is
            the length of the runs.
        mesh: The devices; None for all that divide the problems.

    Returns:
        `losses` [last mark + 1, problems], f(θ_0) … f(θ_T) in float32; and `held_out`
        [marks, problems], the loss on held-out data, or None where the task has no such data.

    Example:
        >>> import innerloop
        >>> import jax
        >>> import optax
        >>> rule, key = innerloop.OptaxRule(optax.sgd, 0.01), jax.random.key(0)
        >>> task = innerloop.Quadratic(2)
        >>> curves = innerloop.evaluate(rule, task, key=key, problems=3, marks=(5,))
        >>> curves.losses.shape
        (6, 3)
    """
    keys = jax.random.split(key, problems)
    devices = jax.device_count() if mesh is None else mesh.size
    room = max(1, _COORDINATES // max(1, coordinates(task)) // devices) * devices
    # Parts of equal size, so that little of the last is filling.
    parts_needed = -(-problems // room)
    at_once = round_up(-(-problems // parts_needed), devices)
    if alone():
        at_once = min(problems, at_once)
    mesh = problem_mesh(at_once) if mesh is None else mesh
    rule, task = replicate((rule, task), mesh)
    parts = []
    for first in range(0, problems, at_once):
        # The last part is filled up with the first problems, so that one program fits all.
        part = jnp.arange(first, first + at_once) % problems
        parts.append(_evaluate(rule, task, shard(keys[part], mesh), marks, mesh))

    def whole(arrays):
        return np.concatenate([gather(array) for array in arrays], axis=1)[:, :problems]

    losses, held_out = zip(*parts, strict=True)
    return Curves(whole(losses), None if held_out[0] is None else whole(held_out))


@eqx.filter_jit
def _evaluate(
    rule: Rule, task: TaskFamily, keys: Key[Array, " problems"], marks: tuple[int, ...], mesh: Mesh
):
    def local(shared, keys):
        rule, task = shared
        return run(rule, task, keys, marks)

    along = jax.sharding.PartitionSpec(None, "problems")
    return over_problems(local, mesh, (rule, task), keys, (along, along))


def run(
    rule: Rule, task: TaskFamily, keys: Key[Array, " problems"], marks: tuple[int, ...]
) -> tuple[Any, Any]:
    """(losses, held-out losses) as in `Curves`; to be traced."""
    if task.one_by_one and len(keys) > 1:
        # Each to its end, and not step by step in turns: it stays in the caches meanwhile, which
        # made the CIFAR-10 network 1.7 times faster.
        found = jax.lax.map(lambda key: run(rule, task, key[None], marks), keys)
        return jax.tree.map(lambda each: each[..., 0].T, found)
    loop = InnerLoop.init(rule, task, keys)
    first, lengths = loop.loss[None], [int(n) for n in np.diff((0, *marks))]

    def to_mark(loop, length):
        loop, losses = _unroll(rule, task, loop, length)
        return loop, (losses, _held_out(rule, task, loop))

    if len(set(lengths)) == 1:
        # One program for all the parts of a run, which halves the time of its compilation.
        _, found = jax.lax.scan(lambda loop, _: to_mark(loop, lengths[0]), loop, length=len(marks))
        losses, held_out = found
        return jnp.concatenate([first, losses.reshape(-1, *losses.shape[2:])]), held_out
    curves, seen = [first], []
    for length in lengths:
        loop, (losses, held_out) = to_mark(loop, length)
        curves.append(losses)
        seen.append(held_out)
    return jnp.concatenate(curves), None if seen[0] is None else jnp.stack(seen)


def _unroll(rule: Rule, task: TaskFamily, loop: InnerLoop, length: int) -> tuple[InnerLoop, Any]:
    """`unroll`, with the losses at the rule's `eval_params`."""
    if type(rule).eval_params is Rule.eval_params:
        return unroll(rule, task, loop, length)

    def one(params, state, problem, key, step):
        return task.loss(rule.eval_params(state, params), problem, key=keys.step(key, step))

    loss = over_batch(task, one)

    def record(moment, arrival):
        state = batched(rule).unpack(moment.state, len(loop.step))
        return loss(moment.params, state, loop.problem, loop.key, arrival.step - 1)

    loop, losses = unroll(rule, task, loop, length, record=record)
    # What is recorded is where each step began; the unroll's own end is the last one.
    last = loss(loop.params, loop.state, loop.problem, loop.key, loop.step)
    return loop, jnp.concatenate([losses[1:], last[None]])


def _held_out(rule: Rule, task: TaskFamily, loop: InnerLoop) -> Any:
    def one(params, state, problem, key):
        params = rule.eval_params(state, params)
        return task.held_out_loss(params, problem, key=keys.held_out(key))

    return over_batch(task, one)(loop.params, loop.state, loop.problem, loop.key)
