"""The Meta-Learner LSTM's rule against its equations, and against what it generalises."""

import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import close, double, spoken
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
def test_agrees_with_the_equations(float64, key, forget):
    mine = double(spoken(rule(forget=forget)))
    weight, bias = np.asarray(mine.layer.weight, float), np.asarray(mine.layer.bias, float)
    gate_weight, gate_bias = np.asarray(mine.gate_weight, float), np.asarray(mine.gate_bias, float)
    theta = np.linspace(-1, 1, 4)
    h = c = np.zeros((5, 4))
    i = f = np.zeros(4)  # Before the sigmoid.
    params, state = jnp.asarray(theta), mine.init(jnp.zeros(4))
    for number, slope in enumerate(np.array(jax.random.normal(key, (4, 4)))):
        slope[0], loss = 1e-6, 2.0 / (1 + number)
        value = jnp.asarray(loss)
        updates, state = mine.update(jnp.asarray(slope), state, params, value=value)
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
        close(params, theta, additions=200)
        close(mine.gates(state)[0], sigmoid(i), additions=200)
        close(mine.gates(state)[1], kept * np.ones(4), additions=200)


def test_with_constant_gates_it_is_gradient_descent(float64, key):
    bias = jnp.asarray([-1.5, 3.0])
    mine = eqx.tree_at(
        lambda rule: (rule.gate_weight, rule.gate_bias),
        double(rule(forget="one")),
        (jnp.zeros((2, 7)), bias),
    )
    task, keys = Quadratic(3), jax.random.split(key, 2)
    descent = OptaxRule(optax.sgd, 0.0)
    # Put in its place, where it is not rounded to float32.
    rate = jax.nn.sigmoid(bias[0])
    descent = eqx.tree_at(lambda rule: rule.learning_rate, descent, rate)
    loops, losses = zip(
        *(unroll(each, task, InnerLoop.init(each, task, keys), 6) for each in (mine, descent)),
        strict=True,
    )
    close(losses[0], losses[1], additions=1000)
    close(loops[0].params, loops[1].params, additions=1000)


def test_a_forget_gate_below_one_shrinks_the_parameters():
    mine = eqx.tree_at(
        lambda rule: (rule.gate_weight, rule.gate_bias),
        rule(),
        (jnp.zeros((2, 7)), jnp.asarray([-1.5, 3.0])),
    )
    params = jnp.linspace(-2, 2, 5)
    updates, _ = mine.update(jnp.zeros(5), mine.init(params), params, value=LOSS)
    close(params + updates, np.asarray(sigmoid(3.0) * params), additions=10)


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
    close(after(slopes, params)[:1], alone, additions=100)


@pytest.mark.parametrize("given", [{"value": LOSS}, {"params": jnp.zeros(2)}])
def test_it_says_what_it_was_not_given(given):
    missing = "value" if "params" in given else "params"
    with pytest.raises(InnerloopError, match=f"{missing} is None; call update"):
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
    try:
        jnp.ones(2, dtype).astype(jnp.float32).block_until_ready()
    except jax.errors.JaxRuntimeError:
        pytest.skip(f"XLA has no {jnp.dtype(dtype)} for processors of this kind")
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
