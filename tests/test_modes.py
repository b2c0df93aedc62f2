"""JAX's modes change nothing: 64 bits, no ranks promoted, no dtypes promoted."""

import contextlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop
from helpers import RULES, close, learner, noise, sampler
from innerloop import (
    EvolutionStrategies,
    Quadratic,
    TrainingSettings,
    TruncatedBackprop,
    compare,
    registry,
    train,
)
from innerloop.comparison import ComparisonSettings, Grid
from innerloop.fewshot import BatchSampler, EpisodeSettings, load as load_learner
from innerloop.fewshot.files import shipped as shipped_learners
from innerloop.metatrain.estimators import PersistentEvolutionStrategies
from innerloop.rules.files import shipped

MODES = {
    "64 bits": lambda: jax.enable_x64(True),
    "no ranks promoted": lambda: jax.numpy_rank_promotion("raise"),
    "no dtypes promoted": lambda: jax.numpy_dtype_promotion("strict"),
}
SIZES = {"meta_batch_size": 2, "horizon": 4, "truncation": 2}
SETTINGS = {
    "steps": 2, "validate_every": 1, "validation_problems": 2, "log_every": 1,
    "checkpoint_every": None,
}  # fmt: skip


@pytest.fixture
def modes():
    """All of them at once."""
    with contextlib.ExitStack() as stack:
        for mode in MODES.values():
            stack.enter_context(mode())
        yield


def params():
    """As users have them, of 32 bits, in the parts that rules for parts ask for."""
    weights = {"w": jnp.ones((3, 2), jnp.float32), "b": jnp.full(2, 0.5, jnp.float32)}
    return {"conv": weights, "dense": jax.tree.map(lambda leaf: leaf + 1, weights)}


def bowl(params):
    return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))


def stepped(optimizer, steps=2):
    """Where so many steps lead, as one program."""

    def run(here):
        state = optimizer.init(here)
        for _ in range(steps):
            value, grads = jax.value_and_grad(bowl)(here)
            updates, state = optimizer.update(grads, state, here, value=value)
            here = jax.tree.map(jnp.add, here, updates)
        return here, state

    return jax.jit(run)(params())


NO_OPTAX = [name for name in RULES if name not in ("adam", "sgd")]


@pytest.mark.parametrize("name", [*shipped(), *NO_OPTAX])
def test_a_rule_steps_as_without_them(name):
    def made():
        # Random weights are drawn anew in each mode, and are others; a file's are its own.
        return RULES[name]() if name in RULES else innerloop.load(name)

    plain = made()
    expected, state = stepped(plain)
    with contextlib.ExitStack() as stack:
        for mode in MODES.values():
            stack.enter_context(mode())
        found, its_state = stepped(plain if name in RULES else made())
        # And one that is made in them.
        again, _ = stepped(made(), steps=1)
    assert [leaf.dtype for leaf in jax.tree.leaves(found)] == [jnp.float32] * 4
    assert [leaf.dtype for leaf in jax.tree.leaves(again)] == [jnp.float32] * 4
    kept, its_kept = ([leaf.dtype for leaf in jax.tree.leaves(each)] for each in (state, its_state))
    assert kept == its_kept
    close(found, expected, additions=1000)


ESTIMATORS = {
    "truncated": lambda: TruncatedBackprop(**SIZES),
    "truncated, second order": lambda: TruncatedBackprop(**SIZES, second_order=True),
    "truncated, linear": lambda: TruncatedBackprop(**SIZES, objective="linear"),
    "truncated, sampled": lambda: TruncatedBackprop(**SIZES, coordinates=3),
    "truncated, clipped": lambda: TruncatedBackprop(**SIZES, clip_each=1.0, min_horizon=2),
    "evolution": lambda: EvolutionStrategies(meta_batch_size=2, horizon=4),
    "persistent": lambda: PersistentEvolutionStrategies(**SIZES, min_horizon=2),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name.startswith("truncated, ")))
        for name in ESTIMATORS
    ],
)
def test_a_rule_is_trained_and_resumed(name, modes, tmp_path):
    settings = {**SETTINGS, "checkpoint_every": 1}
    for resume in (False, True):
        found = train(
            Quadratic(3),
            RULES["lstm"](),
            settings=TrainingSettings(**settings),
            estimator=ESTIMATORS[name](),
            out=tmp_path,
            resume=resume,
        )
    assert found.skipped == 0 and np.isfinite(found.validation)
    with jax.enable_x64(False):
        again = innerloop.load(tmp_path)
    assert jax.tree.structure(again) == jax.tree.structure(found.rule)


def test_a_rule_is_compared(modes):
    found = compare(
        innerloop.load("lstm-quadratic"),
        Quadratic(3),
        ComparisonSettings(
            problems=2, horizon=3, validation_problems=2, grid=Grid(low=0.1, high=1.0),
            reference=True,
        ),
        baselines={"adam": optax.adam},
    )  # fmt: skip
    assert np.isfinite(found.ratio) and np.all(np.isfinite(found.reference.losses))


def test_a_guarded_rule_steps(modes):
    guarded = innerloop.safeguard(innerloop.load("lstm-mnist"), optax.adam(0.1))
    assert float(bowl(stepped(guarded, steps=3)[0])) < float(bowl(params()))


def same_shapes(one, other):
    return [leaf.shape for leaf in jax.tree.leaves(one)] == [
        leaf.shape for leaf in jax.tree.leaves(other)
    ]


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in ("meta-lstm", "protonet")))
        for name in registry.members("method")
    ],
)
def test_a_few_shot_method_is_trained(method, modes, tmp_path):
    mine = learner(method)
    if not jax.tree.leaves(eqx.filter(mine, eqx.is_inexact_array)):
        pytest.skip("there is nothing to learn in it")
    source = BatchSampler(noise(), batch=4) if mine.trained_on == "batches" else sampler()
    settings = EpisodeSettings(**SETTINGS)
    found = innerloop.fewshot.train(mine, source, sampler(1), settings=settings, out=tmp_path)
    assert found.skipped == 0 and 0 <= found.validation <= 1
    with jax.enable_x64(False):
        assert same_shapes(load_learner(tmp_path), found.rule.for_use())


@pytest.mark.parametrize("name", shipped_learners())
def test_a_shipped_learner_is_read(name, modes):
    leaves = jax.tree.leaves(eqx.filter(load_learner(name), eqx.is_inexact_array))
    assert leaves and all(leaf.dtype == jnp.float32 for leaf in leaves)
