"""One run on many devices, and in two processes that speak over the loopback."""

import shutil
import signal
import socket
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from helpers import metrics

TRAIN = [
    *("train", "quadratic", "--steps", "50", "--estimator.meta-batch-size", "16"),
    *("--estimator.horizon", "20", "--estimator.truncation", "10"),
    *("--validate-every", "25", "--checkpoint-every", "25"),
]


def together(processes):
    """The last words of processes that all end well."""
    printed = [process.communicate(timeout=240)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes), printed
    return printed


def hosts(number, port):
    return [
        ("--coordinator", f"127.0.0.1:{port}", "--num-processes", number, "--process-id", each)
        for each in range(number)
    ]


@pytest.fixture
def port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def assert_near(folder, other):
    """The norm of the weights' difference over the norm is below one rounding a meta-step."""
    one, two = (load_file(each / "rule.safetensors") for each in (folder, other))
    apart = sum(np.sum((one[name].astype(np.float64) - two[name]) ** 2) for name in one) ** 0.5
    whole = sum(np.sum(two[name].astype(np.float64) ** 2) for name in two) ** 0.5
    assert apart / whole < 50 * np.finfo(np.float32).eps, apart / whole


@pytest.mark.slow
def test_eight_devices_equal_one_and_a_run_goes_on_with_fewer(start, tmp_path):
    together([start(*TRAIN, "--out", "one", "--devices", 1)])
    together([start(*TRAIN, "--out", "eight", "--devices", 8)])
    assert_near(tmp_path / "eight", tmp_path / "one")
    # Back to the checkpoint in the middle, as a run that was killed there.
    shutil.rmtree(tmp_path / "eight" / "checkpoints" / "50")
    together([start(*TRAIN, "--out", "eight", "--devices", 1, "--resume")])
    assert_near(tmp_path / "eight", tmp_path / "one")


@pytest.mark.slow
def test_two_processes_equal_one_and_write_once(start, tmp_path, port):
    together([start(*TRAIN, "--out", "one", "--devices", 1)])
    options = ("--out", "two", "--devices", 2)
    first, second = together([start(*TRAIN, *options, *each) for each in hosts(2, port)])
    assert_near(tmp_path / "two", tmp_path / "one")
    assert "The best rule is in two" in first and "best rule" not in second
    steps = [line["step"] for line in metrics(tmp_path / "two")]
    assert steps == sorted(set(steps)) == [line["step"] for line in metrics(tmp_path / "one")]
    assert {path.name for path in (tmp_path / "two" / "checkpoints").iterdir()} == {"25", "50"}


@pytest.mark.slow
def test_episodes_are_shared_out_between_two_processes_too(start, images, tmp_path, port):
    train = [
        *("fewshot", "train", "maml", "--data", images, "--data.side", "16", "--way", "2"),
        *("--queries", "2", "--meta-batch-size", "2", "--steps", "20", "--validate-every", "10"),
        *("--validation-problems", "3", "--backbone.filters", "3", "--devices", "1"),
    ]
    together([start(*train, "--out", "one")])
    together([start(*train, "--out", "two", *each) for each in hosts(2, port)])
    lines = zip(metrics(tmp_path / "one"), metrics(tmp_path / "two"), strict=True)
    for one, two in lines:
        assert one.keys() == two.keys()
        np.testing.assert_allclose(list(one.values()), list(two.values()), rtol=1e-3)


@pytest.mark.slow
def test_a_process_that_dies_takes_the_run_down_and_the_run_resumes(start, tmp_path, port):
    long = [*TRAIN[:2], "--steps", "100000", *TRAIN[4:], "--out", "run", "--devices", 1]
    long[long.index("25")] = "1000"  # Validations, which are of no interest here.
    first, second = (start(*long, *each) for each in hosts(2, port))
    checkpoints = tmp_path / "run" / "checkpoints"
    wait_until(lambda: any(path.name.isdecimal() for path in folders(checkpoints)), first)
    second.send_signal(signal.SIGKILL)
    began = time.monotonic()
    printed, _ = first.communicate(timeout=60)
    assert time.monotonic() - began < 60
    printed = " ".join(printed.split())
    # JAX watches the processes too, and where it is the first to see it ends them all in its words.
    ours = first.returncode == 2 and "another process of the run was gone" in printed
    jaxs = first.returncode == -signal.SIGABRT and "another task died" in printed
    assert ours or jaxs, (first.returncode, printed)
    # Alone it goes on, and stops when it is asked to.
    last = max(int(path.name) for path in folders(checkpoints) if path.name.isdecimal())
    alone = start(*long, "--resume")
    further = lambda: any(  # noqa: E731
        path.name.isdecimal() and int(path.name) > last for path in folders(checkpoints)
    )
    wait_until(further, alone)
    alone.send_signal(signal.SIGTERM)
    printed, _ = alone.communicate(timeout=60)
    assert alone.returncode == 130 and "Stopped at meta-step" in printed


@pytest.mark.slow
def test_one_process_that_is_asked_to_stop_stops_them_all(start, tmp_path, port):
    long = [*TRAIN[:2], "--steps", "100000", *TRAIN[4:], "--out", "run", "--devices", 1]
    long[long.index("25")] = "1000"
    processes = [start(*long, *each) for each in hosts(2, port)]
    checkpoints = tmp_path / "run" / "checkpoints"
    wait_until(lambda: any(path.name.isdecimal() for path in folders(checkpoints)), processes[0])
    processes[1].send_signal(signal.SIGTERM)
    printed = [" ".join(process.communicate(timeout=60)[0].split()) for process in processes]
    assert [process.returncode for process in processes] == [130, 130], printed
    last = max(int(path.name) for path in folders(checkpoints) if path.name.isdecimal())
    for words in printed:
        assert f"Stopped at meta-step {last} of" in words


def folders(path):
    return list(path.iterdir()) if path.is_dir() else []


def wait_until(happened, process, seconds=240):
    began = time.monotonic()
    while not happened():
        assert process.poll() is None and time.monotonic() - began < seconds
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--coordinator", "localhost:1234"), "num_processes and process_id are missing"),
        (
            ("--coordinator", "here", "--num-processes", "2", "--process-id", "0"),
            "it must be HOST:PORT",
        ),
        (
            ("--coordinator", "localhost:99999", "--num-processes", "2", "--process-id", "0"),
            "it must be HOST:PORT",
        ),
        (
            ("--coordinator", "localhost:1234", "--num-processes", "2", "--process-id", "2"),
            "it must be a whole number from 0 to 1",
        ),
        (("--scheduler", "--process-id", "2"), "give it or the three of them"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_begins(words, sentence, monkeypatch, capsys):
    from innerloop.cli import main

    monkeypatch.setattr(sys, "argv", ["innerloop", *TRAIN, *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2 and sentence in capsys.readouterr().err


def test_problems_that_the_devices_of_all_do_not_divide_are_refused(start, port):
    words = [*TRAIN, "--out", "run", "--devices", 1, "--estimator.meta-batch-size", 3]
    processes = [start(*words, *each) for each in hosts(2, port)]
    printed = "".join(process.communicate(timeout=120)[0] for process in processes)
    assert all(process.returncode for process in processes)
    assert "problems is 3; over the 2 devices of 2 processes" in " ".join(printed.split())
