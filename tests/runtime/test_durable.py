"""What is said to be on the disk is on the disk, whole, before anything relies on it."""

import os
from pathlib import Path

import pytest

from helpers import lstm, metrics
from innerloop import Quadratic, TrainingSettings, TruncatedBackprop, train
from innerloop.runtime.files import replace_bytes, write_output


@pytest.fixture
def synced(monkeypatch):
    """What was handed to the disk: (inode, size, what `look` saw at that moment)."""
    seen, fsync = [], os.fsync

    def watched(descriptor):
        fsync(descriptor)
        status = os.fstat(descriptor)
        seen.append((status.st_ino, status.st_size, watched.look()))

    watched.look = lambda: None
    monkeypatch.setattr(os, "fsync", watched)
    return watched, seen


def test_a_file_is_replaced_and_not_written_in_place(tmp_path):
    path, former = tmp_path / "file", tmp_path / "former"
    path.write_bytes(b"before")
    former.hardlink_to(path)
    replace_bytes(path, b"after")
    assert path.read_bytes() == b"after" and former.read_bytes() == b"before"
    assert {each.name for each in tmp_path.iterdir()} == {"file", "former"}


@pytest.mark.parametrize("write", [replace_bytes, write_output])
def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, synced, write):
    watched, seen = synced
    path = tmp_path / "file"
    watched.look = path.exists
    write(path, b"content")
    assert seen == [(path.stat().st_ino, len(b"content"), False)]


def test_metrics_are_on_the_disk_before_the_checkpoint_after_them(tmp_path, synced):
    watched, seen = synced
    file, checkpoints = tmp_path / "metrics.jsonl", tmp_path / "checkpoints"

    def look():
        lines = metrics(tmp_path) if file.exists() else []
        return len(lines), [Path(each).name for each in checkpoints.glob("[0-9]*")]

    watched.look = look
    settings = TrainingSettings(
        steps=2, validate_every=2, validation_problems=2, log_every=1, checkpoint_every=1
    )
    estimator = TruncatedBackprop(meta_batch_size=2, horizon=2, truncation=2)
    train(Quadratic(2), lstm(), settings=settings, estimator=estimator, out=tmp_path)
    at = [what for inode, _, what in seen if inode == file.stat().st_ino and what[0]]
    assert [lines for lines, _ in at] == [1, 2]
    # The name that Orbax gives a folder that it has not finished is longer.
    assert "1" not in at[0][1] and "2" not in at[1][1]
