"""How the places of a multi-start are chosen: by the runs that begin at the solutions of others."""

import time
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ...errors import InnerloopError
from ...inner import InnerLoop, unroll
from ...rules import MultistartRule, Rule
from ...rules._flat import ravel, unravel_like
from ...tasks import TaskFamily, over_batch
from .._base import Scene
from ..look import Look

_SECONDS = 15.0  # For runs from places.
_PROBLEMS = 256  # From each place, at most.
_MOST_PLACES = 48  # That are tried here.
_SEARCHED = 8  # Times as many problems, among which the hard ones are.
_VISITS = 6  # At most.
_LONGEST = 0.05  # Seconds of a run.
_GAIN = 0.005  # Of the loss, that a place more is worth.
_FAR = (0.5, 1.0, 2.0, 0.5, 1.0, 2.0)
"""How far from the median solution runs begin that look for other valleys, in usual sizes."""

_Losses = Float[np.ndarray, "places problems"]


def can_start_often(look: Look) -> bool:
    """Whether losses can be compared at once, and hundreds of runs take some seconds."""
    return not look.noisy and look.gradient_seconds * look.horizon <= _LONGEST


def at_best_places(scene: Scene, rule: Rule) -> MultistartRule:
    """`rule` from the best of a few places, which are solutions of training problems.

    Solutions are looked for from the problems' own parameters and from elsewhere. The places are
    chosen one after another, each so that the mean loss at the horizon becomes lowest, and fewer
    where more of them gain nothing. Where one problem in a hundred ends badly, those count that
    do: they are looked for among many, and weighted by how rare they are.

    Args:
        scene: The task, and what is known of it.
        rule: The rule that goes on.
    """
    visits = max(1, min(_VISITS, scene.horizon // 8))
    runs = _SECONDS / (scene.look.gradient_seconds * scene.horizon)
    problems = int(np.clip(2 * np.sqrt(runs), 8, _PROBLEMS))
    searched = problems * _SEARCHED if runs > 2 * _SEARCHED * problems else problems
    keys = jax.random.split(scene.key, searched)
    own = _own(rule, scene.task, keys, scene.horizon)
    chosen, weights = _sample(_finite(own.last), problems)
    own = jax.tree.map(lambda rows: rows[chosen], own)
    began = time.monotonic()
    found = _solutions(scene, rule, own, keys[chosen])
    # The rule may cost more than its gradients: as many places as can be tried in the time.
    one = (time.monotonic() - began) / len(_FAR)
    places = _candidates(found, int(np.clip(_SECONDS / one, 4, min(_MOST_PLACES, problems // 4))))
    first, last = _from_each(rule, scene.task, places, keys[chosen], scene.horizon - visits)
    best = _greedy(
        np.concatenate([_finite(own.first)[None], _finite(first)]),
        np.concatenate([_finite(own.last)[None], _finite(last)]),
        weights,
        visits,
    )
    # The best alone comes last: where no losses are told, the rule goes on from there.
    return MultistartRule(rule, jnp.asarray(places[[place - 1 for place in best[::-1]]]))


class _Runs(NamedTuple):
    """Runs from the problems' own parameters."""

    first: Float[np.ndarray, " problems"]
    last: Float[np.ndarray, " problems"]
    begins: Float[np.ndarray, "problems coordinates"]
    ends: Float[np.ndarray, "problems coordinates"]


def _own(rule: Rule, task: TaskFamily, keys: Array, horizon: int) -> _Runs:
    @eqx.filter_jit
    def run(rule, task, keys):
        begun = InnerLoop.init(rule, task, keys)
        ended, _ = unroll(rule, task, begun, horizon)
        return begun.loss, ended.loss, _raveled(begun.params), _raveled(ended.params)

    return _Runs(*map(np.asarray, run(rule, task, keys)))


def _solutions(
    scene: Scene, rule: Rule, own: _Runs, keys: Array
) -> Float[np.ndarray, "problems coordinates"]:
    """Of each problem, the lowest end of its own run and of runs that begin far away."""
    sizes = np.sqrt(np.nanmean(own.ends**2 + (own.ends - own.begins) ** 2, axis=0))
    usual = np.maximum(sizes, 0.1 * sizes.mean())
    drawn = np.asarray(jax.random.normal(scene.key, (len(_FAR), len(usual))))
    places = np.nanmedian(own.ends, axis=0) + np.asarray(_FAR)[:, None] * usual * drawn
    solutions, lowest = own.ends, np.nan_to_num(own.last, nan=np.inf)
    for place in places:
        _, last, ends = _from_place(rule, scene.task, jnp.asarray(place), keys, scene.horizon)
        better = np.asarray(last) < lowest
        solutions = np.where(better[:, None], ends, solutions)
        lowest = np.where(better, last, lowest)
    return solutions


def _from_each(
    rule: Rule, task: TaskFamily, places: Float[np.ndarray, "places _"], keys: Array, length: int
) -> tuple[_Losses, _Losses]:
    """The losses at each place, and at the end of the runs from there."""
    runs = [_from_place(rule, task, jnp.asarray(place), keys, length)[:2] for place in places]
    first, last = zip(*runs, strict=True)
    return np.asarray(first), np.asarray(last)


@eqx.filter_jit
def _from_place(
    rule: Rule, task: TaskFamily, place: Array, keys: Array, length: int
) -> tuple[Float[Array, " problems"], Float[Array, " problems"], Array]:
    """The losses of all problems at one place and where their runs end, and those places."""

    def begin(problem, params, key):
        return InnerLoop.init_one(rule, task, problem, unravel_like(place, params), key)

    own = InnerLoop.init(rule, task, keys)
    begun = over_batch(task, begin)(own.problem, own.params, own.key)
    ended, _ = unroll(rule, task, begun, length)
    return begun.loss, ended.loss, _raveled(ended.params)


def _raveled(params: PyTree) -> Float[Array, "problems coordinates"]:
    return jax.vmap(lambda tree: ravel(tree, jnp.float32))(params)


def _sample(losses: np.ndarray, problems: int) -> tuple[np.ndarray, np.ndarray]:
    """The indices of some problems, and their weights; a quarter are those that end worst."""
    order = np.argsort(-losses, kind="stable")
    hard, others = order[: problems // 4], np.sort(order[problems // 4 :])
    others = others[: problems - len(hard)]
    share = (len(losses) - len(hard)) / len(others)
    weights = np.concatenate([np.ones(len(hard)), np.full(len(others), share)])
    return np.concatenate([hard, others]), weights / weights.sum()


def _candidates(
    solutions: Float[np.ndarray, "problems coordinates"], number: int
) -> Float[np.ndarray, "places coordinates"]:
    """The median of all solutions, and some of them: the first, of hard problems, and the last."""
    finite = solutions[np.isfinite(solutions).all(axis=1)]
    if not len(finite):
        raise InnerloopError("No run ends at finite parameters.")
    half = number // 2
    return np.concatenate([np.median(finite, axis=0)[None], finite[:half], finite[-half:]])


def _finite(losses: np.ndarray) -> np.ndarray:
    """The losses; one that is not finite becomes ten times the largest finite one."""
    finite = np.isfinite(losses)
    worst = np.abs(losses[finite]).max(initial=1.0)
    return np.where(finite, losses, 10 * worst).astype(float)


def _greedy(first: _Losses, last: _Losses, weights: np.ndarray, most: int) -> list[int]:
    """The places that together give the lowest mean loss, the best alone first.

    Row 0 is that of the problems' own parameters, which are always among the places.
    """
    chosen, reached = [], np.inf
    while len(chosen) < most:
        sets = [[0, *chosen, place] for place in range(1, len(first))]
        means = [_mean(first[some], last[some], weights) for some in sets]
        best = int(np.argmin(means))
        if chosen and means[best] > reached - _GAIN * abs(reached):
            break
        chosen, reached = sets[best][1:], means[best]
    return chosen


def _mean(first: _Losses, last: _Losses, weights: np.ndarray) -> float:
    """The mean loss of runs that begin at the place that is lowest at first."""
    return float(weights @ last[np.argmin(first, axis=0), np.arange(len(weights))])
