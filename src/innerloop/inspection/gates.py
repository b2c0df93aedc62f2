"""What a Meta-Learner LSTM does while it learns: its gates in every layer, step by step."""

import dataclasses
import json
from pathlib import Path
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PRNGKeyArray

from ..errors import InnerloopError
from ..fewshot._base import MetaLearner
from ..fewshot.episode import EpisodeSampler
from ..fewshot.gradient import GradientMetaLearner
from ..rules import MetaLSTMRule, MultiRule
from ..rules.multi import parts_of
from ..runtime.files import write_output
from ..runtime.promotion import usual_promotion

QUANTILES = (10, 50, 90)
MOST_COORDINATES = 1_000
"""Coordinates of a layer that are looked at in an episode."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerGates:
    """One gate in one layer after each inner step, over coordinates and episodes.

    Attributes:
        mean: The mean, from 0 to 1, float [steps].
        quantiles: The 10 %, the median and the 90 %, float [3, steps].
    """

    mean: Float[np.ndarray, " steps"]
    quantiles: Float[np.ndarray, "3 steps"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gates:
    """A learner's forget and input gates by layer, in the order that images pass them.

    Attributes:
        episodes: How many episodes were looked at.
        forget: Layer → its forget gates.
        input: Layer → its input gates.
    """

    episodes: int
    forget: dict[str, LayerGates]
    input: dict[str, LayerGates]

    def quantiles(
        self,
    ) -> tuple[dict[str, Float[np.ndarray, "3 steps"]], dict[str, Float[np.ndarray, "3 steps"]]]:
        """(forget gates, input gates): layer → quantiles, as `plots.draw_gates` takes them."""
        forget, entering = (
            {layer: gates.quantiles for layer, gates in layers.items()}
            for layers in (self.forget, self.input)
        )
        return forget, entering


@usual_promotion()
def record_gates(
    learner: MetaLearner,
    sampler: EpisodeSampler,
    *,
    key: PRNGKeyArray,
    episodes: int = 20,
    most: int = MOST_COORDINATES,
) -> Gates:
    """The gates while a Meta-Learner LSTM learns from support sets.

    Args:
        learner: A learner whose rule is a `MetaLSTMRule`, or a `MultiRule` of such.
        sampler: Draws the episodes.
        key: Draws the episodes, and the coordinates.
        episodes: How many, 1 or more.
        most: Coordinates of a layer that each episode shows; of larger layers this many are drawn
            at random.

    Returns:
        The gates of every layer after each inner step.

    Raises:
        InnerloopError: The learner is no Meta-Learner LSTM, `episodes` is not positive, or a
            gate is no finite number.

    Example:
        >>> import jax
        >>> import numpy as np
        >>> from innerloop import datasets, fewshot, inspection
        >>> images = datasets.ClassImages(np.zeros((4, 4, 4, 1), np.uint8), (2, 2), ("zero", "one"))
        >>> sampler = fewshot.EpisodeSampler(images, way=2, shot=1, queries=1)
        >>> shape = fewshot.Shape(way=2, shot=1, side=4, channels=1, classes=2)
        >>> backbone = fewshot.Conv4(side=4, channels=1, filters=2, blocks=1)
        >>> settings = fewshot.MetaLSTM.Settings(steps=2, hidden=2)
        >>> learner = fewshot.MetaLSTM(shape, backbone, settings, key=jax.random.key(0))
        >>> gates = inspection.record_gates(learner, sampler, key=jax.random.key(1), episodes=1)
        >>> list(gates.input), gates.input["head"].mean.shape
        (['block1', 'head'], (2,))

    References:
        Ravi & Larochelle, "Optimization as a model for few-shot learning" (2017), Figure 2, which
        shows such gates.
    """
    if episodes < 1:
        raise InnerloopError(f"episodes is {episodes}; it must be at least 1.")
    learned = check_has_gates(learner)
    found = _record(learned, sampler, jax.random.split(key, episodes), most)
    summed: list[dict[str, LayerGates]] = []
    for gate in ("input", "forget"):
        layers: dict[str, LayerGates] = {}
        for layer, values in found[gate].items():
            by_step = np.moveaxis(np.asarray(values), 1, 0).reshape(learned.inner_steps, -1)
            if not np.all(np.isfinite(by_step)):
                raise InnerloopError(f"The {gate} gates of {layer} are no finite numbers.")
            layers[layer] = LayerGates(
                mean=np.mean(by_step, axis=1), quantiles=np.percentile(by_step, QUANTILES, axis=1)
            )
        summed.append(layers)
    return Gates(episodes=episodes, input=summed[0], forget=summed[1])


def check_has_gates(learner: MetaLearner) -> GradientMetaLearner:
    """`learner` itself; raises `InnerloopError` where it is no Meta-Learner LSTM."""
    rule: Any = getattr(learner, "rule", None)
    if rule is not None and all(isinstance(each, MetaLSTMRule) for each in parts_of(rule)):
        return cast(GradientMetaLearner, learner)
    raise InnerloopError(
        "Only the Meta-Learner LSTM has gates to look at (meta-lstm); this is a "
        f"{type(learner).__name__}."
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
        layers = _layers(learner, states, sampler.way)
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


def _layers(learner: GradientMetaLearner, states: Any, way: int) -> dict[str, tuple[Array, Array]]:
    """Layer → (input gates, forget gates), each [steps, coordinates of the layer]."""
    rule, params = learner.rule, learner.start(learner.params, way)
    if isinstance(rule, MultiRule):
        return {
            layer: jax.vmap(rule.rules[layer].gates)(states.inner_states[layer].inner_state)  # pyright: ignore[reportAttributeAccessIssue]
            for layer in params
        }
    # One vector of all coordinates: leaf by leaf, and so in the order of the layers' names.
    names = sorted(params)
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(params[name])) for name in names]
    ends = [int(end) for end in np.cumsum(sizes)[:-1]]
    entering, keeping = jax.vmap(rule.gates)(states)  # pyright: ignore[reportAttributeAccessIssue]
    parts = zip(jnp.split(entering, ends, 1), jnp.split(keeping, ends, 1), strict=True)
    found = dict(zip(names, parts, strict=True))
    return {layer: found[layer] for layer in params}


def write_gates(gates: Gates, path: str | Path, **about: Any) -> Path:
    """`gates` as JSON, with `about`, what else is to be remembered; returns the file's path.

    Raises `InnerloopError` where it cannot be written.
    """
    content: dict[str, Any] = {**about, "episodes": gates.episodes}
    for gate, layers in {"forget": gates.forget, "input": gates.input}.items():
        content[gate] = {}
        for layer, values in layers.items():
            low, middle, high = values.quantiles.tolist()
            content[gate][layer] = {
                "mean": values.mean.tolist(), "p10": low, "median": middle, "p90": high
            }  # fmt: skip
    return write_output(Path(path), json.dumps(content, indent=2) + "\n")
