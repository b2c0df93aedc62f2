"""Tutorials: Python files in percent format, run from top to bottom, and made into pages."""

import ast
import contextlib
import dataclasses
import hashlib
import io
import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MARK = re.compile(r"^# %%(.*)$", re.MULTILINE)
OPTIONAL = {"torch": "PyTorch"}
"""What a tutorial may import and the site is built without; such a tutorial is shown as it is."""


@dataclasses.dataclass
class Cell:
    """A piece of a tutorial, and what came of running it."""

    text: str
    is_code: bool
    output: str = ""
    pictures: list[str] = dataclasses.field(default_factory=list)


def cells(source: str) -> list[Cell]:
    """The cells of a file in percent format: `# %% [markdown]` and `# %%`."""
    parts = MARK.split(source)[1:]
    found = []
    for mark, body in zip(parts[::2], parts[1::2], strict=True):
        if "[markdown]" in mark:
            lines = [line.removeprefix("#").removeprefix(" ") for line in body.strip().split("\n")]
            found.append(Cell("\n".join(lines), is_code=False))
        elif body.strip():
            found.append(Cell(body.strip(), is_code=True))
    return found


def missing(path: Path) -> str | None:
    """What a tutorial imports and is not installed, by its name in words; None for nothing."""
    words = set(re.findall(r"^import (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    return next((OPTIONAL[m] for m in sorted(words & {*OPTIONAL}) if find_spec(m) is None), None)


def run(path: Path, folder: Path) -> list[Cell]:
    """Run a tutorial in a folder, and keep what each cell prints and draws.

    Args:
        path: The tutorial.
        folder: An empty folder, which the tutorial writes into.
    """
    found = cells(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__tutorial__"}
    with contextlib.chdir(folder):
        for cell in found:
            if cell.is_code:
                before = set(Path().glob("*.png"))
                cell.output = _execute(cell.text, names, path)
                cell.pictures = sorted(each.name for each in set(Path().glob("*.png")) - before)
    return found


def page(path: Path, cache: Path) -> tuple[str, dict[str, bytes]]:
    """(the tutorial as Markdown with its output, its pictures), run anew only where it changed."""
    if missing(path) is not None:
        return _markdown(cells(path.read_text(encoding="utf-8")), path), {}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    folder = cache / f"{path.stem}-{digest}"
    kept = folder / "cells.json"
    if not kept.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        done = [dataclasses.asdict(each) for each in run(path, folder)]
        kept.write_text(json.dumps(done), encoding="utf-8")
    found = [Cell(**each) for each in json.loads(kept.read_text(encoding="utf-8"))]
    pictures = {name: (folder / name).read_bytes() for cell in found for name in cell.pictures}
    return _markdown(found, path), pictures


def _execute(source: str, names: dict[str, Any], path: Path) -> str:
    tree = ast.parse(source, str(path))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, str(path), "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), str(path), "eval"), names)
            if value is not None:
                print(repr(value))
    return printed.getvalue()


def _markdown(found: list[Cell], path: Path) -> str:
    lines = []
    for cell in found:
        if not cell.is_code:
            lines += [cell.text, ""]
            continue
        lines += ["```python", cell.text, "```", ""]
        if cell.output.strip():
            lines += ['```text title="Output"', cell.output.rstrip(), "```", ""]
        title = found[0].text.partition("\n")[0].removeprefix("# ")
        lines += [f"![{title}: picture {n}]({name})" for n, name in enumerate(cell.pictures, 1)]
        lines.append("")
    made, absent = f"This page is `examples/tutorials/{path.name}`", missing(path)
    if absent is None:
        return "\n".join([*lines, f"{made}, run when the site is built."]) + "\n"
    note = f"{absent} was not installed where this site was built: the code was not run."
    title, _, rest = "\n".join([*lines, f"{made}."]).partition("\n")
    return f'{title}\n\n!!! warning "Without output"\n\n    {note}\n{rest}\n'
