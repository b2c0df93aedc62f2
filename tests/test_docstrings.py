"""Every public name says what it takes, and the examples in docstrings run."""

import ast
import collections
import doctest
import importlib.util
import inspect
import re
import sys
import textwrap

import pytest

import innerloop
from innerloop import registry

PACKAGES = (innerloop, *(getattr(innerloop, name) for name in innerloop.__all__ if name.islower()))
if importlib.util.find_spec("torch") is not None:  # What is not in __all__, as it needs more.
    PACKAGES = (*PACKAGES, importlib.import_module("innerloop.torch"))
NO_EXAMPLE = {"Gates", "LayerGates", "MNISTData", "SearchResult", "Trained"}
"""Plain data that functions return, and whose examples show it."""


def _public():
    """Each class and function of ours, by the name that users import it by."""
    return {
        f"{package.__name__}.{name}": thing
        for package in PACKAGES
        if inspect.ismodule(package)
        for name in dir(package)
        if not name.startswith("_")
        and callable(thing := getattr(package, name))
        and getattr(thing, "__module__", "").startswith("innerloop")
    }


PUBLIC = _public()
GROUPS = collections.defaultdict(dict)
for _name, _thing in PUBLIC.items():
    GROUPS[_thing.__module__.split(".")[1]][_name] = _thing


def _fields(cls):
    """The fields of a class that have a docstring of their own."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError):  # Classes of C have no source.
        return set()
    return {
        field.target.id
        for field, text in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def _documented(thing):
    """The names that the docstring's Args and Attributes describe, or the fields' docstrings."""
    found = set().union(*map(_fields, getattr(thing, "__mro__", ())))
    doc = inspect.cleandoc(thing.__doc__ or "")
    for section in re.findall(r"^(?:Args|Attributes):\n((?:(?: +.*)?\n)+)", doc + "\n", re.M):
        found |= set(re.findall(r"^ {4}(\w+): \S", section, re.M))
    return found


def test_the_public_names_are_found():
    assert len(PUBLIC) > 80 and {"innerloop.train", "innerloop.fewshot.MAML"} <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_parameter_is_documented(name):
    thing = PUBLIC[name]
    assert thing.__doc__
    lacking = set(inspect.signature(thing).parameters) - {"args", "kwargs"} - _documented(thing)
    assert not lacking


@pytest.mark.parametrize("name", PUBLIC)
def test_there_is_an_example(name):
    thing = PUBLIC[name]
    exempt = inspect.isabstract(thing) or name.rpartition(".")[2] in NO_EXAMPLE
    if not exempt and not (inspect.isclass(thing) and issubclass(thing, Exception)):
        assert "\nExample:\n    >>> " in inspect.cleandoc(thing.__doc__)


@pytest.fixture
def own_registry(monkeypatch):
    """What examples register is forgotten afterwards."""
    known = {kind: registry.members(kind) for kind in list(registry._CLASSES)}
    monkeypatch.setattr(registry, "_CLASSES", known)


@pytest.mark.parametrize("group", GROUPS)
def test_the_examples_run(group, own_registry):
    said = []
    runner = doctest.DocTestRunner(verbose=False)
    for name, thing in GROUPS[group].items():
        names = vars(sys.modules[thing.__module__])
        for test in doctest.DocTestFinder().find(thing, name, module=False, globs=names):
            runner.run(test, out=said.append)
    assert not said, "".join(said)
