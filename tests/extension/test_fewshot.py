"""A backbone, a few-shot method and a dataset of one's own, with public names alone."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

import innerloop
from helpers import same, stop_after
from innerloop import fewshot

FOLDER = Path(__file__).parents[2] / "examples" / "extension"
SPECS = {
    name: f"{FOLDER / file}.py:{name}"
    for name, file in (("CosinePrototypes", "method"), ("Patches", "backbone"), ("Bars", "dataset"))
}


@pytest.fixture
def own(monkeypatch):
    """The three classes, as a script beside the files would import them."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import backbone
    import dataset
    import method

    return method.CosinePrototypes, backbone.Patches, dataset.Bars


def train(own, out, **options):
    method, backbone, bars = own
    data = bars(each=6)
    images = data.load("train")
    shape = fewshot.Shape(way=3, shot=1, side=16, channels=1, classes=len(images.counts))
    learner = method(
        shape,
        backbone(side=16, channels=1, units=8),
        method.Settings(sharpness=20.0),
        key=jax.random.key(0),
    )
    sampler, validation = (
        fewshot.EpisodeSampler(each, way=3, shot=1, queries=3)
        for each in (images, data.load("validation"))
    )
    settings = fewshot.EpisodeSettings(
        steps=6, validate_every=3, validation_problems=4, log_every=1, checkpoint_every=2
    )
    return fewshot.train(learner, sampler, validation, settings=settings, out=out, **options)


def test_the_examples_are_short_and_use_public_names_alone():
    for file in FOLDER.glob("*.py"):
        text = file.read_text()
        assert len(text.splitlines()) <= 40, file
        for names in re.findall(r"innerloop((?:\.\w+)+)", text):
            thing = innerloop
            for name in names.strip(".").split("."):
                assert not name.startswith("_") and name in dir(thing), names
                thing = getattr(thing, name)


@pytest.mark.slow
def test_from_python_it_is_trained_stopped_resumed_saved_and_loaded(own, tmp_path, monkeypatch):
    whole = train(own, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train(own, tmp_path / "parts")
    parts = train(own, tmp_path / "parts", resume=True)
    assert same(parts.rule, whole.rule) and same(fewshot.load(tmp_path / "parts"), whole.rule)

    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import innerloop\n"
        "from innerloop import fewshot\n"
        "try: fewshot.load(sys.argv[2]); raise SystemExit('loaded without its classes')\n"
        "except innerloop.InnerloopError as error: assert 'not registered' in str(error)\n"
        "import backbone, dataset, method, jax\n"
        "learner = fewshot.load(sys.argv[2])\n"
        "data = dataset.Bars(each=6).load('test')\n"
        "sampler = fewshot.EpisodeSampler(data, way=3, shot=1, queries=3)\n"
        "found = fewshot.evaluate(learner, sampler, key=jax.random.key(0), episodes=8)\n"
        "print(learner.settings.sharpness, learner.backbone.units, found.mean())\n"
    )
    found = python("-c", script, str(FOLDER), str(tmp_path / "parts"))
    sharpness, units, accuracy = found.stdout.split()
    assert (sharpness, units) == ("20.0", "8") and 0 <= float(accuracy) <= 1


def test_by_command_it_is_trained_killed_resumed_and_evaluated(tmp_path):
    words = [
        *("-m", "innerloop", "fewshot", "train", SPECS["CosinePrototypes"]),
        *("--backbone", SPECS["Patches"], "--backbone.units", "8", "--data", SPECS["Bars"]),
        *("--data.each", "6", "--way", "3", "--queries", "3", "--shift", "1", "--out", "mine"),
        *("--steps", "1200", "--checkpoint-every", "200", "--validate-every", "600"),
        *("--validation-problems", "4", "--meta-batch-size", "1"),
    ]
    with subprocess.Popen([sys.executable, *words], cwd=tmp_path) as process:
        while process.poll() is None and not list(tmp_path.glob("mine/checkpoints/[0-9]*")):
            time.sleep(0.02)
        assert process.poll() is None, "The run ended before it was killed."
        os.kill(process.pid, signal.SIGKILL)
    resumed = python(*words, "--resume", cwd=tmp_path)
    assert "after 1200 meta-steps" in resumed.stdout
    asked = ("-m", "innerloop", "fewshot", "evaluate", "mine", "--episodes", "20")
    lacking = python(*asked, cwd=tmp_path, code=2)
    assert "needs the method 'cosine-prototypes', which is not registered" in lacking.stderr
    files = ("--method", SPECS["CosinePrototypes"], "--backbone", SPECS["Patches"])
    python(*asked, *files, "--queries", "3", "--data", SPECS["Bars"], "--out", "out", cwd=tmp_path)
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert found["method"] == "cosine-prototypes" and found["data"] == "bars"
    assert found["accuracy"] > 0.5  # By chance it would be a third.


def python(*words, cwd=None, code=0):
    done = subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done
