"""Break innerloop on purpose, a line at a time, and see the tests notice.

    python tools/mutations.py            every change of tools/mutations.toml, minutes
    python tools/mutations.py NAME ...   these
    python tools/mutations.py --list     their names, and what each would do

Each change is made in a copy of the repository. The tests that it names must pass before it and
fail after it. A change that they do not notice has survived, and the exit status is 1.
"""

import argparse
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIST = Path(__file__).with_name("mutations.toml")
COPIED = ("src", "tests", "examples", "docs", "tools", "pyproject.toml", "README.md")
PASSED, FAILED = 0, 1  # Exit statuses of pytest. All others say that no test was judged.


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One line that is made wrong, and the tests that must fail then."""

    name: str
    why: str
    """What would be wrong for a user."""
    file: str
    """Below src/innerloop."""
    old: str
    """Stands in exactly one line of the file."""
    new: str
    tests: tuple[str, ...]

    def apply(self, root: Path) -> str:
        """Make the change in the copy `root`, and return what the file held."""
        path = root / "src" / "innerloop" / self.file
        text = path.read_text("utf-8")
        if text.count(self.old) != 1 or "\n" in self.old:
            raise SystemExit(f"{self.name}: '{self.old}' is not in exactly one line of {path}")
        path.write_text(text.replace(self.old, self.new), "utf-8")
        return text


def read() -> list[Mutation]:
    """The changes in tools/mutations.toml."""
    entries = tomllib.loads(LIST.read_text("utf-8"))["mutation"]
    return [Mutation(**{**each, "tests": tuple(each["tests"])}) for each in entries]


def judge(root: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """(pytest's exit status, what it printed) for some tests of the copy."""
    words = ["-m", "pytest", "-x", "-p", "no:randomly", "-o", f"cache_dir={root / 'cache'}"]
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *words, *tests], cwd=root, env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a change of tools/mutations.toml")
    parser.add_argument("--list", action="store_true", help="print the changes and stop")
    asked = parser.parse_args()
    found = read()
    if unknown := set(asked.names) - {each.name for each in found}:
        parser.error(f"there is no change {', '.join(sorted(unknown))}; see --list")
    if asked.list:
        print("\n".join(f"{each.name}: {each.why}" for each in found))
        return 0
    chosen = [each for each in found if not asked.names or each.name in asked.names]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
            copy(ROOT / name, root / name)
        every = tuple(dict.fromkeys(test for each in chosen for test in each.tests))
        status, printed = judge(root, every)
        if status != PASSED:
            print(printed, f"\nThe tests fail before any change: {status}", sep="")
            return 1
        survived = [each.name for each in chosen if not killed(each, root)]
    print(f"{len(chosen) - len(survived)} of {len(chosen)} killed", *survived)
    return 1 if survived else 0


def killed(mutation: Mutation, root: Path) -> bool:
    """Whether the tests notice; says so."""
    text = mutation.apply(root)
    status, printed = judge(root, mutation.tests)
    # Not from the repository, which may change meanwhile.
    (root / "src" / "innerloop" / mutation.file).write_text(text, "utf-8")
    result = {FAILED: "killed", PASSED: "SURVIVED"}.get(status, f"BROKEN ({status})\n{printed}")
    print(f"{mutation.name}: {result}", flush=True)
    return status == FAILED


if __name__ == "__main__":
    sys.exit(main())
