"""One meta-step on so many devices, and in two processes: `python hosts.py` prints a table.

Quadratics, 128 problems of 10 dimensions, the paper's LSTM, windows of 20 steps. The devices are
simulated, all on the cores of one machine, so that what is seen is what sharing out costs; every
case is run three times by turns, and the median of its times counts. Writes results.json into
runs/hosts.
"""

import itertools
import json
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

OUT = Path("runs/hosts")
CASES = {"1": (1, 1), "2": (2, 1), "4": (4, 1), "8": (8, 1), "two processes of 1": (1, 2)}
TURNS = 3
STEPS, EVERY = 120, 20


def worker(devices: int, out: str, port: int, processes: int, index: int) -> None:
    from innerloop.runtime.devices import split_cores
    from innerloop.runtime.hosts import join_hosts

    split_cores(devices)
    if processes > 1:
        join_hosts(f"127.0.0.1:{port}", processes, index)

    from innerloop import Quadratic, TrainingSettings, train

    settings = TrainingSettings(
        steps=STEPS, log_every=EVERY, validate_every=10 * STEPS, checkpoint_every=None
    )
    train(Quadratic(), settings=settings, out=out)


def milliseconds(devices: int, processes: int) -> float:
    """The median time of a meta-step, of those after the first ones."""
    with socket.socket() as listener, tempfile.TemporaryDirectory() as out:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        listener.close()
        words = [sys.executable, __file__, devices, out, port, processes]
        started = [
            subprocess.Popen(list(map(str, [*words, index])), stderr=subprocess.DEVNULL)
            for index in range(processes)
        ]
        assert all(process.wait() == 0 for process in started)
        lines = (Path(out) / "metrics.jsonl").read_text().splitlines()
    seconds = [json.loads(line)["seconds"] for line in lines][:-1]  # The last has a validation.
    each = [after - before for before, after in itertools.pairwise(seconds)]
    return 1000 * statistics.median(each) / EVERY


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(TURNS):
        for name, case in CASES.items():
            times[name].append(milliseconds(*case))
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "results.json").write_text(json.dumps(times, indent=1) + "\n")
    print("| devices | ms a meta-step | of one device's |\n|---|---|---|")
    one = statistics.median(times["1"])
    for name, each in times.items():
        middle = statistics.median(each)
        print(
            f"| {name} | {middle:.1f} ({min(each):.1f} to {max(each):.1f}) | {middle / one:.2f} |"
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        devices, out, port, processes, index = sys.argv[1:]
        worker(int(devices), out, int(port), int(processes), int(index))
    else:
        main()
