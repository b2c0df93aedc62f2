"""`innerloop train FILE.py:TASK` asks for a search, and `innerloop export` writes a program."""

import sys

import jax.numpy as jnp
import pytest

import innerloop
from innerloop import SearchSettings
from innerloop.cli import main
from innerloop.cli._search import is_search


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["innerloop", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as stopped:
            code = stopped.code or 0
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("mine.py:Own", True),
        ("mine.py:Own --minutes 3 --horizon 50 --seed 1 --task.size 3 --resume", True),
        ("mine.py:Own --minutes=3 --out runs/x", True),
        ("mine.py:Own --rule lstm", False),
        ("mine.py:Own --rule.hidden 3", False),
        ("mine.py:Own --steps 5", False),
        ("mine.py:Own --init-from lstm-mnist --minutes 3", False),
        ("quadratic --minutes 3", False),
        ("--config run.toml", False),
    ],
)
def test_what_asks_for_a_search(words, asked):
    assert is_search(words.split()) is asked


def test_the_command_line_is_what_the_search_is_asked(run, root, monkeypatch):
    asked = []

    def find(task, settings, **options):
        asked.append((task, settings, options))

    monkeypatch.setattr("innerloop.search.find_optimizer", find)
    task = f"{root}/examples/extension/task.py:Lines"
    words = (
        "--minutes",
        "3",
        "--horizon",
        "50",
        "--candidates",
        "start-bfgs",
        "--task.points",
        "5",
    )
    code, _, err = run("train", task, *words, "--out", "mine", "--resume")
    assert code == 0, err
    ((family, settings, options),) = asked
    assert settings == SearchSettings(minutes=3.0, horizon=50, candidates=("start-bfgs",))
    assert family.points == 5 and options["resume"] and str(options["out"]) == "mine"
    assert options["description"]["command"].endswith("--task.points 5 --out mine --resume")


def test_the_help_of_a_task_is_that_of_the_search(run, root):
    code, out, _ = run("train", f"{root}/examples/sinusoid.py:Sinusoid", "--help")
    assert code == 0 and "--minutes" in out and "--steps" not in out


@pytest.mark.parametrize("kind", ["optax", "torch"])
def test_an_exported_file_names_rule_horizon_and_command(run, tmp_path, kind):
    told = {"search": {"horizon": 50, "command": "innerloop train x.py:'''Y"}}
    innerloop.save(innerloop.LBFGSRule(0.5), tmp_path / "mine" / "rule.safetensors", run=told)
    code, out, err = run("export", "mine", "--as", kind)
    assert code == 0 and "mine/optimizer.py" in out, err
    names = {}
    text = (tmp_path / "mine" / "optimizer.py").read_text()
    if kind == "torch":
        text = text.replace("import innerloop.torch", "")
    exec(compile(text, "optimizer.py", "exec"), names)
    assert names["HORIZON"] == 50 and names["MADE_BY"] == told["search"]["command"]
    if kind == "optax":
        optimizer, params = names["optimizer"](), jnp.asarray([3.0, 4.0])
        loss = jnp.ones(())
        updates, _ = optimizer.update(params, optimizer.init(params), params, value=loss)
        assert jnp.allclose(updates, jnp.asarray([-0.3, -0.4]))


def test_an_export_replaces_no_file_of_the_users_own(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "optimizer.py").write_text("mine = 1\n")
    code, _, err = run("export", "lstm-quadratic")
    assert code == 2 and "optimizer.py is there already" in err
    assert (tmp_path / "optimizer.py").read_text() == "mine = 1\n"
    assert run("export", "lstm-quadratic", "--out", "optimizer.py")[0] == 0
    assert run("export", "lstm-quadratic")[0] == 0  # An export may be renewed.


def test_without_a_rule_export_says_so(run):
    code, _, err = run("export")
    assert code == 2 and "Name the rule to export" in err
