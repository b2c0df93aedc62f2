"""The rule with a tiny network: no units, a step of known size, small states."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import same, spoken, tree
from innerloop.errors import InnerloopError, SettingsError
from innerloop.rules.general import GeneralRule, _sides


def general(**settings):
    return spoken(GeneralRule(key=jax.random.key(0), **settings))


def gradients(params, steps=4, scale=1.0):
    """`steps` random gradients for `params`."""
    keys = jax.random.split(jax.random.key(3), steps)
    leaves, structure = jax.tree.flatten(params)
    for key in keys:
        parts = jax.random.split(key, len(leaves))
        random = [scale * jax.random.normal(k, x.shape) for k, x in zip(parts, leaves, strict=True)]
        yield jax.tree.unflatten(structure, random)


def network():
    keys = jax.random.split(jax.random.key(5), 3)
    return {
        "kernel": 0.3 * jax.random.normal(keys[0], (6, 3, 3, 4)),
        "weight": 0.1 * jax.random.normal(keys[1], (12, 5)),
        "bias": jnp.zeros(5),
        "row": 0.2 * jax.random.normal(keys[2], (1, 7)),
    }


def updates_of(rule, params, scale=1.0):
    """The updates after four steps at the same parameters."""
    state, updates = rule.init(params), params
    for grads in gradients(params, scale=scale):
        updates, state = rule.update(grads, state, params)
    return updates


def rms(leaf):
    return float(jnp.sqrt(jnp.mean(leaf**2)))


def assert_close(one, other, rtol=2e-3):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * float(jnp.max(jnp.abs(b))))


@pytest.mark.parametrize("orthogonalise", [False, True])
@pytest.mark.parametrize("scale", [1e-8, 1e6])
def test_the_unit_of_the_loss_changes_nothing(orthogonalise, scale):
    rule, params = general(orthogonalise=orthogonalise), network()
    assert_close(updates_of(rule, params, scale), updates_of(rule, params))


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_a_step_has_the_unit_of_the_parameters(scale):
    rule, params = general(), network()
    scaled = jax.tree.map(lambda leaf: scale * leaf, params)
    expected = jax.tree.map(lambda leaf: scale * leaf, updates_of(rule, params))
    assert_close(updates_of(rule, scaled, 1 / scale), expected)


def test_the_size_of_a_step_is_relative_to_its_array():
    rule, params = GeneralRule(key=jax.random.key(0), learning_rate=0.5), network()
    updates = updates_of(rule, params)
    unit = rms(jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(params)]))
    for name in ("kernel", "weight", "row"):
        assert rms(updates[name]) == pytest.approx(0.5 * 0.01 * rms(params[name]), rel=1e-3)
    assert rms(updates["bias"]) == pytest.approx(0.5 * 0.01 * 0.1 * unit, rel=1e-3)


def test_parameters_that_all_begin_at_zero_have_a_step():
    params = {"w": jnp.zeros((4, 3))}
    updates = updates_of(GeneralRule(key=jax.random.key(0)), params)
    assert rms(updates["w"]) == pytest.approx(1e-4, rel=1e-3)


def test_it_begins_close_to_adam():
    params = network()
    ours = updates_of(GeneralRule(key=jax.random.key(0)), params)
    adam = optax.scale_by_adam(b1=0.9, b2=0.95)
    state, theirs = adam.init(params), params
    for grads in gradients(params):
        theirs, state = adam.update(grads, state)
    for name, update in ours.items():
        cosine = jnp.vdot(update, theirs[name]) / jnp.linalg.norm(update.ravel())
        assert float(cosine / jnp.linalg.norm(theirs[name].ravel())) < -0.99


def test_it_trains_a_small_network():
    inputs = jax.random.normal(jax.random.key(0), (64, 6))
    targets = jnp.sin(inputs @ jax.random.normal(jax.random.key(1), (6, 2)))
    params = {
        "w": jax.random.normal(jax.random.key(2), (6, 16)) / 2,
        "b": jnp.zeros(16),
        "v": jax.random.normal(jax.random.key(3), (16, 2)) / 4,
    }

    def loss(params):
        return jnp.mean((jnp.tanh(inputs @ params["w"] + params["b"]) @ params["v"] - targets) ** 2)

    rule = GeneralRule(key=jax.random.key(0), orthogonalise=True)

    def body(carry, _):
        params, state = carry
        updates, state = rule.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    (after, _), _ = jax.lax.scan(body, (params, rule.init(params)), length=300)
    assert float(loss(after)) < 0.2 * float(loss(params))


@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (1, 9), (8,), (2, 1, 2), (5, 3, 3, 2), (64, 64)])
def test_a_state_has_at_most_32_bytes_a_parameter(shape):
    state = GeneralRule(key=jax.random.key(0)).init(jnp.ones(shape))
    averages = (state.momenta, state.square, state.rows, state.columns)
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(averages))
    assert held <= 28 * np.prod(shape)
    assert state.unit.nbytes == 4  # Once for all parameters.


def test_averages_of_rows_and_columns_are_of_matrices_alone():
    state = GeneralRule(key=jax.random.key(0)).init(network())
    rows = dict(zip(sorted(network()), state.rows, strict=True))
    columns = dict(zip(sorted(network()), state.columns, strict=True))
    assert rows["kernel"].shape == (3, 6) and columns["kernel"].shape == (3, 36)
    assert rows["weight"].shape == (3, 12) and columns["weight"].shape == (3, 5)
    # None, and not empty: checkpoints hold no array of size 0.
    assert rows["bias"] is columns["bias"] is rows["row"] is columns["row"] is None


def test_a_kernel_is_the_matrix_nearest_to_a_square():
    assert _sides((32, 16, 3, 3)) == (32, 144)
    assert _sides((32, 3, 3, 16)) == (32, 144)
    assert _sides((3, 3, 16, 32)) == (144, 32)
    assert _sides((5, 1)) == (5, 1)


def test_the_orthogonal_choice_evens_out_the_singular_values():
    rule = general(orthogonalise=True)
    # The output that chooses says: all of it.
    rule = jax.tree.map(lambda x: x, rule)
    chosen = rule.output_bias.at[1].set(50.0)
    object.__setattr__(rule, "output_bias", chosen)
    params = {"w": jax.random.normal(jax.random.key(0), (12, 6))}
    values = np.linalg.svd(np.asarray(updates_of(rule, params)["w"]), compute_uv=False)
    before = np.linalg.svd(np.asarray(updates_of(general(), params)["w"]), compute_uv=False)
    assert values.max() / values.min() < 1.8 < before.max() / before.min()


def test_what_is_not_finite_or_zero_keeps_its_bounds():
    rule, params = general(), network()
    nothing = jax.tree.map(jnp.zeros_like, params)
    state = rule.init(params)
    updates, state = rule.update(nothing, state, params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((updates, state)))
    huge = jax.tree.map(lambda leaf: jnp.full(leaf.shape, jnp.inf), params)
    updates, state = rule.update(huge, state, params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((updates, state)))


def test_value_and_unknown_arguments_change_nothing():
    rule, params = general(), tree()
    grads = jax.tree.map(jnp.ones_like, params)
    plain = rule.update(grads, rule.init(params), params)
    told = rule.update(grads, rule.init(params), params, value=jnp.asarray(3.0), steps=10)
    assert same(plain, told)


def test_without_the_parameters_it_says_what_it_needs():
    rule = general()
    with pytest.raises(InnerloopError, match="needs the parameters"):
        rule.update(jnp.ones(3), rule.init(jnp.ones(3)))


@pytest.mark.parametrize(
    ("argument", "value"), [("hidden", 0), ("learning_rate", 0.0), ("learning_rate", -1.0)]
)
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError) as raised:
        GeneralRule(key=jax.random.key(0), **{argument: value})
    assert raised.value.argument == argument
