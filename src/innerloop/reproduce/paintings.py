"""Neural art as pictures: what is painted after 0, 8, 32 and 128 steps."""

import dataclasses
import itertools
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from .. import keys
from ..comparison import BASELINES, tune_baseline
from ..datasets.paintings import load_painting
from ..experiments.find import find_run
from ..experiments.make import make_task
from ..inner import InnerLoop, unroll
from ..plots.canvas import new_figure, save
from ..rules import Rule
from ..runtime.names import fit_label
from ..tasks import NeuralArt
from ._base import ReproductionOptions
from .figures import Figure

MARKS = (0, 8, 32, 128)
_RIVALS = ("adam", "nesterov")


def draw_paintings(
    figure: Figure,
    rules: dict[str, Rule],
    options: ReproductionOptions,
) -> list[dict[str, Any]]:
    """Two rows a panel: the photograph, the painting, and the marked steps of the learned rule
    and of the better of Adam and Nesterov, tuned. Writes figure.png.

    Returns the losses of each row, None where one is not finite.
    """
    key = jax.random.key(options.seed)
    rows, panels = [], []
    for panel in figure.panels:
        _, experiment, _ = find_run(panel.task)
        choice = dataclasses.replace(experiment.task, settings=dict(panel.settings))
        task = make_task(choice, options.data_dir)
        assert isinstance(task, NeuralArt)
        options.report(f"tuning {' and '.join(_RIVALS)} for {panel.title}")
        name, rival = _best_rival(task, keys.validation_problems(key), experiment.comparison)
        test = task.split("test")
        test_keys = jax.random.split(keys.test_problems(key), 1)
        painting = load_painting(task.style, task.size, options.data_dir)
        results = []
        for label, rule in (("learned", rules[panel.rule]), (name, rival)):
            options.report(f"painting: {panel.title}, {label}")
            photograph, frames, losses = _painted(rule, test, test_keys)
            rows.append((panel.title, label, photograph, painting, frames, losses))
            finite = [loss if np.isfinite(loss) else None for loss in losses]
            results.append({"optimizer": label, "losses": finite})
        panels.append({"title": panel.title, "steps": MARKS, "rows": results})
    columns = 2 + len(MARKS)
    drawn = new_figure(1.7 * columns, 0.5 + 1.95 * len(rows))
    grid = drawn.subplots(len(rows), columns, squeeze=False)
    for line, (title, label, photograph, painting, frames, losses) in zip(grid, rows, strict=True):
        for axes, picture in zip(line, [photograph, painting, *frames], strict=True):
            axes.imshow(np.clip(picture, 0, 1), interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        line[0].set_ylabel(f"{label}\n{fit_label(title)}", fontsize=8)
        for axes, step, loss in zip(line[2:], MARKS, losses, strict=True):
            axes.set_title(f"step {step}: loss {loss:.3g}", fontsize=8)
        line[0].set_title("content", fontsize=8)
        line[1].set_title("style", fontsize=8)
    drawn.suptitle(f"{figure.source}: an unseen photograph, painted", fontsize=10)
    save(drawn, options.out / "figure.png")
    return panels


def _best_rival(task: NeuralArt, key: Array, settings: Any) -> tuple[str, Rule]:
    tuned = {
        name: tune_baseline(
            BASELINES[name],
            task.split("validation"),
            key=key,
            problems=settings.validation_problems,
            horizon=MARKS[-1],
            grid=settings.grid,
        )
        for name in _RIVALS
    }
    best = min(tuned, key=lambda name: tuned[name].validation)
    rate, second = tuned[best].learning_rate, tuned[best].second
    return f"{best} {rate:.2g}", BASELINES[best].rule(rate, horizon=MARKS[-1], second=second)


@eqx.filter_jit
def _painted_arrays(rule: Rule, task: NeuralArt, keys: Array) -> Any:
    loop = InnerLoop.init(rule, task, keys)
    frames, losses = [loop.params[0]], [loop.loss[0]]
    for before, mark in itertools.pairwise(MARKS):
        loop, _ = unroll(rule, task, loop, mark - before)
        frames.append(loop.params[0])
        losses.append(loop.loss[0])
    return loop.problem.pixels[0], frames, losses


def _painted(
    rule: Rule, task: NeuralArt, keys: Array
) -> tuple[Float[np.ndarray, "h w 3"], list[np.ndarray], list[float]]:
    photograph, frames, losses = _painted_arrays(rule, task, keys)

    def picture(pixels):
        return np.asarray(pixels).transpose(1, 2, 0)

    return picture(photograph), [picture(frame) for frame in frames], [float(x) for x in losses]
