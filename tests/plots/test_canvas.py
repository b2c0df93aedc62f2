"""Pictures are drawn whatever the names, and leave a program's Matplotlib as they found it."""

import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest

from innerloop.plots.canvas import new_figure, save
from innerloop.plots.steps import draw_steps
from innerloop.runtime.names import fit_label

NAMES = [
    "$",
    "a$b$c",
    r"\frac{$x$",
    "_hidden",
    "a\nb",
    "\x1b[31m",
    "\\",
    "100 %",
    "日本語",
    "{",
    "^_",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_drawn_with_any_name(tmp_path, name):
    figure = new_figure(3, 2)
    axes = figure.subplots()
    axes.plot([1, 2], label=fit_label(name))
    axes.set_title(fit_label(name))
    assert len(axes.legend().get_texts()) == 1
    path = save(figure, tmp_path / "picture.png")
    assert matplotlib.image.imread(path).shape[:2] == (300, 450)


def test_a_name_between_dollars_is_no_formula():
    figure = new_figure(3, 2)
    axes = figure.subplots()
    wide, narrow = (axes.text(0, 0, text) for text in (fit_label("$aaaaaaaa$"), "aaaaaaaa"))
    figure.canvas.draw()
    assert wide.get_window_extent().width > narrow.get_window_extent().width


def test_a_picture_that_cannot_be_written_leaves_the_former(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"before")
    figure = new_figure(3, 2)
    figure.savefig = lambda *_, **__: 1 / 0
    with pytest.raises(ZeroDivisionError):
        save(figure, path)
    assert path.read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("losses", [np.array([-1.0, -2.0]), np.array([1.0, 0.0]), np.zeros(2)])
def test_steps_are_drawn_whatever_the_losses(tmp_path, losses):
    moves = {"learned": np.ones((2, 3)), "SGD": np.zeros((2, 3))}
    path = draw_steps(np.ones((2, 3)), moves, losses, tmp_path / "steps.png", title="a $ b")
    assert path.is_file()


UNTOUCHED = """
import logging, sys
logging.getLogger("absl").setLevel(17)
import matplotlib
matplotlib.use("svg")
import optax, innerloop
from innerloop.inspection.steps import inspect
from innerloop.plots.steps import draw_steps
sgd, task = innerloop.OptaxRule(optax.sgd, 0.01), innerloop.Quadratic(2)
steps = inspect(sgd, task, steps=2)
draw_steps(steps.gradients, steps.steps, steps.losses, "steps.png", title="it")
from innerloop.runtime.checkpoints import Checkpoints
import pathlib
with Checkpoints(pathlib.Path("checkpoints")):
    pass
assert matplotlib.get_backend().lower() == "svg", matplotlib.get_backend()
assert logging.getLogger("absl").level == 17
assert "matplotlib.pyplot" not in sys.modules
"""


def test_backend_and_loggers_are_left_as_found(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", UNTOUCHED], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "steps.png").is_file()


def test_nothing_draws_by_pyplot(root):
    for path in (root / "src").rglob("*.py"):
        assert "pyplot" not in path.read_text().replace("without pyplot", ""), path
