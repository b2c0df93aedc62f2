"""The suite *velodrome*: two tasks of learned_optimization, against its published envelopes."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ..datasets.files import data_folder
from ..errors import FileError
from ..runtime.files import read_bytes
from .measuring import Measured

FILE = Path("peers") / "velodrome.json"
_GAIN = 0.62  # Haiku's weights over He's: √½, and what cutting the Gaussian at 2 σ leaves, 0.88.
TASKS = {
    "ImageMLP_Mnist_128x128x128_Relu": (
        "mnist-mlp",
        {"hidden": (128, 128, 128), "normalise": False, "gain": _GAIN, "batch": 128},
    ),
    "ImageMLPAE_Mnist_128x32x128_bs128": (
        "mnist-autoencoder",
        {"hidden": (128, 32, 128), "gain": _GAIN, "batch": 128, "side": 28},
    ),
}
"""The published names, with the task family and settings that they are rebuilt by.

The first losses that were published tell what the names do not: 2.30, log 10, of the classifier,
and 0.231, what grey outputs of ½ have on MNIST, of the autoencoder, whose outputs are sigmoid then.
"""
_EVERY, _DECAY = 10, 0.95
_LARGEST = 1 << 26
_GRID = 100_000 / 511  # Steps between the published points.


class Envelope(NamedTuple):
    """The lowest smoothed training loss of tuned Adam and its kin, step by step."""

    steps: Float[np.ndarray, " points"]
    losses: Float[np.ndarray, " points"]


def load_envelopes(data_dir: str | Path | None = None) -> dict[str, Envelope]:
    """The published envelopes of the tasks of `TASKS`.

    Args:
        data_dir: The folder that holds peers/velodrome.json: {name: [steps, losses]}; None for
            INNERLOOP_DATA.

    Raises:
        FileError: The file is not there, or holds something else.
    """
    folder = data_folder(data_dir)
    path = (folder or Path()) / FILE
    if folder is None or not path.is_file():
        raise FileError(
            f"There is no {FILE} in {folder or 'INNERLOOP_DATA, which is not set'}: the published "
            "envelopes are not part of innerloop.",
            arguments=("data_dir",),
        )
    try:
        data = json.loads(read_bytes(path, _LARGEST))
        found = {
            name: Envelope(*(np.asarray(part, float) for part in data[name])) for name in TASKS
        }
        if any(e.steps.shape != e.losses.shape or e.steps.ndim != 1 for e in found.values()):
            raise ValueError("steps and losses differ in number")
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(f"{path} holds no envelopes of {', '.join(TASKS)}.") from error
    return found


def smooth(losses: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " points"]:
    """The exponential average, 0.95, of every tenth loss, at each of them.

    The published curves fall as such averages do that begin at the first loss: by a factor of
    0.95^19.6 = 0.37 towards the present loss over their 196 steps, not by 0.95.

    Args:
        losses: Training losses at steps 0, 1, ….
    """
    every = losses[::_EVERY].astype(float)
    found = np.empty_like(every)
    average = every[0]
    for place, loss in enumerate(every):
        average = _DECAY * average + (1 - _DECAY) * loss
        found[place] = average
    return found


def steps_needed(envelope: Envelope, loss: float) -> float:
    """The steps in which the envelope first is at `loss`, interpolated; infinity for never."""
    lowest = np.minimum.accumulate(envelope.losses)
    below = lowest <= loss
    if not np.any(below):
        return math.inf
    place = int(np.argmax(below))
    if place == 0:
        return float(envelope.steps[0])
    before, after = lowest[place - 1], lowest[place]
    part = (before - loss) / (before - after) if before > after else 1.0
    return float(envelope.steps[place - 1] + part * np.diff(envelope.steps)[place - 1])


def against_envelopes(measured: Measured, envelopes: dict[str, Envelope]) -> dict[str, Any]:
    """What results.json holds: by table, horizon, entrant and task.

    `final` is the smoothed loss at the last point of the published grid before the horizon, the
    mean over seeds; `published` the envelope's there; `speedup` the steps that the envelope needs
    to the former over those taken. Where the envelope never gets there, `beyond` is true and
    `speedup` is over all of its steps: the least that it can be. It is null where the loss is not
    finite.

    Args:
        measured: The runs.
        envelopes: By the task's published name.
    """

    def row(table: Any, horizon: int, name: str, task: str) -> dict[str, Any]:
        losses = measured.losses[task, horizon, table, name]
        step = int(int(horizon / _GRID) * _GRID) if horizon >= _GRID else horizon
        curves = [smooth(losses[: step + 1, seed]) for seed in range(losses.shape[1])]
        final = float(np.mean([curve[-1] for curve in curves]))
        envelope = envelopes[task]
        published = float(np.interp(step, envelope.steps, envelope.losses))
        finite = bool(np.isfinite(final))
        needed = min(steps_needed(envelope, final), float(envelope.steps[-1]))
        return {
            "step": step,
            "final": final if finite else None,
            "published": published,
            "speedup": needed / step if finite else None,
            "beyond": bool(final < envelope.losses.min()),
        }

    return {
        table: {
            str(horizon): {
                name: {"tasks": {task: row(table, horizon, name, task) for task in measured.tasks}}
                for name in measured.names(table)
            }
            for horizon in measured.settings.horizons
        }
        for table in measured.settings.tables
    }
