"""NTM-BFGS: before it is trained it is BFGS, and its memory stays within a problem."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import close, double
from innerloop import InnerloopError, NTMBFGSRule, Quadratic, evaluate


def untrained(**settings):
    return NTMBFGSRule(key=jax.random.key(0), **{"hidden": 5, "averaged": 2, **settings})


def test_untrained_it_is_bfgs_without_a_line_search(float64):
    random = np.random.default_rng(0)
    w = random.normal(size=(4, 4))
    hessian, target = 2 * (w.T @ w + np.eye(4)), random.normal(size=4)
    theta, inverse, last = np.zeros(4), 0.01 * np.eye(4), None
    rule = double(untrained())
    state, ours = rule.init(jnp.zeros(4)), np.zeros(4)
    for _ in range(6):
        g = hessian @ (theta - target)
        if last is not None:
            s, y = last[0], g - last[1]
            rho = 1 / (y @ s)
            left = np.eye(4) - rho * np.outer(s, y)
            inverse = left @ inverse @ left.T + rho * np.outer(s, s)
        step = -inverse @ g
        last, theta = (step, g), theta + step
        seen = jnp.asarray(hessian @ (ours - target))
        move, state = rule.update(seen, state)
        ours = ours + np.asarray(move, float)
        # Differences of gradients that are nearly the same lose digits, step after step.
        close(ours, theta, additions=1e6)


def test_untrained_it_solves_quadratics_and_stays_solved():
    losses = evaluate(
        untrained(), Quadratic(5), key=jax.random.key(0), problems=64, marks=(150,)
    ).losses
    assert np.median(losses[60]) < 1e-6
    assert np.all(np.isfinite(losses)) and np.median(losses[-1]) < 1e-6


def test_too_many_coordinates_are_refused():
    with pytest.raises(InnerloopError, match=r"for 4096 of them at most; this problem has 5000"):
        untrained().init(jnp.zeros(5000))


@pytest.mark.parametrize("averaged", [0, 6])
def test_settings_out_of_range_are_refused(averaged):
    with pytest.raises(InnerloopError, match=f"averaged is {averaged}"):
        untrained(averaged=averaged)
