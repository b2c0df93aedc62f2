"""The list of lines that are broken on purpose fits the code; `make mutations` breaks them."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def mutations():
    path = Path(__file__).parent.parent / "tools" / "mutations.py"
    spec = importlib.util.spec_from_file_location("mutations_tool", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.read()


def test_every_line_that_is_broken_stands_in_its_file_once(mutations, root):
    for each in mutations:
        text = (root / "src" / "innerloop" / each.file).read_text("utf-8")
        assert text.count(each.old) == 1 and "\n" not in each.old, each.name
        assert each.new != each.old and each.why


def test_names_differ_and_every_test_that_is_named_exists(mutations, root):
    assert len({each.name for each in mutations}) == len(mutations) >= 20
    for each in mutations:
        assert each.tests, each.name
        for test in each.tests:
            file, _, name = test.partition("::")
            assert f"def {name}" in (root / file).read_text("utf-8"), test
