"""What a step costs: seconds with the gradient, and bytes of state."""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray, PyTree

from .. import keys
from ..rules import Rule
from ..runtime.compilation import full_compilation
from ..tasks import TaskFamily, draw_params, draw_problem

_TURN = 0.01  # Seconds for which an optimizer runs before the next one has its turn.
_MOST = 200  # Steps in a turn at most.


@dataclasses.dataclass(frozen=True)
class Price:
    """What a step of an optimizer costs on a task."""

    seconds_per_step: float
    """Seconds for one step of one problem, with its gradient."""
    state_bytes_per_parameter: float
    """Bytes of the optimizer's state for each parameter."""
    turns: tuple[float, ...] = ()
    """Seconds for one step in each turn; `seconds_per_step` is their median."""

    def over(self, other: "Price") -> np.ndarray:
        """How many times as much a step costs as another one's, turn by turn, or once.

        What slows the machine for a while slows both in that turn, so the ratios spread less than
        the seconds.
        """
        if self.turns and len(self.turns) == len(other.turns):
            return np.asarray(self.turns) / np.asarray(other.turns)
        return np.asarray([self.seconds_per_step / other.seconds_per_step])


def prices(
    rules: Mapping[str, Rule], task: TaskFamily, *, key: PRNGKeyArray, turns: int = 15
) -> dict[str, Price]:
    """What a step of each rule costs on one problem of a task, in a loop such as a user writes.

    A step is one jitted function: the loss and its gradient at the parameters, the update, and
    the new parameters. The rules take turns of some hundredths of a second, so that a machine that
    is busy for a while is so for all of them; a rule's price is the median over its turns. The
    time that the machine needs to start a compiled program is in it.

    Args:
        rules: The rules by name.
        task: The family of problems.
        key: Draws the problem.
        turns: How many turns each rule has, 1 or more.

    Returns:
        The prices by name.
    """
    loops = {name: user_loop(rule, task, key=key) for name, rule in rules.items()}
    seconds = _times({name: loop.step for name, loop in loops.items()}, turns)
    return {
        name: Price(
            statistics.median(seconds[name]),
            _bytes(loop.carry[1]) / max(1, _size(loop.carry[0])),
            tuple(seconds[name]),
        )
        for name, loop in loops.items()
    }


@dataclasses.dataclass
class UserLoop:
    """An optimizer in mid-run on one problem."""

    carry: tuple[PyTree, PyTree, Array]
    """Parameters, state and step."""
    advance: Callable[[tuple[PyTree, PyTree, Array]], tuple[PyTree, PyTree, Array]]
    """One step, compiled."""

    def step(self) -> Any:
        """Take a step, and return arrays to wait for."""
        self.carry = self.advance(self.carry)
        return self.carry


def user_loop(rule: Rule, task: TaskFamily, *, key: PRNGKeyArray) -> UserLoop:
    """A jitted training loop of one problem, at its start.

    Args:
        rule: The rule.
        task: The family of problems.
        key: Draws the problem, the initial parameters and the minibatches.
    """
    arrays, static = eqx.partition(task, eqx.is_array)
    sample_key, init_key, loss_key = jax.random.split(key, 3)
    problem = draw_problem(task, key=sample_key)
    params = draw_params(task, problem, key=init_key)
    optimizer = rule.as_optax()

    # As a user's program is compiled, whatever was asked of this one's.
    @functools.partial(jax.jit, compiler_options=full_compilation())
    def step(arrays, problem, carry):
        params, state, count = carry
        loss = eqx.combine(arrays, static).loss
        value, grads = jax.value_and_grad(loss)(params, problem, key=keys.step(loss_key, count))
        updates, state = optimizer.update(grads, state, params, value=value)
        return optax.apply_updates(params, updates), state, count + 1

    # Compiled once for arrays that all lie where the first step leaves them.
    carry = step(arrays, problem, (params, optimizer.init(params), jnp.zeros((), jnp.int32)))
    return UserLoop(carry, lambda carry: step(arrays, problem, carry))


def by_turns(steps: Mapping[str, Callable[[], Any]], *, turns: int = 15) -> dict[str, float]:
    """The median seconds of each function, where all of them take turns.

    Args:
        steps: Functions that start one step and return the arrays to wait for.
        turns: How many turns each one has, 1 or more.
    """
    return {name: statistics.median(each) for name, each in _times(steps, turns).items()}


def _times(steps: Mapping[str, Callable[[], Any]], turns: int) -> dict[str, list[float]]:
    counts = {name: _count(step) for name, step in steps.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(turns):
        for name, step in steps.items():
            times[name].append(_seconds(step, counts[name]))
    return times


def _count(step: Callable[[], Any]) -> int:
    """How many steps a turn has."""
    _seconds(step, 1)
    return max(1, min(_MOST, round(_TURN / _seconds(step, 2))))


def _seconds(step: Callable[[], Any], count: int) -> float:
    made: Any = ()
    began = time.perf_counter()
    for _ in range(count):
        made = step()
    jax.block_until_ready(made)
    return (time.perf_counter() - began) / count


def _size(tree: PyTree) -> int:
    return sum(jnp.size(leaf) for leaf in jax.tree.leaves(tree))


def _bytes(tree: PyTree) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
