"""What a learned rule adds to tuned gradient descent from the same start, on the same episodes.

    python benchmarks/learned_rules.py LEARNER [--shot 1] [--episodes 2000] [--meta-steps 600]
    python benchmarks/learned_rules.py LEARNER --trained NAME

LEARNER is one of `plda`, whose embedding and covariances are taken over and stay. The output layer
begins at 0, upon features as they are and upon whitened ones. Steps and rate of gradient descent
are the best of a grid on 600 validation episodes; every learned rule begins at them. All are then
tested on the same episodes of the test classes. With --trained a learner that was trained upon
LEARNER before is tested, and none is trained.
"""

import argparse
import dataclasses
import itertools
import json
from typing import Any

import equinox as eqx
import jax
import numpy as np

from innerloop import fewshot, keys
from innerloop.experiments.fewshot.run import images_for
from innerloop.fewshot.files import load_with_data
from innerloop.fewshot.kept import Kept, keep

STEPS, RATES = (1, 5, 12), (0.03, 0.1, 0.3, 1.0, 3.0)
RULES = {
    "MAML, the rate learned": ("maml", {"second_order": True, "learn_rate": True}),
    "Meta-SGD": ("meta-sgd", {"second_order": True}),
    "Meta-Learner LSTM, first order": ("meta-lstm", {"hidden": 4, "keep": 0.9999}),
    "Meta-Learner LSTM": ("meta-lstm", {"hidden": 4, "keep": 0.9999, "second_order": True}),
}


@dataclasses.dataclass(frozen=True)
class Bench:
    """An embedding, and its features of the images of each split."""

    embedding: Any
    shape: fewshot.Shape
    splits: dict[str, Kept]
    meta_steps: int

    def make(self, method: str, settings: dict[str, Any]) -> Any:
        """A learner of the output layer alone, upon the embedding."""
        shrinkage = self.embedding.settings.shrinkage
        fixed = {"adapt": "head", "learn_embedding": False, "shrinkage": shrinkage}
        given = {**fixed, **settings}
        backbone = self.embedding.backbone
        made: Any = fewshot.make_learner(method, self.shape, backbone, given, key=jax.random.key(0))
        params = {**self.embedding.params, "head": made.params["head"]}
        made = eqx.tree_at(
            lambda m: (m.params, m.statistics), made, (params, self.embedding.statistics)
        )
        if made.spread is None:
            return made
        return eqx.tree_at(lambda m: m.spread, made, self.embedding.spread)

    def accuracies(self, learner: Any, split: str, episodes: int) -> np.ndarray:
        kept, key = self.splits[split], keys.test_episodes(jax.random.key(0))
        return np.asarray(
            fewshot.evaluate(kept.learner(learner), kept.sampler, key=key, episodes=episodes)
        )

    def train(self, learner: Any) -> Any:
        """The learner after meta-training of its output layer and its rule."""
        kept = self.splits["train"]
        settings = fewshot.EpisodeSettings(
            steps=self.meta_steps,
            meta_batch_size=8,
            rule_learning_rate=0.01,
            validate_every=self.meta_steps,
            validation_problems=2,
        )
        trained = fewshot.train(
            kept.learner(learner), kept.sampler, kept.sampler, settings=settings
        )
        return trained.rule


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("learner")
    parser.add_argument("--shot", type=int, default=1)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--meta-steps", type=int, default=600)
    parser.add_argument("--trained")
    parser.add_argument("--data-dir")
    given = parser.parse_args()
    embedding, data = load_with_data(given.learner)
    assert isinstance(embedding, fewshot.PLDA), "The learner has to be one of plda."
    shape = dataclasses.replace(embedding.shape, shot=given.shot)
    splits = {}
    for split in ("validation", "test") if given.trained else ("train", "validation", "test"):
        images = images_for(embedding, data, split, data_dir=given.data_dir)
        sampler = fewshot.EpisodeSampler(images, way=shape.way, shot=given.shot, queries=15)
        kept = keep(embedding, sampler, 100_000)
        assert kept is not None
        splits[split] = kept
    bench = Bench(embedding, shape, splits, given.meta_steps)
    if given.trained:
        trained: Any = load_with_data(given.trained)[0]
        _, base = descend(bench, trained.settings.features, given.episodes)
        tell(given.trained, bench.accuracies(trained, "test", given.episodes), base)
        return
    for features in ("scaled", "whitened"):
        report(bench, features, given.episodes)


def report(bench: Bench, features: str, episodes: int) -> None:
    """Print a row of JSON for gradient descent, and one for each learned rule."""
    best, base = descend(bench, features, episodes)
    for name, (method, settings) in RULES.items():
        learner = bench.train(bench.make(method, {**best, **settings}))
        tell(name, bench.accuracies(learner, "test", episodes), base)


def descend(bench: Bench, features: str, episodes: int) -> tuple[dict[str, Any], np.ndarray]:
    """Tuned gradient descent: (its settings, accuracies on test episodes); prints its row."""
    grid = [
        {"steps": steps, "rate": rate, "features": features}
        for steps, rate in itertools.product(STEPS, RATES)
    ]

    def measure(settings: dict[str, Any], split: str, episodes: int) -> np.ndarray:
        learner = bench.make("maml", {**settings, "second_order": False})
        return bench.accuracies(learner, split, episodes)

    best = max(grid, key=lambda settings: measure(settings, "validation", 600).mean())
    base = measure(best, "test", episodes)
    print(json.dumps({"rule": "gradient descent", **best, **_interval("", base)}), flush=True)
    return best, base


def tell(name: str, found: np.ndarray, base: np.ndarray) -> None:
    """Print the row of a learned rule, with what it is ahead of gradient descent by, paired."""
    row = {**_interval("", found), **_interval("ahead_", found - base)}
    print(json.dumps({"rule": name, **row}), flush=True)


def _interval(name: str, values: np.ndarray) -> dict[str, float]:
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return {f"{name}%": round(100 * float(values.mean()), 2), f"{name}±": round(100 * half, 2)}


if __name__ == "__main__":
    main()
