"""The baselines: what each is made of, and how groups and names choose them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import close
from innerloop import Quadratic, evaluate
from innerloop.comparison import BASELINES, choose
from innerloop.comparison.baselines import GROUPS, cosine

PARAMS = {
    "kernel": jnp.linspace(0.5, 1.5, 4 * 3 * 2 * 2).reshape(4, 3, 2, 2),
    "matrix": jnp.linspace(0.5, 1.5, 12).reshape(4, 3),
    "scalar": jnp.asarray(1.0),
    "vector": jnp.linspace(0.5, 1.5, 3),
}


def descend(baseline, params, rate, second):
    """Ten steps down ½‖θ‖²."""
    rule = baseline.rule(rate, horizon=10, second=second)

    def step(carry, _):
        params, state = carry
        updates, state = rule.update(params, state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, rule.init(params)), length=10)[0][0]


def test_every_baseline_descends_whatever_the_shapes_and_for_many_settings_at_once():
    @jax.jit
    def all_of_them(rates):
        return {
            name: jax.vmap(lambda rate, each=each: descend(each, PARAMS, rate, None))(rates)
            for name, each in BASELINES.items()
        }

    for name, ended in all_of_them(jnp.asarray([0.01, 0.02])).items():
        for leaf, start in PARAMS.items():
            sizes = np.abs(np.asarray(ended[leaf], float)).reshape(2, -1).sum(axis=1)
            # DoG begins with steps of a millionth, and a fixed rate is not this one.
            slack = 1 + 1e-6 if BASELINES[name].rate else 0.999
            assert sizes[1] <= sizes[0] <= np.abs(start).sum() * slack, (name, leaf)


@pytest.mark.parametrize("name", [each.name for each in BASELINES.values() if each.second])
def test_the_second_setting_makes_a_difference(name):
    each, start = BASELINES[name], jax.random.normal(jax.random.key(0), (8, 8))
    ends = [descend(each, start, 0.3, value) for value in each.values]
    assert each.values[0] == pytest.approx(float(each.rule(0.1).second))
    assert len({float(jnp.sum(end)) for end in ends}) == 3


def test_groups_and_names_are_mixed():
    assert list(choose(["untuned", "muon", "dog"])) == [*GROUPS["untuned"], "muon"]
    assert choose([]).keys() == choose(["modern"]).keys() > set(GROUPS["classic"])
    assert {name for group in GROUPS.values() for name in group} <= set(BASELINES)


def test_of_the_classic_ones_the_rate_alone_is_tuned():
    assert all(len(each.values) < 2 for each in choose(["classic"]).values())
    assert all(len(each.values) == 3 for each in choose(["nesterov", "adamw-cosine"]).values())
    assert [each.rate for each in choose(["untuned"]).values()] == [1e-3, 1.0, 1.0]


def test_the_cosine_rises_for_a_tenth_and_ends_at_the_horizon():
    rates = [float(cosine(2.0, 100)(step)) for step in range(120)]
    np.testing.assert_allclose(rates[:10], 0.2 * np.arange(1, 11), rtol=1e-5)
    assert max(rates) == pytest.approx(2.0) and rates[54] == pytest.approx(1.0, rel=1e-2)
    assert rates[99] == pytest.approx(0, abs=1e-6) and rates[119] == pytest.approx(0, abs=1e-6)


def test_muon_takes_kernels_as_matrices():
    rule = BASELINES["muon"].rule(1.0)
    grads = jax.random.normal(jax.random.key(0), (8, 3, 2, 2))
    update, _ = rule.update({"kernel": grads}, rule.init({"kernel": grads}), {"kernel": grads})
    singular = np.linalg.svd(np.asarray(update["kernel"]).reshape(8, 12), compute_uv=False)
    assert singular.max() < 2 * singular.min()
    assert np.linalg.svd(np.asarray(grads).reshape(8, 12), compute_uv=False).max() > 2


def test_schedule_free_is_judged_at_its_average():
    rule, task, key = BASELINES["schedule-free-adamw"].rule(0.5), Quadratic(3), jax.random.key(0)
    curves = evaluate(rule, task, key=key, problems=2, marks=(4,))
    sample_key, init_key, loss_key = jax.random.split(jax.random.split(key, 2)[1], 3)
    problem = task.sample(key=sample_key)
    params = task.init(problem, key=init_key)
    state, expected, own = rule.init(params), [], []
    for _ in range(5):
        average = optax.contrib.schedule_free_eval_params(state, params)
        expected.append(task.loss(average, problem, key=loss_key))
        own.append(float(task.loss(params, problem, key=loss_key)))
        grads = jax.grad(task.loss)(params, problem, key=loss_key)
        updates, state = rule.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    close(curves.losses[:, 1], np.asarray(expected), additions=200)
    assert abs(own[4] - curves.losses[4, 1]) > 1e-2 * own[4]
