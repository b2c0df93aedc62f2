"""A reference page for each topic, with every public name of the package on one of them."""

import ast
import importlib.util
from collections import defaultdict
from pathlib import Path

TOPICS = {
    "metatrain": "training",
    "experiments": "training",
    "registry": "training",
    "rules": "rules",
    "hub": "rules",
    "tasks": "tasks",
    "comparison": "comparison",
    "search": "search",
    "plots": "comparison",
    "evaluation": "running",
    "inner": "running",
    "guard": "running",
    "errors": "running",
}
"""The page of each package's public names; a package that is not here stops the build."""
PACKAGES = ("fewshot", "datasets", "inspection", "predict", "torch", "keras", "reporting")
"""Packages that are public by themselves, with a page each."""
TITLES = {
    "training": "Training",
    "rules": "Rules",
    "tasks": "Task families",
    "comparison": "Comparison",
    "search": "Search",
    "running": "Running a rule",
    "fewshot": "Few-shot learning",
    "datasets": "Datasets",
    "inspection": "Inspection",
    "predict": "Prediction",
    "torch": "PyTorch",
    "keras": "Keras",
    "reporting": "Reporting",
}
_OBJECT = """
::: {path}
    options:
      heading: {name}
      toc_label: {label}
"""


def public_names(source: Path) -> dict[str, str]:
    """Every public name of the package, with the path where it is defined or exported from.

    Args:
        source: The folder of the package `innerloop`.
    """
    found = _exports(source / "__init__.pyi", "innerloop")
    for package in PACKAGES:
        found |= _exports(source / package / "__init__.py", f"innerloop.{package}")
        found.pop(f"innerloop.{package}", None)  # The package itself has no entry.
    return found


def pages(source: Path) -> dict[str, str]:
    """The reference: the Markdown of each page by its name."""
    names = public_names(source)
    by_page: dict[str, list[str]] = defaultdict(list)
    for name, path in names.items():
        by_page[_page_of(name, path)].append(name)
    found = {"index": _index(by_page, names)}
    for page, listed in by_page.items():
        objects = [
            _OBJECT.format(path=names[name], name=name, label=name.rpartition(".")[2])
            for name in sorted(listed, key=str.lower)
        ]
        found[page] = f"# {TITLES[page]}\n{''.join(objects)}"
    return found


def _page_of(name: str, path: str) -> str:
    package = name.split(".")[1]
    if package in PACKAGES and name.count(".") == 2:
        return package
    return TOPICS[path.split(".")[1]]


def _index(by_page: dict[str, list[str]], names: dict[str, str]) -> str:
    lines = ["# Reference", "", "Every public name. Import it as it is written here.", ""]
    for page in TITLES:
        lines += [f"## [{TITLES[page]}]({page}.md)", ""]
        listed = sorted(by_page[page], key=str.lower)
        lines += [f"- [`{name}`][{names[name]}]" for name in listed]
        lines.append("")
    return "\n".join(lines)


def _exports(path: Path, package: str) -> dict[str, str]:
    """What `from .module import name as name` makes public."""
    found: dict[str, str] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            for alias in node.names:
                if alias.asname == alias.name:
                    inner = f".{node.module}" if node.module else ""
                    found[f"{package}.{alias.name}"] = f"{package}{inner}.{alias.name}"
    return found


def source_folder() -> Path:
    """The folder of the installed package."""
    spec = importlib.util.find_spec("innerloop")
    if spec is None or spec.origin is None:
        raise SystemExit("innerloop is not installed: make docs")
    return Path(spec.origin).parent
