"""What lies in a run's folder may be damaged, or come from anybody: read rightly, or refused."""

import json
import os
import shutil

import pytest

import innerloop
from helpers import lstm, metrics
from innerloop import (
    InnerloopError,
    Quadratic,
    RunOptions,
    TrainingSettings,
    TruncatedBackprop,
    train,
)
from innerloop.runtime.checkpoints import Checkpoints, _digests
from innerloop.runtime.metrics import Log
from innerloop.runtime.runfile import remember

LINES = [
    f'{{"step": {step}, "meta_loss": 0.5, "skipped": 0, "seconds": 0.1}}\n'.encode()
    for step in (1, 2, 3, 4)
]
DEEP = b"[" * 100_000 + b"]" * 100_000 + b"\n"
DAMAGED = {
    "a flipped bit": LINES[1].replace(b"meta", b"\xedeta"),
    "another flipped bit": LINES[1].replace(b'"step"', b'"ste`"'),
    "a flipped bit in the step": LINES[1].replace(b"2", b"6"),
    "a step that is no number": LINES[1].replace(b"2", b'"2"'),
    "half a step": LINES[1].replace(b"2", b"2.5"),
    "a step of NaN": LINES[1].replace(b"2", b"NaN"),
    "a step of many digits": LINES[1].replace(b"2", b"2" * 10_000),
    "no UTF-8": b"\xff\xfe\n",
    "zeros": b"\0" * len(LINES[1]) + b"\n",
    "no JSON": b"meta_loss=0.5\n",
    "no object": b"[2]\n",
    "a deep list": DEEP,
    "a deep object": b'{"step":' * 100_000 + b"\n",
    "an empty line": b"\n",
    "a line that is there twice": LINES[0],
}


def resumed(folder, step):
    with Log(folder, step, 9, progress=False, tensorboard=False):
        pass
    return (folder / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_line_of_metrics_is_named_and_nothing_is_lost(tmp_path, damage):
    content = b"".join([LINES[0], DAMAGED[damage], *LINES[2:]])
    (tmp_path / "metrics.jsonl").write_bytes(content)
    with pytest.raises(
        InnerloopError, match=r"metrics.jsonl is damaged in line [23].* remove the file"
    ):
        resumed(tmp_path, 4)
    assert (tmp_path / "metrics.jsonl").read_bytes() == content
    (tmp_path / "metrics.jsonl").unlink()
    assert resumed(tmp_path, 4) == b""


@pytest.mark.parametrize("damage", sorted({*DAMAGED} - {"a line that is there twice"}))
def test_what_comes_after_the_checkpoint_may_be_damaged(tmp_path, damage):
    (tmp_path / "metrics.jsonl").write_bytes(b"".join([*LINES[:2], LINES[3], DAMAGED[damage]]))
    assert resumed(tmp_path, 2) == b"".join(LINES[:2])


@pytest.mark.parametrize("rest", [b"", LINES[2][:20], b"\xff", b"\0" * 50, DEEP[:-1]])
def test_the_last_line_may_be_cut_short(tmp_path, rest):
    (tmp_path / "metrics.jsonl").write_bytes(b"".join(LINES[:2]) + rest)
    assert resumed(tmp_path, 2) == b"".join(LINES[:2])


RUN_FILES = {
    "a flipped bit": b"seed \xbd 0\n",
    "no TOML": b"seed",
    "nested too deep": b"seed = " + b"[" * 100_000,
    "nested too deep in tables": b"seed = " + b"{a=" * 100_000,
    "a number of many digits": b"seed = " + b"1" * 10_000,
    "cut short": b'[loop]\nname = "ab',
    "zeros": b"\0" * 20,
}


@pytest.mark.parametrize("damage", RUN_FILES)
def test_a_damaged_run_file_is_refused(tmp_path, damage):
    path = tmp_path / "run.toml"
    path.write_bytes(RUN_FILES[damage])
    with pytest.raises(InnerloopError, match=r"run\.toml is damaged"):
        remember(path, {"seed": 0}, resume=True)
    assert path.read_bytes() == RUN_FILES[damage]


@pytest.mark.parametrize("name", ["run.toml", "metrics.jsonl"])
def test_a_file_larger_than_any_of_ours_is_not_read(tmp_path, name):
    path = tmp_path / name
    path.touch()
    os.truncate(path, 1 << 40)  # Of which the disk holds nothing.
    with pytest.raises(InnerloopError, match=rf"{name}.* larger than"):
        if name == "run.toml":
            remember(path, {"seed": 0}, resume=True)
        else:
            resumed(tmp_path, 1)


def go(folder, *, resume=False, steps=2):
    settings = TrainingSettings(
        steps=steps, validate_every=1, validation_problems=2, log_every=1, checkpoint_every=1
    )
    estimator = TruncatedBackprop(meta_batch_size=2, horizon=2, truncation=2)
    options = RunOptions(out=folder, resume=resume, description={"seed": 0})
    return train(Quadratic(2), lstm(), settings=settings, estimator=estimator, options=options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run's folder, to be copied."""
    folder = tmp_path_factory.mktemp("whole")
    go(folder)
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def newest(run):
    return run / "checkpoints" / "2"


@pytest.mark.parametrize(
    "content", [DEEP, b"\xff", b"", b"[" * 1000, b'{"a":' * 100_000, b"1" * 9999]
)
def test_damaged_digests_are_damage(run, content):
    (newest(run) / "sha256.json").write_bytes(content)
    before = metrics(run)
    go(run, resume=True)
    assert metrics(run) == before  # Step 2 was made again, from the checkpoint of step 1.


def test_digests_larger_than_any_are_damage(run):
    os.truncate(newest(run) / "sha256.json", 1 << 40)
    go(run, resume=True)


def without_digests(folder):
    (folder / "sha256.json").unlink()


def flip(folder):
    """Change a bit of each large file: those hold the arrays."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size > 200 and path.name != "sha256.json":
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(bytes(data))


def test_a_newest_checkpoint_without_digests_is_not_trusted(run):
    without_digests(newest(run))
    flip(newest(run))
    before = metrics(run)
    go(run, resume=True)
    assert metrics(run) == before


@pytest.mark.parametrize("damage", [lambda folder: None, flip])
def test_where_no_checkpoint_has_digests_none_is_taken(run, damage):
    for step in (run / "checkpoints").iterdir():
        without_digests(step)
        damage(step)
    with pytest.raises(InnerloopError, match=r"No checkpoint in .* is whole"):
        go(run, resume=True)
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"1", "2"}


def test_an_older_checkpoint_without_digests_is_given_none(run):
    """They would say that it is whole, whatever was there."""
    without_digests(run / "checkpoints" / "1")
    with Checkpoints(run / "checkpoints", asked={"seed": 0}) as checkpoints:
        assert checkpoints.latest == 2
    assert not (run / "checkpoints" / "1" / "sha256.json").exists()


def test_a_checkpoint_whose_settings_are_no_settings_is_refused(run):
    """With digests that fit: from somebody else, and not from a bad disk."""
    for content in (b"\xff", b"seed = " + b"[" * 100_000):
        for step in (run / "checkpoints").iterdir():
            (step / "run.toml").write_bytes(content)
            (step / "sha256.json").write_text(json.dumps(_digests(step)))
        with pytest.raises(InnerloopError, match="damaged"):
            go(run, resume=True)


@pytest.mark.parametrize("name", ["rule.safetensors", "run.toml", "metrics.jsonl"])
def test_a_folder_in_a_files_place_is_a_sentence(run, name):
    (run / name).unlink()
    (run / name).mkdir()
    with pytest.raises(InnerloopError, match=name.replace(".", r"\.") + "|no training run"):
        go(run, resume=True, steps=2)
        innerloop.load(run)
