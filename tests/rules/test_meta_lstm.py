"""The Meta-Learner LSTM's rule against its equations, and against what it generalises."""

import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import spoken
from innerloop import InnerLoop, InnerloopError, OptaxRule, Quadratic, unroll
from innerloop.rules import MetaLSTMRule

LOSS = jnp.asarray(0.7)


def rule(**settings):
    return MetaLSTMRule(key=jax.random.key(0), **{"hidden": 5, **settings})


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def features(x):
    """Of the preprocessing, p = 10."""
    large = np.abs(x) >= np.exp(-10)
    size = np.log(np.maximum(np.abs(x), np.exp(-10))) / 10
    return np.stack([size, np.where(large, np.sign(x), np.exp(10) * x)])


@pytest.mark.parametrize("forget", ["learned", "one"])
def test_agrees_with_the_equations(key, forget):
    mine = spoken(rule(forget=forget))
    weight, bias = np.asarray(mine.layer.weight, float), np.asarray(mine.layer.bias, float)
    gate_weight, gate_bias = np.asarray(mine.gate_weight, float), np.asarray(mine.gate_bias, float)
    theta = np.linspace(-1, 1, 4)
    h = c = np.zeros((5, 4))
    i = f = np.zeros(4)  # Before the sigmoid.
    params, state = jnp.asarray(theta, "float32"), mine.init(jnp.zeros(4))
    for number, slope in enumerate(np.asarray(jax.random.normal(key, (4, 4)), float)):
        slope[0], loss = 1e-6, 2.0 / (1 + number)
        value = jnp.asarray(loss, "float32")
        updates, state = mine.update(jnp.asarray(slope, "float32"), state, params, value=value)
        params = params + updates
        x = np.concatenate([features(slope), features(np.full(4, loss))])
        gates = weight @ np.concatenate([x, h]) + bias[:, None]
        enter, keep, out, new = np.split(gates, 4)
        c = sigmoid(keep) * c + sigmoid(enter) * np.tanh(new)
        h = sigmoid(out) * np.tanh(c)
        i = gate_weight[0] @ np.concatenate([h, theta[None], i[None]]) + gate_bias[0]
        f = gate_weight[1] @ np.concatenate([h, theta[None], f[None]]) + gate_bias[1]
        kept = sigmoid(f) if forget == "learned" else 1
        theta = kept * theta - sigmoid(i) * slope
        np.testing.assert_allclose(params, theta, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(mine.gates(state)[0], sigmoid(i), rtol=1e-4)
        np.testing.assert_allclose(mine.gates(state)[1], kept * np.ones(4), rtol=1e-4)


def test_with_constant_gates_it_is_gradient_descent(key):
    bias = jnp.asarray([-1.5, 3.0])
    mine = eqx.tree_at(
        lambda rule: (rule.gate_weight, rule.gate_bias),
        rule(forget="one"),
        (jnp.zeros((2, 7)), bias),
    )
    task, keys = Quadratic(3), jax.random.split(key, 2)
    descent = OptaxRule(optax.sgd, jax.nn.sigmoid(bias[0]))
    loops, losses = zip(
        *(unroll(each, task, InnerLoop.init(each, task, keys), 6) for each in (mine, descent)),
        strict=True,
    )
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    np.testing.assert_allclose(loops[0].params, loops[1].params, rtol=1e-5, atol=1e-6)


def test_a_forget_gate_below_one_shrinks_the_parameters():
    mine = eqx.tree_at(
        lambda rule: (rule.gate_weight, rule.gate_bias),
        rule(),
        (jnp.zeros((2, 7)), jnp.asarray([-1.5, 3.0])),
    )
    params = jnp.linspace(-2, 2, 5)
    updates, _ = mine.update(jnp.zeros(5), mine.init(params), params, value=LOSS)
    np.testing.assert_allclose(params + updates, sigmoid(3.0) * params, rtol=1e-6)


def test_coordinates_keep_their_histories_apart():
    mine, params = spoken(rule()), jnp.asarray([0.5, -1.0, 2.0])

    def after(slopes, params):
        state = mine.init(params)
        for slope in slopes:
            updates, state = mine.update(slope, state, params, value=LOSS)
            params = params + updates
        return params

    slopes = jnp.asarray([[1.0, 1.0, 0.2], [1.0, -3.0, 0.2], [1.0, 1.0, 1.0]])
    alone = after(slopes[:, :1], params[:1])
    np.testing.assert_allclose(after(slopes, params)[:1], alone, rtol=1e-6)


@pytest.mark.parametrize("given", [{"value": LOSS}, {"params": jnp.zeros(2)}])
def test_it_says_what_it_was_not_given(given):
    missing = "value, the loss" if "params" in given else "params"
    with pytest.raises(InnerloopError, match=f"needs {missing}"):
        rule().update(jnp.zeros(2), rule().init(jnp.zeros(2)), **given)


def test_it_begins_with_small_steps_and_little_forgetting():
    rules = [MetaLSTMRule(key=key, hidden=5) for key in jax.random.split(jax.random.key(0), 5)]
    biases = np.stack([each.gate_bias for each in rules])
    assert np.all((biases[:, 0] > -5) & (biases[:, 0] < -4))
    assert np.all((biases[:, 1] > 4) & (biases[:, 1] < 5))
    assert len(np.unique(biases)) == 10
    for name in ("layer.weight", "layer.bias", "gate_weight"):
        leaves = [np.asarray(operator.attrgetter(name)(each)) for each in rules]
        assert all(0.005 < np.abs(leaf).max() <= 0.01 for leaf in leaves)
        assert len(np.unique(np.stack(leaves))) > 0.99 * np.size(leaves)


def test_it_begins_at_the_rate_it_is_told():
    mine = rule(rate=0.2, keep=0.999)
    state = mine.init(jnp.ones(3))
    _, state = mine.update(jnp.ones(3), state, jnp.ones(3), value=LOSS)
    np.testing.assert_allclose(mine.gates(state)[0], 0.2, atol=0.01)
    np.testing.assert_allclose(mine.gates(state)[1], 0.999, atol=1e-4)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_stays_half_precision(dtype):
    params = {"w": jnp.ones((2, 2), dtype)}
    state = rule().init(params)
    updates, after = rule().update(params, state, params, value=LOSS)
    assert updates["w"].dtype == dtype and np.all(np.asarray(updates["w"], float) < 0)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((state, after)))


@pytest.mark.parametrize(
    "settings", [{"hidden": 0}, {"hidden": -1}, {"rate": 0.0}, {"rate": 1.0}, {"keep": 1.0}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InnerloopError, match=f"{next(iter(settings))} is"):
        rule(**settings)
