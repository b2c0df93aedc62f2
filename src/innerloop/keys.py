"""Random keys with a name: every number that innerloop folds into a key stands here.

`fold_in(key, n)` equals `split(key, m)[n]` for n < m, and the steps of a run are folded into a
problem's key as 0, 1, 2, … A number for another purpose must therefore be one that neither steps
nor splits of the same key reach. Most of them count down from 2³² − 1.
"""

import jax
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

NUMBERS = {
    "next_problem": 2**32 - 1,
    "held_out": 2**32 - 2,
    "coordinate_sample": 2**32 - 3,
    "meta_loss": 2**32 - 4,
    "horizon": 2**32 - 5,
    "direction": 2**32 - 6,
    "test_episodes": 2**32 - 7,
    "augmentation": 2**32 - 8,
    "offset": 2**32 - 9,
    "telling": 2**32 - 10,
    "validation_problems": 1_000_001,
    "test_problems": 1_000_002,
}
"""Numbers that may be folded into any key; no step and no split is as large."""
BESIDE_SPLITS = {"affine": (2, 2), "colour": (5, 2), "narrowing": (3, 3)}
"""(number, parts): the number may be folded into a key that is split into that number of parts."""


def step(key: PRNGKeyArray, number: int | Int[Array, ""]) -> PRNGKeyArray:
    """The key of a problem's minibatch at one step of its run.

    Args:
        key: The problem's key.
        number: The step, from 0.
    """
    return jax.random.fold_in(key, number)


def next_problem(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key of the problem or episode that takes the place of this one."""
    return _named(key, "next_problem")


def held_out(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key of a problem's loss on held-out data."""
    return _named(key, "held_out")


def coordinate_sample(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key that chooses the coordinates of a problem that a meta-gradient goes through."""
    return _named(key, "coordinate_sample")


def meta_loss(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key of the minibatches that judge a problem's parameters, apart from those it sees."""
    return _named(key, "meta_loss")


def horizon(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key that draws how long a problem is run."""
    return _named(key, "horizon")


def offset(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key that draws how much of its horizon the first problem of a place leaves out."""
    return _named(key, "offset")


def telling(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key that draws whether a rule is told how long a problem is run."""
    return _named(key, "telling")


def direction(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key of the direction in which evolution strategies change a rule."""
    return _named(key, "direction")


def test_episodes(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key of a few-shot run's test episodes; `key` is its seed's."""
    return _named(key, "test_episodes")


def augmentation(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key of the changes of an episode's images, apart from those that draw the episode."""
    return _named(key, "augmentation")


def validation_problems(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key of the problems on which a comparison tunes its baselines; `key` is its seed's."""
    return _named(key, "validation_problems")


def test_problems(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key of the problems of a comparison's result; `key` is its seed's."""
    return _named(key, "test_problems")


def affine(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key of an image's affine map; flips and shifts take the two parts of the same key."""
    return jax.random.fold_in(key, BESIDE_SPLITS["affine"][0])


def colour(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key of images' colours; `key` is otherwise split in two, for mirroring and moving."""
    return jax.random.fold_in(key, BESIDE_SPLITS["colour"][0])


def narrowing(key: PRNGKeyArray) -> PRNGKeyArray:
    """The key of a context embedding's projections; its three LSTMs take the parts of `key`."""
    return jax.random.fold_in(key, BESIDE_SPLITS["narrowing"][0])


def _named(key: PRNGKeyArray, name: str) -> PRNGKeyArray:
    return jax.random.fold_in(key, np.uint32(NUMBERS[name]))
