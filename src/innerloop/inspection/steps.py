"""Looking at a rule: the steps that it proposes beside SGD's and Adam's, over a run."""

import dataclasses

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from ..errors import InnerloopError, SettingsError
from ..inner import InnerLoop, unroll
from ..rules import OptaxRule, Rule
from ..runtime.promotion import usual_promotion
from ..tasks import TaskFamily

_RIVALS = {"SGD": optax.sgd, "Adam": optax.adam}


@dataclasses.dataclass(frozen=True)
class Inspection:
    """One run of a rule on one problem, and what others would have done at each of its steps.

    `gradients` and each of `steps` are [time, coordinates], float32; a step is what would be
    added to the parameters. SGD and Adam see the same gradients as the rule, on its way and
    not on their own, and have the rate that makes their steps as large as the learned ones,
    root mean square over the run: `rates`. `losses` [time] are those met on the way.
    """

    gradients: Float[np.ndarray, "time coordinates"]
    steps: dict[str, Float[np.ndarray, "time coordinates"]]
    rates: dict[str, float]
    losses: Float[np.ndarray, " time"]

    @property
    def notes(self) -> dict[str, str]:
        """What there is to say of each rival, for a legend."""
        return {
            name: f" on the same gradients, rate {rate:.2g} (steps as large)"
            for name, rate in self.rates.items()
        }


@usual_promotion()
def inspect(rule: Rule, task: TaskFamily, *, steps: int = 100, seed: int = 0) -> Inspection:
    """Run a rule on a fresh problem, and record what it proposes at each step.

    Args:
        rule: The rule.
        task: The family of the problem, which is of its test split.
        steps: How many steps to run, 2 or more.
        seed: Draws the problem.

    Raises:
        InnerloopError: `steps` is less than 2, or the run ends in numbers that are not finite.
    """
    if steps < 2:
        raise SettingsError("steps", steps, "a whole number of at least 2")
    key = jax.random.split(jax.random.key(seed), 1)
    gradients, moves, losses = (np.asarray(x) for x in _run(rule, task.split("test"), key, steps))
    size = np.sqrt(np.mean(moves.astype(float) ** 2))
    if not all(np.all(np.isfinite(each)) for each in (moves, gradients, losses)):
        raise InnerloopError(
            f"The rule's steps on this task are not finite within {steps}; give fewer steps.",
            arguments=("steps",),
        )
    proposed, rates = {"learned": moves}, {}
    for name, make in _RIVALS.items():
        unscaled = np.asarray(_replayed(OptaxRule(make, 1.0), jnp.asarray(gradients)))
        rates[name] = float(size / max(np.sqrt(np.mean(unscaled.astype(float) ** 2)), 1e-30))
        proposed[name] = rates[name] * unscaled
    return Inspection(gradients, proposed, rates, losses)


@eqx.filter_jit
def _run(rule: Rule, task: TaskFamily, keys: Array, steps: int):
    def flat(tree) -> Float[Array, " coordinates"]:
        return jax.flatten_util.ravel_pytree(jax.tree.map(lambda leaf: leaf[0], tree))[0]

    def record(moment, arrival):
        moved = jax.tree.map(jnp.subtract, arrival.params, moment.params)
        return flat(moment.grads), flat(moved), moment.loss[0]

    return unroll(rule, task, InnerLoop.init(rule, task, keys), steps, record=record)[1]


@eqx.filter_jit
def _replayed(rule: Rule, gradients: Float[Array, "time coordinates"]) -> Array:
    """The steps of a hand-designed optimizer that is shown these gradients."""

    def body(state, gradient):
        step, state = rule.update(gradient, state, gradient)
        return state, step

    return jax.lax.scan(body, rule.init(gradients[0]), gradients)[1]
