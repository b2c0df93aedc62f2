"""Names from anywhere are harmless where they go."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from innerloop import Quadratic, compare
from innerloop.cli._common import fresh_folder, report, say
from innerloop.comparison import ComparisonSettings, table
from innerloop.predict.predictions import Predictions, write_predictions
from innerloop.rules import OptaxRule
from innerloop.runtime.names import fit_cell, fit_component, fit_text

ESCAPES = [
    "\x1b[2J",  # Clears the screen.
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\rb",
    "\u202egnp.exe",  # Shown from right to left.
    "\udc80",  # Half of a character.
    "\x00",
    "a\u2028b",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_a_terminal_obeys_no_name(capsys, text):
    assert fit_text(text).isprintable() and fit_text(text, lines=True).isprintable()
    say(text)
    report(text)
    printed = capsys.readouterr()
    for line in (printed.out, printed.err):
        assert line.endswith("\n") and line[:-1].isprintable()


def test_line_breaks_are_kept_where_they_are_ours():
    assert fit_text("a\n\tb", lines=True) == "a\n\tb" and fit_text("a\n\tb") == "a··b"


def test_long_texts_are_cut():
    assert fit_text("abcdef", 3) == "abc…" and fit_text("abc", 3) == "abc"


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "..", "", "a\x00b", "-rf", "~/x", "x" * 5000, "C:\\x", "\n"]
)
def test_a_component_leads_nowhere_else(name):
    found = fit_component(name)
    assert found and Path(found).name == found and found not in (".", "..")
    assert len(found) <= 100 and found[0] not in "-." and found.isprintable()
    assert fresh_folder(name).parent == Path("runs")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@A1", " =1+1", "\t=1"])
def test_no_cell_is_a_formula(tmp_path, name):
    assert not fit_cell(name).lstrip().startswith(("=", "+", "-", "@"))
    images = np.zeros((2, 4, 4, 1), np.uint8)
    predictions = Predictions(
        learner="it", classes=(name, "b"), names=(name, "two"), support=images, shown=images,
        probabilities=np.full((2, 2), 0.5, np.float32), support_labels=np.arange(2),
        inverted=0, transductive=False, seed=0, unreadable=(name,),
    )  # fmt: skip
    text = write_predictions(predictions, tmp_path).read_text()
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for cell in cells)


@pytest.mark.parametrize("name", ["[red]loud[/red]", "\x1b[2J", "[/]", "[link=file:///x]y[/link]"])
def test_a_table_shows_names_as_they_are(name):
    import optax

    sizes = ComparisonSettings(problems=2, horizon=2, validation_problems=2)
    rule = OptaxRule(optax.sgd, 0.01)
    found = compare(rule, Quadratic(2), sizes, name=name, baselines={name: optax.sgd})
    out = io.StringIO()
    Console(file=out, width=120).print(table(found))
    assert out.getvalue().count(fit_text(name)) == 2 and "\x1b" not in out.getvalue()
