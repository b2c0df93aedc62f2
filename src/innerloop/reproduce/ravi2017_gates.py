"""Figures 2 and 3 of Ravi & Larochelle (2017): the gates of the Meta-Learner LSTM."""

import dataclasses
import time
from typing import Any

import jax

from ..experiments.fewshot.run import images_for
from ..fewshot.episode import EpisodeSampler
from ..inspection.gates import Gates, record_gates, write_gates
from ..plots.gates import draw_gates
from ..runtime.files import write_output
from ..runtime.folders import writable
from ._base import Reproduction, ReproductionOptions
from ._learners import learner_for

LEARNERS = ("meta-lstm-miniimagenet-5w-1s", "meta-lstm-miniimagenet-5w-5s")
EPISODES = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class GateFigures(Reproduction):
    """The forget and input gates of the 1-shot and the 5-shot learner."""

    def run(self, options: ReproductionOptions) -> dict[str, Any]:
        """Write a picture and a file of numbers for each learner, and report.md."""
        out, began = writable(options.out), time.perf_counter()
        episodes = options.problems or EPISODES
        report = [f"# {self.source}\n\n{self.claim}\n"]
        found: dict[str, Any] = {}
        for name in LEARNERS:
            options.report(f"recording the gates of {name}")
            learner, data = learner_for(name, options)
            images = images_for(learner, data, data_dir=options.data_dir)
            shape = learner.shape
            sampler = EpisodeSampler(images, way=shape.way, shot=shape.shot, queries=1)
            key = jax.random.key(options.seed)
            gates = record_gates(learner, sampler, key=key, episodes=episodes)
            write_gates(gates, out / f"{name}.json", learner=name, seed=options.seed)
            title = f"Gates of {name} in {episodes} episodes"
            draw_gates(*gates.quantiles(), out / f"{name}.png", title=title)
            report.append(f"## {name}\n\n![{title}]({name}.png)\n\n{medians(gates)}\n")
            found[name] = f"{name}.json"
        write_output(out / "report.md", "\n".join(report))
        return {"gates": found, "seconds": time.perf_counter() - began}


def medians(gates: Gates) -> str:
    """A table of the layers' median gates, from the first inner step to the last."""
    lines = ["| layer | forget gate | input gate |", "| --- | --- | --- |"]
    for layer, forget in gates.forget.items():
        kept, entered = forget.quantiles[1], gates.input[layer].quantiles[1]
        lines.append(
            f"| {layer} | {kept[0]:.4f} → {kept[-1]:.4f} | {entered[0]:.3g} → {entered[-1]:.3g} |"
        )
    return "\n".join(lines)


REPRODUCTIONS = (
    GateFigures(
        name="ravi2017-gates",
        source="Ravi & Larochelle 2017, Figures 2 and 3",
        claim="The meta-learner uses shrinkage throughout, and input gates differ between "
        "episodes: it is not simply a fixed learning rate.",
        minutes=5,
        training_minutes=300,
    ),
)
