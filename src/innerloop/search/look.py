"""Looking at a task before anything is trained: what it is, and what it costs."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .. import keys
from ..errors import InnerloopError
from ..rules import OptaxRule
from ..runtime.devices import round_up
from ..tasks import TaskFamily, coordinates, draw_params, draw_problem, over_batch
from ..tasks.check import check_task
from .runs import runs
from .score import mean_curve

HORIZONS = (50, 100, 200)
"""The horizons that a search proposes."""
PROBLEMS = 16
PROGRESS = 0.99
"""A horizon is long enough where that part of what twice the longest one gives is reached."""
_RATES = [10 ** (k / 2) for k in range(-7, 2)]
_SHARE = 0.05  # Of the budget, for the first runs.


@dataclasses.dataclass(frozen=True)
class Look:
    """What was seen of a task."""

    coordinates: int
    """Of the parameters of a problem."""
    shapes: tuple[str, ...]
    """The shapes of their arrays."""
    noisy: bool
    """Whether two keys give the same parameters different losses."""
    smooth: bool
    """Whether gradients change in proportion over small steps."""
    positive: bool
    """Whether no loss at or below 0 was seen."""
    gradient_seconds: float
    """Seconds for loss and gradient of a problem, among others at once."""
    loss: float
    """The mean loss at the start."""
    reached: float
    """What Adam reached in the longest run, at the best of a few rates."""
    horizon: int
    """The steps after which optimizers are judged."""

    def sentences(self) -> list[str]:
        """What there is to say of it."""
        shapes = ", ".join(self.shapes[:6]) + (", …" if len(self.shapes) > 6 else "")
        noise = "noisy: it differs from minibatch to minibatch" if self.noisy else "without noise"
        smooth = "smooth" if self.smooth else "not smooth"
        return [
            f"{self.coordinates:,} parameters in arrays of {shapes}.",
            f"The loss is {noise}, and {smooth}. It begins at {self.loss:.4g} on average.",
            f"A gradient takes {_duration(self.gradient_seconds)} of a problem.",
            f"Adam at a rough rate comes to {self.reached:.4g}; the horizon is {self.horizon}.",
        ]


def look(
    task: TaskFamily,
    *,
    seconds: float,
    key: PRNGKeyArray,
    horizon: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Look:
    """Look at a task, and refuse one on which nothing can be learned.

    Args:
        task: The family of problems, for training.
        seconds: The budget of the whole search.
        key: Draws the problems that are looked at.
        horizon: The steps after which optimizers are judged; None to propose them.
        clock: What seconds are counted by.

    Raises:
        InnerloopError: The task is not valid; its loss is constant, or not finite for some
            problems, or falls without bound.
    """
    check_task(task)
    problems = jax.random.split(key, PROBLEMS)
    params, losses, grads = jax.tree.map(np.asarray, _begin(task, problems, jnp.asarray(0)))
    _refuse(losses, grads)
    changes, far = jax.tree.map(np.asarray, _along(task, problems))
    _refuse_bottomless(far)
    again = np.asarray(_begin(task, problems, jnp.asarray(1))[1])
    gradient = _seconds(lambda n: _begin(task, problems, jnp.asarray(n)), clock) / PROBLEMS
    longest, few = _room(seconds, gradient, horizon)
    curves = runs(
        _adam, [(rate, 0.0) for rate in _RATES], task, key=key, problems=few, horizon=longest
    )
    means = np.stack([np.minimum.accumulate(mean_curve(each)) for each in curves])
    best = int(np.argmin(means[:, -1]))
    return Look(
        coordinates=coordinates(task),
        shapes=tuple(str(leaf.shape[1:]) for leaf in jax.tree.leaves(params)),
        noisy=bool(np.any(again != losses)),
        smooth=_is_smooth(changes),
        positive=bool(np.nanmin(np.append(curves, losses)) > 0),
        gradient_seconds=gradient,
        loss=float(losses.mean()),
        reached=float(means[best, -1]),
        horizon=horizon or _horizon(means[best]),
    )


def _seconds(call: Callable[[int], Any], clock: Callable[[], float]) -> float:
    """Seconds of a call, over at least one and at most 50 of them."""
    began, count = clock(), 0
    while count == 0 or (clock() - began < 0.1 and count < 50):
        jax.block_until_ready(call(count))
        count += 1
    return max(clock() - began, 1e-7) / count


def _adam(rate: Float[Array, ""], second: Float[Array, ""]) -> OptaxRule:
    return OptaxRule(optax.adam, rate)


def _room(seconds: float, gradient: float, horizon: int | None) -> tuple[int, int]:
    """(steps, problems) of the first runs, by what a gradient costs."""
    gradients = _SHARE * seconds / gradient / len(_RATES)
    longest = 2 * max(HORIZONS) if horizon is None else horizon
    least = round_up(2)
    if gradients < longest * least and horizon is None:
        fits = [steps for steps in HORIZONS if 2 * steps * least <= gradients]
        longest = 2 * max(fits) if fits else min(HORIZONS)
    return longest, round_up(int(np.clip(gradients // longest, least, 8)))


def _horizon(curve: Float[np.ndarray, " steps"]) -> int:
    """Where progress slows: the first horizon at which nearly all of it is made."""
    made = (curve[0] - curve) / max(curve[0] - curve[-1], 1e-30)
    fitting = [steps for steps in HORIZONS if 2 * steps <= len(curve) - 1]
    last = fitting[-1] if fitting else len(curve) - 1
    return next((steps for steps in fitting if made[steps] >= PROGRESS), last)


@eqx.filter_jit
def _begin(task: TaskFamily, problem_keys: Array, number: Array) -> tuple[PyTree, Array, PyTree]:
    """(parameters, losses, gradients) at the start, with minibatches of that number."""

    def one(key):
        sample_key, init_key, loss_key = jax.random.split(key, 3)
        problem = draw_problem(task, key=sample_key)
        params = draw_params(task, problem, key=init_key)
        loss, grads = jax.value_and_grad(task.loss)(
            params, problem, key=keys.step(loss_key, number)
        )
        return params, loss, grads

    return over_batch(task, one)(problem_keys)


def _refuse(losses: np.ndarray, grads: PyTree) -> None:
    leaves = [leaf.reshape(len(losses), -1) for leaf in jax.tree.leaves(grads)]
    finite = np.isfinite(losses)
    for leaf in leaves:
        finite &= np.isfinite(leaf).all(axis=1)
    if not finite.all():
        raise InnerloopError(
            f"The loss or its gradient is not finite at the start of {np.sum(~finite)} of "
            f"{len(losses)} problems: mend the loss, or draw no such problems."
        )
    if not any(np.any(leaf) for leaf in leaves):
        raise InnerloopError(
            f"The loss does not depend on the parameters: its gradient is 0 at the start of all "
            f"{len(losses)} problems."
        )


def _refuse_bottomless(losses: np.ndarray) -> None:
    """Raises `InnerloopError` where losses [3, problems] go on falling, far and further away."""
    near, far, further = losses
    if np.all((further < far - 10 * np.abs(near)) & (further < -1e3)):
        raise InnerloopError(
            f"The loss falls without bound: far from the start it is {further.mean():.3g}, and "
            "lower still further away. Add what keeps the parameters finite, such as a penalty."
        )


@eqx.filter_jit
def _along(task: TaskFamily, problem_keys: Array) -> tuple[Array, Array]:
    """What lies along the gradient.

    Returns:
        [2, problems], how much gradients change over a step, and over a quarter of it; and losses
        [3, problems], at the start, far away, and further.
    """

    def one(key):
        sample_key, init_key, loss_key = jax.random.split(key, 3)
        problem = draw_problem(task, key=sample_key)
        params = draw_params(task, problem, key=init_key)

        slope = jax.value_and_grad(lambda p: task.loss(p, problem, key=keys.step(loss_key, 0)))
        _, grads = slope(params)
        unit = (1 + optax.tree.norm(params)) / (optax.tree.norm(grads) + 1e-30)

        def at(size):
            return slope(jax.tree.map(lambda p, g: p - size * unit * g, params, grads))

        # One program for all of them.
        losses, slopes = jax.lax.map(at, jnp.asarray([0.0, 1e-2, 2.5e-3, 1e4, 1e6]))
        apart = jax.vmap(lambda at: optax.tree.norm(optax.tree.sub(at, grads)))(slopes)
        return jnp.stack([apart[1], 4 * apart[2]]), losses[jnp.asarray([0, 3, 4])]

    return jax.tree.map(jnp.transpose, over_batch(task, one)(problem_keys))


def _is_smooth(changes: np.ndarray) -> bool:
    """Whether a quarter of a step changes gradients by a quarter."""
    whole, quarter = changes
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.nanmedian(np.abs(np.log2(whole / quarter)))
    return bool(np.isnan(ratio) or ratio < 0.5)


def _duration(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
