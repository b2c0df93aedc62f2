"""Inputs that are nearly right: hypothesis draws a number, and from that follows what is wrong.

Where hypothesis drew every change by itself, drawing took ten times as long as reading.
"""

import copy
import json
import random as randomness
from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import strategies as st

INTEGERS = (
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    2**15,
    2**16,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**63,
)
"""At whose sides readers go wrong."""
VALUES = (
    *INTEGERS, *range(-4, 9), 16, 20, 70, 10**12, 2**64, 1e308, float("nan"), float("inf"), 0.5,
    True, None, "", "0", "F32", "BF16", "\x00", "é" * 40, [], {}, [0, 4], [[0]], {"a": {}},
)  # fmt: skip
"""What may stand in JSON instead of what should."""


def made(make: Callable[[Random], Any]) -> st.SearchStrategy:
    """What `make` makes of a source of random numbers, any of them."""
    return st.integers(0, 2**64 - 1).map(lambda seed: make(randomness.Random(seed)))


def mutated(random: Random, contents, most: int = 4) -> bytes:
    """One of `contents`, changed in up to `most` places."""
    content = bytearray(random.choice(contents))
    for _ in range(random.randint(1, most)):
        place = random.randrange(max(1, len(content)))
        random.choice(_CHANGES)(random, content, place, contents)
    return bytes(content)


def _flip(random, content, place, contents):
    if place < len(content):
        content[place] ^= 1 << random.randrange(8)


def _set(random, content, place, contents):
    content[place : place + 1] = random.randbytes(1)


def _insert(random, content, place, contents):
    content[place:place] = random.randbytes(random.randint(1, 8))


def _delete(random, content, place, contents):
    del content[place : place + random.randint(1, 16)]


def _repeat(random, content, place, contents):
    content[place:place] = content[place : place + random.randint(1, 64)]


def _truncate(random, content, place, contents):
    del content[place:]


def _number(random, content, place, contents):
    length, order = random.choice([1, 2, 4, 8]), random.choice(["big", "little"])
    number = random.choice(INTEGERS) % 256**length
    content[place : place + length] = number.to_bytes(length, order)


def _splice(random, content, place, contents):
    other = random.choice(contents)
    content[place:] = other[random.randrange(len(other) + 1) :]


_CHANGES = (_flip, _set, _insert, _delete, _repeat, _truncate, _number, _splice)


def mutated_json(random: Random, value: Any, most: int = 3) -> Any:
    """`value`, as JSON has it, with some of what is in it replaced, removed or moved."""
    value = json.loads(json.dumps(value))
    for _ in range(random.randint(1, most)):
        places = _places(value)
        if not places:
            break
        inside, name = random.choice(places)
        change = random.choice(["replace", "nudge", "remove", "rename", "move"])
        if change == "replace":
            # A copy: the next change may be to what is in it.
            inside[name] = copy.deepcopy(random.choice(VALUES))
        elif change == "nudge" and type(inside[name]) is int:
            inside[name] += random.choice([-4, -1, 1, 4])
        elif change == "remove":
            del inside[name]
        elif change == "rename" and isinstance(inside, dict):
            inside[name + random.choice(["", "x", "\x00"])] = inside.pop(name)
        elif change == "move":
            other, there = random.choice(places)
            inside[name] = json.loads(json.dumps(other[there]))
    return value


def _places(value):
    """(container, key) of everything inside `value`, however deep."""
    inside = (
        list(value.items()) if isinstance(value, dict)
        else list(enumerate(value)) if isinstance(value, list) else []
    )  # fmt: skip
    return [(value, name) for name, _ in inside] + [
        place for _, item in inside for place in _places(item)
    ]
