"""Every command, fed files and folders of somebody who means harm, and watched while it runs."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import SHAPE, learner, lstm
from innerloop import save
from innerloop.cli import COMMANDS
from innerloop.fewshot import TrainingData, save as save_learner

CODE = "from pathlib import Path\nPath(r'{}').write_text('ran')\nT = NAME = Quadratic = 1\n"
ESCAPE = "\x1b]0;owned\x07$x_{"
TINY = [
    *("--steps", "1", "--validation-problems", "2", "--estimator.meta-batch-size", "2"),
    *("--estimator.horizon", "2", "--estimator.truncation", "2"),
]
SMALL = ["--problems", "2", "--horizon", "2", "--validation-problems", "2"]
SMALL += ["--grid.low", "0.01", "--grid.high", "0.1", "--baselines", "sgd"]
EPISODES = ["--episodes", "2"]
LOOP = ["--steps", "1", "--meta-batch-size", "1", "--validation-problems", "1", "--queries", "1"]


class Evil:
    """A pickle that runs code where it is read."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.fixture
def place(tmp_path):
    """hostile/: files to be fed; victim/: to stay as it is; work/: where the commands run."""
    for name in ("hostile", "victim", "work", "cache"):
        (tmp_path / name).mkdir()
    (tmp_path / "victim" / "thesis").write_text("years of work")
    (tmp_path / "victim" / "1").mkdir()
    (tmp_path / "victim" / "1" / "data").write_text("more work")
    code = CODE.format(tmp_path / "victim" / "ran")
    for folder in ("hostile", "work"):
        for name in ("task", "quadratic", "conftest", "sitecustomize", "beside", "protonet"):
            (tmp_path / folder / f"{name}.py").write_text(code)
    return tmp_path


def images(folder, names=("a", "b"), count=3):
    random = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (16, 16)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def spoil(folder, place):
    """Add to a folder of images what its reader should not touch."""
    (folder / "a" / "link.png").symlink_to(place / "victim" / "thesis")
    (folder / "a" / "code.py").write_text((place / "hostile" / "task.py").read_text())
    (folder / "a" / "evil.png").write_bytes(pickle.dumps(Evil()))
    (folder / "a" / f"=cmd{ESCAPE}.png").write_bytes((folder / "a" / "0.png").read_bytes())


@pytest.fixture
def watch(place, pytestconfig):
    """A function that runs commands in the order given, and says what each printed and did."""
    compiled = str(pytestconfig.cache.mkdir("jax-commands"))
    return lambda commands: _watch(place, commands, compiled)


def _watch(place, commands, compiled):
    work = place / "work"
    own = [work, place / "cache", place / "hostile" / "run", compiled]
    plan = {"commands": commands, "hostile": str(place), "allowed": list(map(str, own))}
    (place / "plan.json").write_text(json.dumps(plan))
    script = Path(__file__).with_name("watched.py")
    # No home, and caches of its own: whatever is written elsewhere is seen.
    environment = {
        **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
        "XDG_CACHE_HOME": str(place / "cache"),
        "MPLCONFIGDIR": str(place / "cache"),
        "TMPDIR": str(place / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_COMPILATION_CACHE_DIR": compiled,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    done = subprocess.run(
        [sys.executable, str(script), str(place / "plan.json")],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def check(place, found):
    """No command did what is forbidden, ended otherwise than by 0 or 2, or spoke in escapes."""
    for each in found:
        assert each["events"] == [], each
        assert each["status"] in (0, 2), each
        printed = each["printed"]
        assert "Traceback" not in printed, printed
        # Rich may move its bar; nobody's name may.
        assert "\x1b" not in printed and "owned\x07" not in printed, printed
    victim = place / "victim"
    left = {path.relative_to(victim).as_posix() for path in victim.rglob("*")}
    assert left == {"thesis", "1", "1/data"}
    assert (victim / "thesis").read_text() == "years of work"
    assert (victim / "1" / "data").read_text() == "more work"


def hostile_rules(place):
    """Rules whose headers name code, other folders, and what a terminal obeys."""
    files = []
    code = str(place / "hostile" / "task.py")
    for number, run in enumerate(
        [
            {"task": {"name": f"{code}:T", "settings": {}}, "source": f"{code}:T"},
            {"experiment": "task.py:T", "seed": 0, "training": {}},
            {"task": {"name": f"quadratic{ESCAPE}", "settings": {}}},
            {"task": {"name": "neural-art", "settings": {"style": "../../victim/thesis"}}},
            {
                "task": {"name": "quadratic", "settings": {"dimension": 2}},
                "rule": {"name": f"{code}:T"},
                "init_from": str(place / "victim" / "thesis"),
                "rule_parts": [ESCAPE],
            },
        ]
    ):
        files.append(save(lstm(), place / "hostile" / f"{number}{ESCAPE}.safetensors", run=run))
    return list(map(str, files))


def hostile_run(place):
    """A run's folder with links out of it wherever something is read, written or deleted."""
    run = place / "hostile" / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "1").symlink_to(place / "victim" / "1")
    linked = (
        "optimizer.py",
        "metrics.jsonl",
        "results.json",
        "report.html",
        "curves.png",
        "inspect.png",
        ".lock",
    )
    for name in linked:
        (run / name).symlink_to(place / "victim" / "thesis")
    for name in ("rule.safetensors.partial", "run.toml.partial", "learner.safetensors.partial"):
        (run / name).symlink_to(place / "victim" / "thesis")
    (run / "tensorboard").symlink_to(place / "victim")
    code = place / "hostile" / "task.py"
    (run / "run.toml").write_text(
        f'seed = 0\ninit_from = "{code}"\n[task]\nname = "{code}:T"\n[rule]\nname = "{code}:T"\n'
    )
    save(lstm(), run / "rule.safetensors", run={"task": {"name": "quadratic", "settings": {}}})
    return str(run)


def test_commands_for_optimizers_do_no_harm(place, watch):
    rules, run = hostile_rules(place), hostile_run(place)
    # Folders of shipped rules' and tasks' names in the present one.
    for name in ("lstm-quadratic", "lstm-mnist", "quadratic"):
        shadow = place / "work" / name / "rule.safetensors"
        save(lstm(), shadow, run={"experiment": "task.py:T", "task": {"name": "task.py:T"}})
    data = place / "hostile" / "data"
    data.mkdir()
    for name in ("train-images-idx3-ubyte", "cifar-10-python.tar.gz", "vgg16.npz"):
        (data / name).write_bytes(pickle.dumps(Evil()))
    commands = [
        ["list"],
        ["reproduce", "list"],
        *(["inspect", rule] for rule in rules),
        *(["inspect", rule, "--task", "quadratic", "--steps", "2"] for rule in [*rules[:1], run]),
        ["inspect", "lstm-quadratic"],
        ["inspect", run, "--task", "quadratic", "--steps", "2", "--out", run],
        ["compare", *rules[:2], "--task", "quadratic", *SMALL],
        ["compare", run, "--task", "quadratic", *SMALL, "--out", run],
        ["compare", run, "--config", f"{run}/run.toml"],
        ["train", "quadratic", *TINY, "--init-from", rules[0], "--out", "begun"],
        ["train", "quadratic", *TINY, "--out", run],
        ["train", "quadratic", *TINY, "--out", run, "--resume", "--tensorboard"],
        ["train", "--config", f"{run}/run.toml", "--out", "again"],
        ["train", "mnist", "--data-dir", str(data)],
        ["train", "cifar10", "--data-dir", str(data)],
        ["demo", "--out", run],
        ["show", run],
        ["watch", run],
        *(["push", rule, "./shared"] for rule in rules),
        ["push", run, run],
        ["push", rules[0], "innerloop/hub"],
        *(["export", rule, "--out", "exported.py"] for rule in rules),
        ["export", run, "--as", "torch"],
        ["benchmark", rules[0], "--suite", "velodrome", "--data-dir", str(data), "--out", run],
        ["completion", "bash"],
        ["reproduce", "andrychowicz2016-fig4", "--data-dir", str(data), "--out", run],
    ]
    assert set(COMMANDS) == {words[0] for words in commands} | {"fewshot"}
    found = watch(commands)
    check(place, found)
    status = {" ".join(each["words"][:2]): each["status"] for each in found}
    assert status["list"] == 0 and status["compare " + rules[0]] == 0


def test_commands_for_few_shot_learning_do_no_harm(place, watch):
    hostile, run = place / "hostile", hostile_run(place)
    images(hostile / "images", [*"abcdefghijkl"])
    images(hostile / "spoilt", [*"abcdef"])
    spoil(hostile / "spoilt", place)
    (hostile / "spoilt" / "linked").symlink_to(place / "victim")
    images(hostile / "queries", ["a"])
    spoil(hostile / "queries", place)
    with zipfile.ZipFile(hostile / "images.zip", "w") as archive:
        for path in (hostile / "images").rglob("*.png"):
            archive.write(path, path.relative_to(hostile / "images").as_posix())
        archive.writestr("../../victim/thesis", "gone")
        for number in range(3):
            archive.write(hostile / "images" / "a" / "0.png", f"{ESCAPE}/=1+1{number}.png")
    names = []
    for number, data in enumerate(
        [
            TrainingData(name="../../victim/x", dataset="class-folders", settings={"path": "/"}),
            TrainingData(name=ESCAPE, dataset=f"{hostile}/task.py:T"),
            TrainingData(name="$", dataset="omniglot", settings={"data_dir": str(hostile)}),
        ]
    ):
        mine = learner("meta-lstm" if number else "protonet", shape=SHAPE)
        path = hostile / f"{number}.safetensors"
        names.append(str(save_learner(mine, path, data=data, run={"init_from": ESCAPE})))
    folder = str(hostile / "images")
    data = ["--data", folder, "--data.side", "16", "--data.grey", "--way", "2", "--shot", "1"]
    net = ["--backbone.filters", "3", "--backbone.blocks", "1"]
    show = ["--support", folder, "--query", str(hostile / "queries")]
    commands = [
        ["list"],
        *(["evaluate", name, *EPISODES, "--queries", "1"] for name in names),
        *(["gates", name, "--episodes", "1"] for name in names),
        ["evaluate", names[0], *EPISODES, "--queries", "1", "--data", folder],
        ["evaluate", names[0], *EPISODES, "--queries", "1", "--data", f"{folder}.zip"],
        ["evaluate", names[0], *EPISODES, "--queries", "1", "--data", folder, "--out", run],
        ["evaluate", names[0], *EPISODES, "--queries", "1", "--data", str(hostile / "spoilt")],
        ["adapt", names[0], *show],
        ["adapt", names[0], *show, "--format", "json", "--out", run],
        ["train", "protonet", *data, *net, *LOOP, "--init-from", names[0], "--out", "begun"],
        ["train", "protonet", *data, *net, *LOOP, "--out", run],
        ["train", "protonet", *data, *net, *LOOP, "--out", run, "--resume"],
        ["train", "--config", f"{run}/run.toml", "--out", "again"],
        ["demo", "--out", run],
    ]
    found = watch([["fewshot", *words] for words in commands])
    check(place, found)
    ended = {each["words"][1]: each["status"] for each in found if "run" not in each["words"][-1]}
    assert ended["adapt"] == ended["list"] == 0


def test_what_is_forbidden_is_seen(place, watch):
    """The watch itself: a file that the user names is code, and its folder is not allowed."""
    task = f"{place}/hostile/task.py:T"
    out = str(place / "victim" / "out")
    ran, wrote = watch(
        [["train", task, *TINY], ["inspect", "lstm-quadratic", "--steps", "2", "--out", out]]
    )
    assert any(event.startswith("exec ") and "task.py" in event for event in ran["events"])
    assert any(event.startswith("open ") and "victim/ran" in event for event in ran["events"])
    assert any("victim/out" in event for event in wrote["events"])
