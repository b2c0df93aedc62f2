"""What holds for every rule, wherever optax.adam(1e-3) could stand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import (
    COORDINATEWISE,
    PERMUTABLE,
    RULES,
    SEES_THE_LOSS,
    close,
    coarsest,
    double,
    same,
    tree,
)
from innerloop import InnerloopError, OptaxRule
from innerloop.rules._batch import batched

ADDITIONS = 200  # In three steps of two layers of ten inputs.
LOSS = {"value": jnp.asarray(1.0)}


@pytest.fixture(params=RULES)
def rule(request):
    return RULES[request.param]()


@pytest.fixture(params=COORDINATEWISE)
def coordinatewise(request):
    return RULES[request.param]()


def grads_of(params):
    return jax.tree.map(lambda leaf: (0.3 * leaf).astype(leaf.dtype) + 1, params)


def run(optimizer, params, steps=3, **extra):
    state = optimizer.init(params)
    extra = {**LOSS, **extra}
    for _ in range(steps):
        updates, state = optimizer.update(grads_of(params), state, params, **extra)
        params = optax.apply_updates(params, updates)
    return params


def in_float64(rule):
    """(the rule, a tree for it, what `close` is to be told).

    A rule that divides by small differences would make float32's rounding large, and compiled
    code rounds to bfloat16 less often. A state that the rule keeps in a coarser dtype stays so.
    """
    rule, params = double((rule, tree()))
    state = rule.init(params)
    dtype = str(coarsest(state)) if jax.tree.leaves(state) else "float64"
    # A small step may be the difference of large numbers, for which float64 has the digits.
    additions = {"bfloat16": 4, "float32": ADDITIONS, "float64": 500 * ADDITIONS}[dtype]
    return rule, params, {"additions": additions, "dtype": dtype}


def assert_moved_alike(before, after):
    """Same structure, shapes and dtypes; finite; every coordinate moved."""
    assert jax.tree.structure(before) == jax.tree.structure(after)
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert old.shape == new.shape and old.dtype == new.dtype
        assert np.all(np.isfinite(np.asarray(new, np.float32)))
    assert any(
        np.any(np.asarray(new != old))
        for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    )


def test_keeps_structure_shapes_and_dtypes(rule):
    params = tree()
    optimizer = rule.as_optax()
    updates, _ = optimizer.update(grads_of(params), optimizer.init(params), params, **LOSS)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), updates) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), params
    )
    assert_moved_alike(params, run(rule.as_optax(), params))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_runs_on_either_dtype(rule, dtype):
    params = {"w": jnp.zeros((2, 2), dtype)}
    assert_moved_alike(params, run(rule.as_optax(), params))


@pytest.mark.parametrize("params", [{}, {"none": None}, jnp.zeros(0), (jnp.ones(()),)])
def test_runs_on_odd_trees(rule, params):
    after = run(rule.as_optax(), params)
    assert jax.tree.structure(after) == jax.tree.structure(params)


def test_accepts_unknown_extra_arguments(rule):
    params = tree()
    plain = run(rule.as_optax(), params)
    assert same(run(rule.as_optax(), params, unheard_of=3), plain)


@pytest.mark.parametrize("name", sorted({*RULES} - {*SEES_THE_LOSS}))
def test_accepts_the_loss_and_does_without(name):
    params, optimizer = tree(), RULES[name]().as_optax()
    assert same(run(optimizer, params), run(optimizer, params, value=None))


def test_compiles_once(rule):
    optimizer, params = rule.as_optax(), tree()
    traces = []

    @jax.jit
    def step(params, state):
        traces.append(None)
        updates, state = optimizer.update(grads_of(params), state, params, **LOSS)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for _ in range(3):
        params, state = step(params, state)
    assert len(traces) == 1


def test_jit_changes_nothing(float64, rule):
    rule, params, tolerance = in_float64(rule)
    compiled = jax.jit(lambda params: run(rule.as_optax(), params))(params)
    close(compiled, run(rule.as_optax(), params), **tolerance)


def test_state_is_stable_under_scan_and_cond(float64, rule):
    rule, params, tolerance = in_float64(rule)
    optimizer = rule.as_optax()

    def body(carry, flag):
        params, state = carry

        def step():
            updates, new = optimizer.update(grads_of(params), state, params, **LOSS)
            return optax.apply_updates(params, updates), new

        return jax.lax.cond(flag, step, lambda: (params, state)), None

    start = (params, optimizer.init(params))
    (after, _), _ = jax.lax.scan(body, start, jnp.asarray([True, False, True, True]))
    close(after, run(optimizer, params), **tolerance)


def test_runs_under_vmap(float64, rule):
    rule, _, tolerance = in_float64(rule)
    params = {"w": jnp.linspace(-1, 1, 12).reshape(4, 3)}
    optimizer = rule.as_optax()
    together = jax.vmap(lambda params: run(optimizer, params))(params)
    alone = [run(optimizer, {"w": row}) for row in params["w"]]
    close(together, {"w": jnp.stack([each["w"] for each in alone])}, **tolerance)


def test_stands_in_a_chain(rule):
    chain = optax.chain(
        optax.clip_by_global_norm(0.1), rule.as_optax(), optax.add_decayed_weights(-1e-2)
    )
    assert_moved_alike(tree(), run(chain, tree()))


def test_stands_in_a_multi_transform_beside_adam(rule):
    params = {"ours": jnp.ones(3), "theirs": jnp.ones(3)}
    optimizer = optax.multi_transform(
        {"ours": rule.as_optax(), "theirs": optax.adam(0.1)},
        {"ours": "ours", "theirs": "theirs"},
    )
    after = run(optimizer, params)
    close(after["ours"], run(rule.as_optax(), {"w": params["ours"]})["w"], additions=ADDITIONS)
    close(after["theirs"], run(optax.adam(0.1), {"w": params["theirs"]})["w"], additions=ADDITIONS)


def test_stands_in_multi_steps(rule):
    params = {"w": jnp.ones(3)}
    optimizer = optax.MultiSteps(rule.as_optax(), every_k_schedule=2)
    state, grads, seen = optimizer.init(params), {"w": jnp.ones(3)}, [params]
    for _ in range(2):
        updates, state = optimizer.update(grads, state, seen[-1], **LOSS)
        seen.append(optax.apply_updates(seen[-1], updates))
    assert same(seen[0], seen[1])
    assert np.any(np.asarray(seen[2]["w"] != seen[1]["w"]))


def test_is_a_pytree_whose_leaves_are_the_meta_parameters(rule):
    def travelled(rule):
        return jnp.sum(run(rule.as_optax(), {"w": jnp.ones(3)})["w"] ** 2)

    gradient = eqx.filter_grad(travelled)(rule)
    leaves = jax.tree.leaves(gradient)
    assert leaves and all(np.all(np.isfinite(leaf)) for leaf in leaves)
    assert any(np.any(leaf != 0) for leaf in leaves)


def test_a_batch_is_the_problems_one_by_one(float64, rule):
    rule, _, tolerance = in_float64(rule)
    params = {"a": jnp.linspace(-1, 1, 12).reshape(4, 3), "b": jnp.linspace(1, 2, 4)}
    rules, loss = batched(rule), jnp.ones(4)
    state = rules.pack(jax.vmap(rule.init)(params))
    each_state = [rule.init(jax.tree.map(lambda leaf, i=i: leaf[i], params)) for i in range(4)]
    for _ in range(2):
        updates, state = rules.update(params, state, params, loss)
        for i in range(4):
            own = jax.tree.map(lambda leaf, i=i: leaf[i], params)
            expected, each_state[i] = rule.update(own, each_state[i], own, value=loss[i])
            close(jax.tree.map(lambda leaf, i=i: leaf[i], updates), expected, **tolerance)
    unpacked = rules.unpack(state, 4)
    for i in range(4):
        mine = jax.tree.map(lambda leaf, i=i: leaf[i], unpacked)
        close(mine, each_state[i], **tolerance)


@pytest.mark.parametrize("name", PERMUTABLE)
def test_coordinates_may_be_permuted(float64, name):
    rule, _, tolerance = in_float64(RULES[name]())
    params = jnp.linspace(-2, 2, 7)
    order = jnp.asarray([3, 0, 6, 1, 5, 2, 4])
    optimizer = rule.as_optax()
    close(run(optimizer, params[order]), run(optimizer, params)[order], **tolerance)


def test_coordinates_share_weights_and_keep_their_states_apart(float64, coordinatewise):
    rule, _, tolerance = in_float64(coordinatewise)
    optimizer = rule.as_optax()
    state = optimizer.init(jnp.zeros(3))
    for gradient in ([1.0, 1.0, 0.2], [1.0, -3.0, 0.2]):
        updates, state = optimizer.update(jnp.asarray(gradient), state)
    updates, _ = optimizer.update(jnp.ones(3), state)
    alone = optimizer.init(jnp.zeros(1))
    for _ in range(2):
        _, alone = optimizer.update(jnp.ones(1), alone)
    expected, _ = optimizer.update(jnp.ones(1), alone)
    # The first coordinate's history is the same with neighbours as without them, and a
    # different history under the same weights gives a different step.
    close(updates[0], expected[0], **tolerance)
    assert len({round(float(step), 9) for step in updates}) == 3


def test_the_state_can_be_donated(rule):
    params = tree()
    optimizer = rule.as_optax()
    step = jax.jit(
        lambda state: optimizer.update(grads_of(params), state, params, **LOSS)[1], donate_argnums=0
    )
    state = step(step(optimizer.init(params)))
    assert all(np.all(np.isfinite(np.asarray(leaf, np.float32))) for leaf in jax.tree.leaves(state))


def test_the_transformation_is_two_functions_that_can_be_hashed(rule):
    optimizer = rule.as_optax()
    assert hash(optimizer.init) != hash(optimizer.update)
    leaves = jax.tree.leaves((optimizer.init, optimizer.update))
    assert leaves == [optimizer.init, optimizer.update]

    step = jax.jit(lambda optimizer, params: run(optimizer, params), static_argnums=0)
    assert_moved_alike(tree(), step(optimizer, tree()))


def test_complex_parameters_are_refused_or_moved_whole(rule):
    params = {"real": jnp.ones(2), "z": jnp.asarray([1 + 1j, 2 - 1j], jnp.complex64)}
    try:
        after = run(rule.as_optax(), params)
    except InnerloopError as error:
        assert "['z'] are complex64; learned rules move real" in str(error)
        return
    assert isinstance(rule, OptaxRule)
    moved = after["z"] - params["z"]
    assert jnp.all(moved.real != 0) and jnp.all(moved.imag != 0)
