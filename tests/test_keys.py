"""Keys with a name: none of them is another, a step's, or a part of a split."""

import ast
import inspect

import jax
import numpy as np
import pytest

from helpers import coded
from innerloop import keys
from innerloop.fewshot import Augmentation, EpisodeSampler

NAMED = {name: getattr(keys, name) for name in (*keys.NUMBERS, *keys.BESIDE_SPLITS)}
PARTS = 4096


def data(key):
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_every_number_has_a_function_of_its_name():
    functions = {
        name for name, each in inspect.getmembers(keys, inspect.isfunction) if name[0] != "_"
    }
    assert functions == {*NAMED, "step"}


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_no_named_key_is_another_or_a_part_of_a_split_or_a_steps(seed):
    key = jax.random.key(seed)
    named = {name: data(make(key)) for name, make in NAMED.items()}
    assert len({data(key), *named.values()}) == len(named) + 1
    parts = {data(part) for part in jax.random.split(key, PARTS)}
    steps = {data(part) for part in jax.vmap(lambda n: keys.step(key, n))(np.arange(PARTS))}
    assert not (parts | steps) & {named[name] for name in keys.NUMBERS}


@pytest.mark.parametrize("name", keys.BESIDE_SPLITS)
def test_a_key_beside_a_split_is_none_of_its_parts(name, key):
    number, parts = keys.BESIDE_SPLITS[name]
    assert number >= parts
    assert data(NAMED[name](key)) not in {data(part) for part in jax.random.split(key, parts)}


def test_no_number_is_one_that_steps_and_splits_reach():
    assert min(keys.NUMBERS.values()) > 1_000_000
    assert len(set(keys.NUMBERS.values())) == len(keys.NUMBERS)


def test_only_this_module_folds_a_constant_into_a_key(root):
    for path in (root / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if path.name != "keys.py" and isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name == "fold_in":
                    folded = ast.unparse(node.args[1])
                    assert folded == "number", f"{path}: fold_in(…, {folded})"


def test_changes_of_images_have_other_keys_than_those_that_draw_the_episode(key, monkeypatch):
    seen = []
    split = jax.random.split

    def watched(key, *args):
        parts = split(key, *args)
        seen.extend({data(part) for part in parts})
        return parts

    monkeypatch.setattr(jax.random, "split", watched)
    with jax.disable_jit():
        changed = Augmentation(flip=True)
        EpisodeSampler(coded(3, 3), way=2, shot=1, queries=1, augment=changed).sample(key=key)
    assert len(seen) >= 8 and len(set(seen)) == len(seen)
