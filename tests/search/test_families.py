"""The families that the search is measured on are valid tasks."""

from pathlib import Path

import pytest

from innerloop.tasks.check import check_task
from innerloop.userfiles import load_file_object

FOLDER = Path(__file__).parents[2] / "examples" / "families"
FILES = sorted(path for path in FOLDER.glob("*.py"))


def family(path):
    """The command in a file's docstring names its family."""
    name = path.read_text().partition(f"{path.name}:")[2].split()[0]
    return load_file_object(f"{path}:{name}", "task family")


def test_there_are_twelve():
    assert len([path for path in FILES if path.stem != "from_arrays"]) == 12


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_can_be_trained_on(path):
    found = family(path)
    check_task(found() if isinstance(found, type) else found, name=path.stem)
