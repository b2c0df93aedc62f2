"""Global averaging cells: what goes from one coordinate to another, and no further."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import close, double
from innerloop import InnerloopError, LSTMRule
from innerloop.rules import LSTMGACRule
from innerloop.rules._batch import batched

pytestmark = pytest.mark.usefixtures("float64")


def make(averaged):
    return double(LSTMGACRule(key=jax.random.key(0), hidden=6, averaged=averaged))


def steps(rule, gradients):
    state, seen = rule.init(gradients[0]), []
    for gradient in gradients:
        step, state = rule.update(gradient, state)
        seen.append(step)
    return jnp.stack(seen)


GRADIENTS = np.asarray([[1.0, -0.5, 2.0], [0.3, 0.1, -1.0]])


def test_without_averaging_it_is_the_plain_lstm():
    plain = double(LSTMRule(key=jax.random.key(0), hidden=6))
    close(steps(make(0), GRADIENTS), steps(plain, GRADIENTS), additions=100)


@pytest.mark.parametrize("averaged", [0, 2])
def test_a_coordinate_feels_the_others_only_through_averaged_cells(averaged):
    louder = GRADIENTS * [1, 1, 100]
    before, after = steps(make(averaged), GRADIENTS), steps(make(averaged), louder)
    assert np.allclose(before[:, 0], after[:, 0], atol=1e-12) == (averaged == 0)


def test_averages_stay_within_a_problem():
    rule = make(3)
    both = jnp.stack([GRADIENTS[0], 50 * GRADIENTS[1]])
    rules = batched(rule)
    state = rules.pack(jax.vmap(rule.init)(both))
    together, _ = rules.update(both, state, both, jnp.ones(2))
    alone, _ = rule.update(both[0], rule.init(both[0]))
    close(together[0], alone, additions=100)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"averaged": 21}, "averaged is 21"),
        ({"averaged": -1}, "averaged is -1"),
        ({"hidden": 0}, "hidden is 0"),
        ({"output_scale": 0.0}, "output_scale is 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    with pytest.raises(InnerloopError, match=words):
        LSTMGACRule(key=jax.random.key(0), **settings)
