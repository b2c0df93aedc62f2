"""What is given for a rule and is none gets a sentence with what to write instead."""

import subprocess
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest

from helpers import lstm
from innerloop import BFGSRule, InnerloopError, LBFGSRule, OptaxRule, Quadratic, Rule, train
from innerloop.registry import members
from innerloop.rules.check import check_optimizer, check_rule, check_update


def test_rules_are_rules_and_optimizers():
    for rule in (lstm(), OptaxRule(optax.adam, 0.1)):
        check_rule(rule)
        check_optimizer(rule, name="The rule")
    check_optimizer(optax.adam(0.1), name="The fallback")


@pytest.mark.parametrize(
    ("given", "instead"),
    [
        ("lstm-quadratic", r"innerloop.load\('lstm-quadratic'\)"),
        (optax.adam(0.1), r"innerloop.OptaxRule\(optax.adam, 0.1\)"),
        (3, r"innerloop.load\(NAME\) or innerloop.LSTMRule"),
    ],
)
def test_what_is_no_rule_is_refused(given, instead):
    with pytest.raises(
        InnerloopError, match=f"The rule is .*, which is no innerloop.Rule; {instead}"
    ):
        check_rule(given)


@pytest.mark.parametrize(
    ("given", "instead"),
    [("adam", r"innerloop.load\('adam'\)"), (optax.adam, r"optax.adam\(1e-3\)")],
)
def test_what_is_no_optimizer_is_refused(given, instead):
    with pytest.raises(
        InnerloopError, match=f"The fallback is .*, which is no optimizer; {instead}"
    ):
        check_optimizer(given, name="The fallback")


def test_where_types_are_not_checked_as_here_sentences_are_the_same():
    """In the tests beartype is faster; users have none."""
    program = """
import innerloop, optax
task, rule = innerloop.Quadratic(), innerloop.OptaxRule(optax.sgd, 0.1)
for call in (
    lambda: innerloop.compare("lstm-quadratic", task),
    lambda: innerloop.compare(rule, innerloop.Quadratic),
    lambda: innerloop.compare(rule, task, others={"other": 3}),
    lambda: innerloop.train(task, optax.adam(0.1)),
    lambda: innerloop.safeguard("lstm-quadratic", optax.adam(0.1)),
    lambda: innerloop.safeguard(rule, optax.adam),
    lambda: innerloop.safeguard(rule, optax.adam(0.1), steps=1.5),
):
    try:
        call()
    except innerloop.InnerloopError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )  # fmt: skip
    said = done.stdout.splitlines()
    assert len(said) == 7 and all(line.endswith(".") for line in said), said
    assert "The rule 'other' is 3" in said[2] and "steps is 1.5" in said[-1]


@pytest.mark.parametrize("rule", [LBFGSRule(), BFGSRule()])
def test_a_rule_that_needs_the_loss_says_how_it_is_called(rule):
    params, optimizer = jnp.ones(2), rule.as_optax()
    with pytest.raises(InnerloopError, match=r"value is None; call update\(.*value=loss\)"):
        optimizer.update(params, optimizer.init(params), params)


class Own(Rule):
    """Returns what it is told."""

    rate: jax.Array
    steps: Any = eqx.field(static=True)

    def init(self, params):
        return {"count": jnp.zeros(())}

    def update(self, grads, state, params=None, *, value=None, **extra):
        return self.steps(grads, state)


PARAMS = {"w": jax.ShapeDtypeStruct((2, 3), jnp.float32)}


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (lambda g, s: ({"w": g["w"].sum(0)}, s), r"steps .* at \['w'\], .* shape \(2, 3\)"),
        (lambda g, s: ({"w": g["w"].astype(jnp.bfloat16)}, s), "it is bfloat16 of shape"),
        (lambda g, s: (g["w"], s), r"it is nothing at \['w'\]"),
        (lambda g, s: (g, {"count": jnp.zeros(3)}), r"a state unlike that of init: .*\(3,\)"),
        (lambda g, s: (g, {}), "a state unlike that of init: it is nothing"),
        (lambda g, s: g, "must return two things"),
        (lambda g, s: (g["v"], s), r"fails: KeyError: 'v' \(test_check.py, line \d+\)"),
    ],
)
def test_a_step_that_is_not_like_the_parameters_is_refused(steps, said):
    with pytest.raises(InnerloopError, match=f"Own.*{said}"):
        check_update(Own(jnp.ones(()), steps), PARAMS)


def test_training_looks_at_the_steps_first():
    with pytest.raises(InnerloopError, match=r"Own\.update returns steps unlike the parameters"):
        train(Quadratic(2), Own(jnp.ones(()), lambda g, s: (jnp.ones(7), s)))


@pytest.mark.parametrize("name", ["lstm", "meta-lstm", "l-bfgs", "per-tensor", "ntm-bfgs"])
def test_gradients_of_other_parameters_are_refused(name):
    rule = members("rule")[name]
    rule = rule() if name == "l-bfgs" else rule(key=jax.random.key(0))
    check_update(rule, PARAMS)
    state, other = rule.init({"w": jnp.ones((2, 3))}), {"w": jnp.ones(5)}
    with pytest.raises(InnerloopError, match="have 5 coordinates, and the state is for 6"):
        rule.update(other, state, other, value=jnp.ones(()))
