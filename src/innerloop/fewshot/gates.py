"""What a Meta-Learner LSTM does while it learns: its gates in every layer, step by step."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PRNGKeyArray

from ..errors import InnerloopError
from ..folders import write_output, write_picture
from ..rules import MetaLSTMRule, MultiRule
from ._base import MetaLearner
from .episode import EpisodeSampler
from .gradient import GradientMetaLearner

QUANTILES = (10, 50, 90)
_MOST = 1_000  # Coordinates of a layer that are looked at in an episode.
# Okabe and Ito's colours, which stay apart for colour-blind readers too.
_COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#CC79A7", "#D55E00")
_MARKERS = "osv^D"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerGates:
    """One gate in one layer after each inner step, over coordinates and episodes.

    `quantiles` has the 10 %, the median and the 90 % in its rows.
    """

    mean: Float[np.ndarray, " steps"]
    quantiles: Float[np.ndarray, "3 steps"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gates:
    """A learner's forget and input gates by layer, in the order that images pass them."""

    episodes: int
    forget: dict[str, LayerGates]
    input: dict[str, LayerGates]


def record_gates(
    learner: MetaLearner, sampler: EpisodeSampler, *, key: PRNGKeyArray, episodes: int = 20
) -> Gates:
    """The gates while `learner` learns from the support sets of so many episodes.

    Of a layer with more than 1,000 coordinates each episode shows 1,000, drawn at random.
    Raises `InnerloopError` where the learner is no Meta-Learner LSTM, `episodes` is not
    positive, or a gate is no finite number.
    """
    if episodes < 1:
        raise InnerloopError(f"episodes is {episodes}; it must be at least 1.")
    learned = check_has_gates(learner)
    found = _record(learned, sampler, jax.random.split(key, episodes), _MOST)
    summed: list[dict[str, LayerGates]] = []
    for gate in ("input", "forget"):
        layers: dict[str, LayerGates] = {}
        for layer, values in found[gate].items():
            by_step = np.moveaxis(np.asarray(values), 1, 0).reshape(learned.steps, -1)
            if not np.all(np.isfinite(by_step)):
                raise InnerloopError(f"The {gate} gates of {layer} are no finite numbers.")
            layers[layer] = LayerGates(
                mean=np.mean(by_step, axis=1), quantiles=np.percentile(by_step, QUANTILES, axis=1)
            )
        summed.append(layers)
    return Gates(episodes=episodes, input=summed[0], forget=summed[1])


def check_has_gates(learner: MetaLearner) -> GradientMetaLearner:
    """`learner` itself; raises `InnerloopError` where it is no Meta-Learner LSTM."""
    if isinstance(learner, GradientMetaLearner):
        rule = learner.rule
        rules = list(rule.rules.values()) if isinstance(rule, MultiRule) else [rule]
        if all(isinstance(each, MetaLSTMRule) for each in rules):
            return learner
        what = f"a learner whose rule is {type(rule).__name__}"
    else:
        what = type(learner).__name__
    raise InnerloopError(
        f"Only the Meta-Learner LSTM has gates to look at (meta-lstm); this is {what}."
    )


@eqx.filter_jit
def _record(
    learner: GradientMetaLearner, sampler: EpisodeSampler, keys: Key[Array, " episodes"], most: int
) -> dict[str, dict[str, Float[Array, "episodes steps _"]]]:
    """{"input" or "forget": {layer: its gates}}."""

    def one(key: PRNGKeyArray) -> dict[str, dict[str, Array]]:
        episode_key, adapt_key, choice_key = jax.random.split(key, 3)
        episode = sampler.sample(key=episode_key)
        _, states = learner.run(episode.support, sampler.way, key=adapt_key)
        layers = _layers(learner, states)
        chosen: dict[str, dict[str, Array]] = {"input": {}, "forget": {}}
        for number, (layer, both) in enumerate(layers.items()):
            size = both[0].shape[1]
            which = jnp.arange(size)
            if size > most:
                which = jax.random.permutation(jax.random.fold_in(choice_key, number), size)
            for gate, values in zip(("input", "forget"), both, strict=True):
                chosen[gate][layer] = values[:, which[:most]]
        return chosen

    # One after another: an episode alone fills the caches.
    return jax.lax.map(one, keys)


def _layers(learner: GradientMetaLearner, states: Any) -> dict[str, tuple[Array, Array]]:
    """Layer → (input gates, forget gates), each [steps, coordinates of the layer]."""
    rule = learner.rule
    if isinstance(rule, MultiRule):
        return {
            layer: jax.vmap(rule.rules[layer].gates)(states.inner_states[layer].inner_state)  # pyright: ignore[reportAttributeAccessIssue]
            for layer in learner.initial
        }
    # One vector of all coordinates: leaf by leaf, and so in the order of the layers' names.
    names = sorted(learner.initial)
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(learner.initial[name])) for name in names]
    ends = [int(end) for end in np.cumsum(sizes)[:-1]]
    entering, keeping = jax.vmap(rule.gates)(states)  # pyright: ignore[reportAttributeAccessIssue]
    parts = zip(jnp.split(entering, ends, 1), jnp.split(keeping, ends, 1), strict=True)
    found = dict(zip(names, parts, strict=True))
    return {layer: found[layer] for layer in learner.initial}


def write_gates(gates: Gates, path: str | Path, **about: Any) -> Path:
    """`gates` as JSON, with `about`, what else is to be remembered; returns the file's path.

    Raises `InnerloopError` where it cannot be written.
    """
    path = Path(path)
    content: dict[str, Any] = {**about, "episodes": gates.episodes}
    for gate, layers in {"forget": gates.forget, "input": gates.input}.items():
        content[gate] = {}
        for layer, values in layers.items():
            low, middle, high = values.quantiles.tolist()
            content[gate][layer] = {
                "mean": values.mean.tolist(), "p10": low, "median": middle, "p90": high
            }  # fmt: skip
    return write_output(path, json.dumps(content, indent=2) + "\n")


def draw_gates(gates: Gates, path: str | Path, *, title: str) -> Path:
    """Draw the forget gates beside the input gates, by layer over the inner steps.

    As Figures 2 and 3 of Ravi & Larochelle (2017) do: the median as a line, and the band that
    holds the middle 80 %; input gates on a logarithmic axis where they are far apart.
    Writes a PNG to `path` and returns it.
    """
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    pyplot.switch_backend("Agg")
    path = Path(path)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.6, 4.4), dpi=150, layout="constrained")
    for axes, layers in ((left, gates.forget), (right, gates.input)):
        for number, (layer, values) in enumerate(layers.items()):
            low, middle, high = values.quantiles
            steps = np.arange(1, len(middle) + 1)
            colour = _COLOURS[number % len(_COLOURS)]
            marker = _MARKERS[number % len(_MARKERS)]
            axes.fill_between(steps, low, high, color=colour, alpha=0.13, linewidth=0)
            # Thinner and thinner, so that lines that lie upon one another are all seen.
            style = {"lw": max(1.2, 4.4 - 0.8 * number), "marker": marker, "ms": 8 - number}
            axes.plot(steps, middle, color=colour, label=layer.replace("block", "block "), **style)
        axes.set_xlabel("inner step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e5e5e5", lw=0.6)
    left.set_title("forget gates f (1 keeps a parameter as it is)", fontsize=10)
    left.set_ylabel("forget gate")
    left.ticklabel_format(axis="y", useOffset=False)
    right.set_title("input gates i (the learning rate)", fontsize=10)
    right.set_ylabel("input gate")
    if _far_apart(gates.input):
        right.set_yscale("log")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.suptitle(title, fontsize=11)
    write_picture(figure, path)
    pyplot.close(figure)
    return path


def _far_apart(layers: dict[str, LayerGates]) -> bool:
    """Whether lines would lie flat on a linear axis."""
    lowest = min(float(values.quantiles.min()) for values in layers.values())
    highest = max(float(values.quantiles.max()) for values in layers.values())
    return 0 < 20 * lowest < highest
