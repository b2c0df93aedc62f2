"""The kernel for GPUs, carried out operation by operation, gives what the rule gives."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from helpers import close, coarsest, lstm
from innerloop.kernels import fused_lstm as _fused

RULES = {
    "published": {"hidden": 20},
    "one-layer": {"hidden": 16, "depth": 1},
    "three-layers": {"hidden": 5, "depth": 3},
    "raw": {"hidden": 20, "preprocessing": None},
    "bfloat16": {"hidden": 20, "state_dtype": "bfloat16"},
}

# Additions in a step: three layers at most, of twenty cells and twenty inputs, and the last one.
STEP = 160


def situation(rule, coordinates, seed=0):
    """A gradient with zeros and many sizes, and a state as in mid-run."""
    keys = jax.random.split(jax.random.key(seed), 2)
    sizes = 10.0 ** jax.random.uniform(keys[0], (coordinates,), minval=-8, maxval=2)
    gradient = sizes * jnp.sign(jnp.arange(coordinates) % 3 - 1)
    state = rule.init_coordinates(coordinates)
    return gradient, jax.tree.map(
        lambda leaf: jax.random.uniform(keys[1], leaf.shape, minval=-1).astype(leaf.dtype), state
    )


def near(found, wanted, additions):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
    close(found, wanted, additions=additions, dtype=coarsest(wanted))


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    "coordinates", [150, *(pytest.param(size, marks=pytest.mark.slow) for size in (1, 64))]
)
def test_a_step_is_the_rules_own(name, coordinates):
    rule = lstm(**RULES[name])
    gradient, state = situation(rule, coordinates)
    found = _fused.fused(rule, gradient, state, interpret=True)
    near(found, rule.update_coordinates(gradient, state), 2 if name == "bfloat16" else STEP)


def test_its_derivative_is_the_rules_own():
    rule = lstm(hidden=6)
    gradient, state = situation(rule, 70)

    def total(update, rule, gradient, state):
        step, after = update(rule, gradient, state)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves((step, after)))

    kernel = jax.grad(
        lambda *given: total(lambda *a: _fused.fused(*a, interpret=True), *given), argnums=(0, 2)
    )
    plain = jax.grad(
        lambda *given: total(lambda r, g, s: r.update_coordinates(g, s), *given), argnums=(0, 2)
    )
    near(kernel(rule, gradient, state), plain(rule, gradient, state), 70 * STEP)


def test_many_problems_at_once():
    rule = lstm(hidden=6)
    gradients, states = jax.vmap(lambda seed: situation(rule, 20, seed))(jnp.arange(3))
    found = jax.vmap(lambda g, s: _fused.fused(rule, g, s, interpret=True))(gradients, states)
    near(found, jax.vmap(rule.update_coordinates)(gradients, states), STEP)


# JAX 0.12 says so where the caller's own program is lowered, outside of the kernel's code.
@pytest.mark.filterwarnings("ignore:The Pallas Triton backend is deprecated:DeprecationWarning")
def test_it_is_lowered_for_a_gpu():
    pytest.importorskip("jax.experimental.pallas.triton", reason="JAX has dropped Triton")
    rule = lstm(hidden=20)
    gradient, state = situation(rule, 150)
    # Where there is no GPU, JAX 0.12 asks which one is meant.
    known = {"device_kind": "NVIDIA H100 80GB HBM3", "num_cores": None, "platform": "gpu"}
    asked = dataclasses.fields(jax.sharding.AbstractDevice)
    device = jax.sharding.AbstractDevice(**{field.name: known[field.name] for field in asked})
    mesh = jax.sharding.AbstractMesh((1,), ("all",), abstract_device=device)
    with jax.sharding.use_abstract_mesh(mesh):
        step = jax.jit(_fused.fused).trace(rule, gradient, state)
        assert "triton" in step.lower(lowering_platforms=("cuda",)).as_text()


def test_it_is_for_gpus_and_for_single_precision(monkeypatch):
    assert not _fused.usable(lstm())
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    _fused._tried.cache_clear()
    # It cannot be compiled here, which costs nothing but the speed.
    assert not _fused.usable(lstm())
    rule = lstm()
    found = rule.update_many(jnp.ones(3), rule.init_coordinates(3))
    near(found, rule.update_coordinates(jnp.ones(3), rule.init_coordinates(3)), STEP)
    _fused._tried.cache_clear()


def test_where_the_kernel_is_usable_it_is_used(monkeypatch):
    fused = _fused.fused
    monkeypatch.setattr(_fused, "usable", lambda rule: True)
    monkeypatch.setattr(_fused, "fused", lambda *given: fused(*given, interpret=True))
    rule = lstm()
    params = {"a": jnp.ones(3), "b": jnp.ones((2, 2))}
    updates, _ = rule.update(params, rule.init(params), params)
    monkeypatch.undo()
    near(updates, rule.update(params, rule.init(params), params)[0], STEP)
