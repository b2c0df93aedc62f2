"""The search on the families of examples/families, one after another: rows of a table.

    python tools/own_problems.py --minutes 1 kepler_orbit tomography

The budget is counted in seconds of the processor over two cores, so that other work on the machine
takes nothing from it. Each family's results.json and report.md are under runs/own-problems.
"""

import argparse
import time
from pathlib import Path

from innerloop.runtime.compilation import clear_programs_near_limit, compile_quickly, keep_compiled
from innerloop.runtime.devices import split_cores

FAMILIES = Path(__file__).parent.parent / "examples" / "families"
CORES = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="files, without .py; none for all")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--devices", type=int, default=CORES, help="cores that JAX sees")
    parser.add_argument("--out", type=Path, default=Path("runs/own-problems"))
    asked = parser.parse_args()
    compile_quickly()
    split_cores(asked.devices)
    keep_compiled()
    for name in asked.names or sorted(path.stem for path in FAMILIES.glob("*.py")):
        print(row(name, asked.minutes, asked.out / name), flush=True)
        clear_programs_near_limit()


def row(name: str, minutes: float, out: Path) -> str:
    """A search on one family, as a row of Markdown."""
    from innerloop import InnerloopError, SearchSettings, find_optimizer
    from innerloop.search.score import final
    from innerloop.userfiles import load_file_object

    path = FAMILIES / f"{name}.py"
    thing = path.read_text().partition(f"{path.name}:")[2].split()[0]
    family = load_file_object(f"{path}:{thing}", "task family")
    task = family() if isinstance(family, type) else family
    try:
        found = find_optimizer(
            task,
            SearchSettings(minutes=minutes),
            out=out,
            clock=lambda: time.process_time() / CORES,
            report=lambda message: print(f"  {message}", flush=True),
        )
    except InnerloopError as error:
        return f"| {name} | failed: {error} |"
    verdict = found.verdict
    rival, winner = verdict.rival, verdict.winner
    cells = [
        name,
        str(found.look.horizon),
        f"{rival.name} {final(rival.losses):.4g}",
        f"{found.name} {final(winner.losses):.4g}",
        *(_interval(verdict, kind) for kind in ("steps", "seconds")),
        ", ".join(each.name for each in verdict.others),
        f"{found.seconds / 60:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def _interval(verdict, kind: str) -> str:
    if verdict.speedup is None:
        return "1"
    found = getattr(verdict.speedup, kind)
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


if __name__ == "__main__":
    main()
