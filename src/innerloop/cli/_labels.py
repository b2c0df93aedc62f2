"""Names for rules that are given as files, folders or names of shipped rules."""

from collections.abc import Sequence
from pathlib import Path

_FILE = "rule.safetensors"


def labels(rules: Sequence[str]) -> list[str]:
    """A short name for each rule, no two of them the same.

    A run's folder gives its own name, and so does rule.safetensors in it; another file gives its
    name without the ending. Names that collide are preceded by the folders above them, and
    numbered where the rules are the same.
    """
    paths = [_parts(rule) for rule in rules]
    depth = [1] * len(paths)
    while True:
        names = ["/".join(parts[-count:]) for parts, count in zip(paths, depth, strict=True)]
        longer = [
            count + 1 if names.count(name) > 1 and count < len(parts) else count
            for name, parts, count in zip(names, paths, depth, strict=True)
        ]
        if longer == depth:
            break
        depth = longer
    seen: list[str] = []
    for name in names:
        number = 2
        unique = name
        while unique in seen:
            unique, number = f"{name} ({number})", number + 1
        seen.append(unique)
    return seen


def _parts(rule: str) -> list[str]:
    path = Path(rule)
    if path.name == _FILE:
        path = path.absolute().parent
    elif path.suffix == ".safetensors":
        path = path.with_suffix("")
    parts = [part for part in path.parts if part not in ("/", ".", "..")]
    return parts or [path.absolute().name or "rule"]
