"""Choose among the checkpoints of a training of the general rule, by problems it never saw.

    python tools/select_general.py runs/general --keep chosen.safetensors
    python tools/select_general.py runs/general --at 6000 8000 --probes wide long
    python tools/select_general.py --rules runs/general-schedule chosen.safetensors

A rule runs on each of `general_probes.PROBES`, told the number of steps, and with the first
schedule where it has none that is learned. Its number on a probe is log(loss / loss of tuned Adam):
the mean losses of the run's last twentieth, between −3 and 3. The least mean over the probes is the
best. Adam has a cosine and is tuned once, on the same problem; what it gave is kept in a file. The
scoreboard's suites take no part in the choice.
"""

import argparse
import functools
import json
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from general_probes import PROBES, Probe

from innerloop import OptaxRule, Rule, TaskFamily, evaluate, load, save
from innerloop.experiments import RunSettings
from innerloop.experiments.make import make_rule
from innerloop.rules import ScheduledGeneralRule
from innerloop.runtime.checkpoints import peek, steps_in
from innerloop.runtime.runfile import FILE, parse
from innerloop.runtime.settings import from_dict

RATES = [10 ** (k / 2 - 3.5) for k in range(5)]
_MOST = 3.0
_END = 0.05  # The part of a run whose losses count.


def main() -> None:
    asked = arguments()
    rules = dict(entrants(asked.run, asked.at, asked.count)) | {
        name: ScheduledGeneralRule.around(load(name)) for name in asked.rules
    }
    if not rules:
        raise SystemExit("Name a run's folder, or --rules.")
    rows: dict[str, list[float]] = {name: [] for name in rules}
    for name in asked.probes:
        probe, began = PROBES[name], time.process_time()
        task = probe.make(asked.data)
        adam = adams_end(name, probe, task, asked.kept, asked.seeds)
        for rule in rules:
            end = ends(rules[rule].with_horizon(probe.steps), probe, task, asked.seeds)
            rows[rule].append(score(end, adam))
            print(f"  {name}: {rule} {np.mean(end):.4g}, Adam {np.mean(adam):.4g}", flush=True)
        print(f"  {name}: {time.process_time() - began:.0f} s of the processor", flush=True)
    print("| rule | " + " | ".join([*asked.probes, "mean"]) + " |")
    print("|---" * (len(asked.probes) + 2) + "|")
    for rule, row in rows.items():
        print(f"| {rule} | " + " | ".join(f"{each:.3f}" for each in [*row, np.mean(row)]) + " |")
    best = min(rows, key=lambda rule: float(np.mean(rows[rule])))
    print(f"The best is {best}.")
    if asked.keep is not None:
        save(rules[best], asked.keep, run={"chosen": best, "probes": list(asked.probes)})
        print(f"It is in {asked.keep}.")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, nargs="?", help="the folder of a training run")
    parser.add_argument("--at", type=int, nargs="*", help="meta-steps; none for `count` of them")
    parser.add_argument("--count", type=int, default=5, help="checkpoints of the last half")
    parser.add_argument("--rules", nargs="*", default=[], help="files or folders of rules")
    parser.add_argument("--probes", nargs="*", default=list(PROBES), choices=list(PROBES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="the file that the best is written to")
    parser.add_argument("--kept", type=Path, default=Path("runs/general-probes.json"))
    parser.add_argument("--data", help="the folder that holds the data")
    return parser.parse_args()


def entrants(
    run: Path | None, at: list[int] | None, count: int
) -> Iterable[tuple[str, ScheduledGeneralRule]]:
    """The rules of a run's checkpoints, with the first schedule where they have none."""
    if run is None:
        return
    described = parse((run / FILE).read_text())
    # Only its structure matters.
    like = make_rule(from_dict(RunSettings, {**described, "init_from": None}))
    folder = run / "checkpoints"
    for step in at or spread(steps_in(folder), count):
        yield f"meta-step {step}", ScheduledGeneralRule.around(peek(folder, step, like))


def spread(steps: list[int], count: int) -> list[int]:
    """`count` of the last half of some steps, evenly, with the last one."""
    half = steps[len(steps) // 2 :]
    places = np.linspace(len(half) - 1, 0, min(count, len(half))).round().astype(int)
    return sorted(half[place] for place in places)


def ends(rule: Rule, probe: Probe, task: TaskFamily, seeds: int) -> list[float]:
    """The mean losses at the ends of runs; infinite where one is not finite."""
    key = jax.random.key(0)
    losses = evaluate(rule, task, key=key, problems=seeds, marks=(probe.steps,)).losses
    found = losses[-max(1, int(_END * probe.steps)) :].mean(axis=0, dtype=float)
    return [float(each) if np.isfinite(each) else math.inf for each in found]


def adams_end(name: str, probe: Probe, task: TaskFamily, kept: Path, seeds: int) -> list[float]:
    """The ends of Adam's runs at its best rate: those in the file, or new ones."""
    known: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    what = f"{name} {probe.steps} steps {seeds} seeds"
    if what not in known:
        make = functools.partial(falling_adam, probe.steps)
        rules = {rate: OptaxRule(make, rate) for rate in RATES}
        found = {rate: ends(rule, probe, task, seeds) for rate, rule in rules.items()}
        best = min(found, key=lambda rate: float(np.mean(found[rate])))
        known[what] = {"rate": best, "ends": found[best]}
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(known, indent=1))
    return known[what]["ends"]


def falling_adam(steps: int, rate: Any) -> optax.GradientTransformation:
    """Adam whose rate falls to 0 along a cosine."""
    return optax.adam(optax.cosine_decay_schedule(rate, steps))


def score(ends: list[float], adam: list[float]) -> float:
    """The mean over seeds of log(loss / Adam's), bounded."""
    with np.errstate(divide="ignore"):
        ratios = np.log(np.asarray(ends)) - np.log(np.asarray(adam))
    return float(np.mean(np.clip(ratios, -_MOST, _MOST)))


if __name__ == "__main__":
    main()
