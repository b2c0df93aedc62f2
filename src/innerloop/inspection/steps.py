"""Looking at a rule: the steps that it proposes beside SGD's and Adam's, over a run."""

import dataclasses
from pathlib import Path

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from ..errors import InnerloopError
from ..inner import InnerLoop, unroll
from ..rules import OptaxRule, Rule
from ..tasks import TaskFamily

_FEW = 3  # Coordinates that are drawn.
_RIVALS = {"SGD": optax.sgd, "Adam": optax.adam}
_COLOURS = {"learned": "#D55E00", "SGD": "#999999", "Adam": "#0072B2"}


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


def inspect(rule: Rule, task: TaskFamily, *, steps: int = 100, seed: int = 0) -> Inspection:
    """Run `rule` for so many steps on a fresh problem of `task`, and record what it proposes.

    Raises `InnerloopError` where `steps` is less than 2, or the run ends in numbers that are
    not finite.
    """
    if steps < 2:
        raise InnerloopError(f"steps is {steps}; it must be at least 2.")
    key = jax.random.split(jax.random.key(seed), 1)
    gradients, moves, losses = (np.asarray(x) for x in _run(rule, task.split("test"), key, steps))
    size = np.sqrt(np.mean(moves.astype(float) ** 2))
    if not all(np.all(np.isfinite(each)) for each in (moves, gradients, losses)):
        raise InnerloopError(
            f"The rule's steps on this task are not finite within {steps}; give fewer --steps."
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


def draw_inspection(inspection: Inspection, path: str | Path, *, title: str) -> Path:
    """Draw a few coordinates' gradients and steps, and the size of steps over time.

    The coordinates are those of the largest, a middling and a small gradient. Writes a PNG to
    `path` and returns it.
    """
    from matplotlib import pyplot

    pyplot.switch_backend("Agg")
    path = Path(path)
    time = np.arange(1, len(inspection.losses) + 1)
    chosen = _chosen(inspection.gradients)
    figure, grid = pyplot.subplots(
        2, len(chosen) + 1, figsize=(3.4 * (len(chosen) + 1), 5.4), dpi=150,
        layout="constrained", squeeze=False, sharex=True,
    )  # fmt: skip
    for column, coordinate in enumerate(chosen):
        upper, lower = grid[0, column], grid[1, column]
        upper.plot(time, inspection.gradients[:, coordinate], color="#333333", lw=1.2)
        upper.set_title(f"coordinate {coordinate:,}", fontsize=9)
        for name, steps in reversed(inspection.steps.items()):
            lower.plot(
                time,
                steps[:, coordinate],
                color=_COLOURS[name],
                lw=2.0 if name == "learned" else 1.2,
                alpha=1.0 if name == "learned" else 0.8,
                label=_label(name, inspection),
            )
        for axes in (upper, lower):
            axes.axhline(0, color="#bbbbbb", lw=0.6, zorder=0)
            axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
        lower.set_xlabel("step")
    grid[0, 0].set_ylabel("gradient")
    grid[1, 0].set_ylabel("proposed step")
    size, loss = grid[0, -1], grid[1, -1]
    for name, steps in reversed(inspection.steps.items()):
        norm = np.sqrt(np.mean(steps**2, axis=1))
        size.plot(time, norm, color=_COLOURS[name], lw=2.0 if name == "learned" else 1.2)
    if any(np.any(steps) for steps in inspection.steps.values()):
        size.set_yscale("log")
    size.set_title("size of the step (root mean square)", fontsize=9)
    loss.plot(time, inspection.losses, color="#333333", lw=1.2)
    if np.all(inspection.losses > 0):
        loss.set_yscale("log")
    loss.set_title("loss on the way", fontsize=9)
    loss.set_xlabel("step")
    for axes in grid.flat:
        axes.set_xlim(0, len(time))
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = grid[1, 0].get_legend_handles_labels()
    figure.legend(
        handles[::-1], labels[::-1], loc="outside lower center", ncols=3, frameon=False, fontsize=8
    )
    figure.suptitle(title, fontsize=10)
    figure.savefig(path)
    pyplot.close(figure)
    return path


def _label(name: str, inspection: Inspection) -> str:
    if name == "learned":
        return name
    return f"{name} on the same gradients, rate {inspection.rates[name]:.2g} (steps as large)"


def _chosen(gradients: Float[np.ndarray, "time coordinates"]) -> list[int]:
    """The coordinates of the largest, a middling and a small gradient that is not nothing."""
    size = np.sqrt(np.mean(gradients**2, axis=0))
    order = [int(place) for place in np.argsort(-size) if size[place] > 0] or [0]
    places = np.linspace(0, 0.9 * (len(order) - 1), min(_FEW, len(order))).astype(int)
    return [order[place] for place in places]
