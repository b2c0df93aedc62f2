"""What the terminal gets: tables that fit, JSON for machines, no colours where none are wanted."""

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from innerloop import cli
from innerloop.comparison import Price, table
from innerloop.comparison.table import fitting
from report.pages import comparison


def innerloop(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["innerloop", *map(str, words)])
    cli.main()


def test_a_table_with_every_column_fits_80_columns():
    compared = comparison(problems=8, horizon=1000, others=("lstm-gac-quadratic",))
    held_out = np.full((2, 8), 0.123, np.float32)
    learned = dataclasses.replace(compared.learned, held_out=held_out)
    compared = dataclasses.replace(compared, learned=learned, reference=None)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(compared))
    text = console.export_text()
    assert "held out" in text and "…" not in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_a_table_with_second_settings_fits_80_columns_or_says_what_it_left_out():
    compared = comparison(problems=8, horizon=1000, others=("lstm-gac-quadratic",))

    def tuned(run):
        found = dataclasses.replace(run.tuned, second=0.95)
        held_out = np.full((2, 8), 0.123, np.float32)
        return dataclasses.replace(
            run, name="schedule-free-adamw", tuned=found, held_out=held_out, price=Price(1e-4, 8.0)
        )

    learned = dataclasses.replace(
        tuned(compared.baselines[0]), name="learned", tuned=None, losses=compared.learned.losses
    )
    baselines = [tuned(compared.baselines[0])]
    compared = dataclasses.replace(compared, learned=learned, baselines=baselines, reference=None)
    for width, shown, left_out in ((80, "held out", "mean, state"), (40, "mean", None)):
        console = Console(width=200, record=True, file=io.StringIO())
        console.print(fitting(compared, width))
        text = console.export_text()
        assert shown in text and "…" not in text
        assert ("in results.json" in text) == (left_out is not None)
        if left_out is not None:
            assert f"in results.json: {left_out}" in text
            assert all(len(line.rstrip()) <= width for line in text.splitlines())


def test_list_prints_json_alone(monkeypatch, capsys):
    innerloop(monkeypatch, "list", "--json")
    found = json.loads(capsys.readouterr().out)
    assert "quadratic" in found["experiment"] and found["shipped rule"]["lstm-mnist"] == "lstm"


def test_compare_prints_json_alone(tmp_path, monkeypatch, capsys):
    words = (
        "compare",
        "lstm-quadratic",
        "--task",
        "quadratic",
        "--problems",
        "4",
        "--horizon",
        "3",
    )
    more = ("--baselines", "sgd", "--validation-problems", "4", "--out", tmp_path, "--json")
    innerloop(monkeypatch, *words, *more)
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "results.json").read_text())


@pytest.mark.skipif(shutil.which("script") is None, reason="there is no terminal to be had")
def test_help_has_no_colours_where_none_are_asked_for():
    def printed(**environment):
        command = f"{sys.executable} -m innerloop show --help"
        run = ["script", "-qec", command, "/dev/null"]
        given = {**os.environ, "TERM": "xterm", **environment}
        given = {name: each for name, each in given.items() if each is not None}
        return subprocess.run(run, capture_output=True, text=True, env=given, check=True).stdout

    assert "\x1b[" in printed(NO_COLOR=None)
    assert "\x1b[" not in printed(NO_COLOR="1")


def test_the_completion_script_completes(monkeypatch, capsys, tmp_path):
    innerloop(monkeypatch, "completion", "bash")
    path = tmp_path / "completion.sh"
    path.write_text(capsys.readouterr().out)

    def complete(*words):
        quoted = " ".join(f"'{word}'" for word in words)
        source = (
            f"source {path}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _innerloop; "
            "echo ${COMPREPLY[@]}"
        )
        return subprocess.run(["bash", "-c", source], capture_output=True, text=True).stdout.split()

    assert complete("innerloop", "sh") == ["show"]
    assert complete("innerloop", "fewshot", "ev") == ["evaluate"]
    assert "--horizon" in complete("innerloop", "compare", "--ho")
    assert complete("innerloop", "fewshot", "evaluate", "--epi") == ["--episodes"]
