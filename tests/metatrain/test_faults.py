"""Runs are killed, stopped, damaged and robbed of their disk, and nothing is lost."""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers import metrics

SCRIPT = Path(__file__).with_name("faults.py")
TRAIN = [
    *("train", "quadratic", "--steps", "240", "--estimator.meta-batch-size", "4"),
    *("--estimator.horizon", "4", "--estimator.truncation", "2", "--rule.hidden", "4"),
    *("--validate-every", "12", "--checkpoint-every", "4"),
    *("--devices", "1"),
]
SHORT = [*TRAIN[:2], "--steps", "12", *TRAIN[4:]]
PATIENCE = 120  # Seconds, on a busy machine.


def few_shot(images):
    return [
        *("fewshot", "train", "protonet", "--data", images, "--data.side", "16", "--way", "2"),
        *("--training-way", "2", "--queries", "2", "--steps", "120", "--validate-every", "12"),
        *("--validation-problems", "4", "--checkpoint-every", "4", "--backbone.filters", "3"),
        *("--devices", "1"),
    ]


def end(process):
    """(exit status, everything that was printed)"""
    printed, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, " ".join(printed.split())


def wait_for(process, sign):
    for line in process.stdout:
        if sign in line:
            return
    raise AssertionError(f"it ended without '{sign}'")


def weights(folder):
    (file,) = folder.glob("*.safetensors")
    return file.read_bytes()


def kill_when(process, happened):
    """SIGKILL at the moment that `happened()`, or not at all if the run is over before."""
    while process.poll() is None and not happened():
        time.sleep(0.001)
    process.kill()
    process.wait()


def resumed(start, command, folder):
    """Go on after a kill, or begin again where there was nothing yet; to the end."""
    begun = (folder / "run.toml").exists()
    status, printed = end(start(*command, "--out", folder, *(["--resume"] if begun else [])))
    assert status == 0, printed


def moments(kills, folder, seconds, seed=0):
    """What to wait for in each of so many runs: half of them are killed while they write."""
    draw = random.Random(seed)
    began = []

    def time_is_up(after):
        def happened():
            began.append(time.monotonic())
            return time.monotonic() - began[0] > after

        return happened

    def writing(name, nth, delay):
        seen, at = set(), []

        def happened():
            # While Orbax writes, the folder has another name.
            seen.update(path.name for path in folder.glob(name))
            if len(seen) >= nth:
                at.append(time.monotonic())
            return bool(at) and time.monotonic() - at[0] >= delay

        return happened

    for number in range(kills):
        began.clear()
        if number % 2:
            yield time_is_up(draw.uniform(0, seconds))
        else:
            yield writing("checkpoints/*tmp*", draw.randint(1, 20), draw.uniform(0, 0.03))


def killed_and_resumed(start, command, tmp_path, kills):
    """How many of so many killed runs ended as the one that was left alone."""
    if kills > 1:  # Compile, so that the next run takes as long as those that are killed.
        assert end(start(*command, "--out", tmp_path / "warm"))[0] == 0
    began = time.monotonic()
    assert end(start(*command, "--out", tmp_path / "whole"))[0] == 0
    seconds = time.monotonic() - began
    equal = 0
    for number, moment in enumerate(moments(kills, tmp_path / "killed", seconds)):
        folder = tmp_path / "killed"
        shutil.rmtree(folder, ignore_errors=True)
        kill_when(start(*command, "--out", folder), moment)
        resumed(start, command, folder)
        same_metrics = metrics(folder) == metrics(tmp_path / "whole")
        same_weights = weights(folder) == weights(tmp_path / "whole")
        assert same_metrics and same_weights, f"kill {number}: {same_metrics=}, {same_weights=}"
        equal += 1
    return equal


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_writes_ends_as_if_left_alone(start, tmp_path):
    assert killed_and_resumed(start, TRAIN, tmp_path, 1) == 1


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_bit(start, tmp_path):
    assert killed_and_resumed(start, TRAIN, tmp_path, 20) == 20


@pytest.mark.slow
def test_twenty_kills_of_few_shot_training_change_no_bit(start, images, tmp_path):
    assert killed_and_resumed(start, few_shot(images), tmp_path, 20) == 20


@pytest.fixture(scope="module")
def whole(environment, tmp_path_factory):
    """The short run, left alone."""
    folder = tmp_path_factory.mktemp("whole")
    words = [sys.executable, SCRIPT, "none", *SHORT, "--out", folder]
    subprocess.run(words, env=environment, check=True, capture_output=True)
    return folder


def continues(start, whole, folder):
    status, printed = end(start(*SHORT, "--out", folder.name, "--resume"))
    assert status == 0, printed
    assert metrics(folder) == metrics(whole)
    assert weights(folder) == weights(whole)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_asked_to_stop_saves_after_this_meta_step(start, whole, tmp_path, number):
    process = start(*SHORT, "--out", "run", fault="slow-validation")
    wait_for(process, "waiting")
    process.send_signal(number)
    status, printed = end(process)
    assert status == 130
    assert "Stopped at meta-step 12 of 12; to continue, run: innerloop" in printed
    assert printed.endswith("--resume")  # And no full stop, which would be copied with it.
    assert (tmp_path / "run" / "checkpoints" / "12").is_dir()
    continues(start, whole, tmp_path / "run")


@pytest.mark.parametrize(
    "fault", ["long-validation", pytest.param("slow-step", marks=pytest.mark.slow)]
)
def test_a_run_that_is_asked_twice_ends_at_once_with_its_last_checkpoint(
    start, whole, tmp_path, fault
):
    process = start(*SHORT, "--out", "run", fault=fault)
    wait_for(process, "waiting")
    process.send_signal(signal.SIGINT)
    wait_for(process, "a second time stops at once")
    process.send_signal(signal.SIGTERM)
    status, printed = end(process)
    assert status == 130 and "topped at once" in printed and "Traceback" not in printed
    continues(start, whole, tmp_path / "run")


def test_a_full_disk_ends_the_run_with_what_is_there_to_go_on_from(start, whole, tmp_path):
    status, printed = end(start(*SHORT, "--out", "run", fault="full-disk"))
    assert status == 2
    # TensorStore's own threads may print what befell them before.
    assert "innerloop: Cannot write" in printed and "File too large" in printed
    status, printed = end(start(*SHORT, "--out", "run", "--resume"))
    assert status == 0, printed
    assert metrics(tmp_path / "run") == metrics(whole)
    assert weights(tmp_path / "run") == weights(whole)


def test_a_folder_that_vanishes_ends_the_run(start):
    status, printed = end(start(*SHORT, "--out", "run", fault="gone-folder"))
    assert status == 2 and "innerloop: Cannot write" in printed and "Traceback" not in printed


def test_a_folder_that_cannot_be_written_to_is_refused_at_once(start):
    status, printed = end(start(*SHORT, "--out", "/proc/run"))
    assert status == 2 and "Cannot write to the folder /proc/run" in printed


def test_a_second_process_that_resumes_the_same_run_is_refused(start, tmp_path):
    first = start(*SHORT, "--out", "run", fault="long-validation")
    wait_for(first, "waiting")
    before = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    status, printed = end(start(*SHORT, "--out", "run", "--resume"))
    assert status == 2 and "Another process is training in run" in printed
    assert first.poll() is None
    after = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert [name.split(".")[0] for name in before] == after
