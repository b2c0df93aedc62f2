"""`innerloop fewshot gates`: what a Meta-Learner LSTM's gates do."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from ._common import Place, fresh_folder, prepare, say
from ._fewshot import Data, Named
from ._settings import Flat, parse

SUMMARY = "Draw a Meta-Learner LSTM's forget and input gates, by layer and inner step."


@dataclasses.dataclass(frozen=True, kw_only=True)
class GatesOf:
    """Draw a Meta-Learner LSTM's forget and input gates, by layer and inner step.

    Writes gates.png and gates.json: the median, and the band with the middle 80 % over
    coordinates and over fresh episodes of the test classes.
    """

    named: Annotated[Named, Flat]
    """The learner."""
    episodes: int = 20
    """Fresh episodes."""
    data: Data = None
    """omniglot, miniimagenet, a folder or zip file with a folder of images for each class, or
    path/to/file.py:NAME."""
    seed: int = 0
    """Another seed, other episodes."""
    place: Annotated[Place, Flat] = dataclasses.field(default_factory=Place)
    """Where to read and write."""


def main(words: Sequence[str]) -> None:
    """Run the command."""
    asked = parse(GatesOf, words, command="fewshot gates")
    prepare(asked.place.devices)
    import jax

    from ..experiments.fewshot.run import images_for
    from ..fewshot.episode import EpisodeSampler
    from ..fewshot.files import name_of
    from ..inspection.gates import check_has_gates, record_gates, write_gates
    from ..plots.gates import draw_gates
    from ..runtime.folders import writable

    learner, trained_on = asked.named.load()
    check_has_gates(learner)  # Before images are loaded.
    name, shape = name_of(learner, trained_on), learner.shape
    folder = writable(asked.place.out or fresh_folder(f"gates-{name}"))
    images = images_for(learner, trained_on, data=asked.data, data_dir=asked.place.data)
    sampler = EpisodeSampler(images, way=shape.way, shot=shape.shot, queries=1)
    key = jax.random.key(asked.seed)
    recorded = record_gates(learner, sampler, key=key, episodes=asked.episodes)
    say("Medians, from the first inner step to the last:")
    for layer, forget in recorded.forget.items():
        kept, entered = forget.quantiles[1], recorded.input[layer].quantiles[1]
        say(
            f"  {layer:<8} forget gate {kept[0]:.4f} → {kept[-1]:.4f}, "
            f"input gate {entered[0]:.3g} → {entered[-1]:.3g}"
        )
    write_gates(recorded, folder / "gates.json", learner=name, seed=asked.seed)
    episodes = f"{asked.episodes} episode{'' if asked.episodes == 1 else 's'}"
    draw_gates(
        *recorded.quantiles(),
        folder / "gates.png",
        title=f"Gates of {name}: medians, with the middle 80 % of the coordinates in {episodes}",
    )
    say(f"Written to {folder}: gates.png, gates.json")
