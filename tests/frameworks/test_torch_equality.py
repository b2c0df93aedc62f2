"""The same weights and gradients give the same parameters in JAX and in PyTorch."""

import equinox as eqx
import jax
import numpy as np
import optax
import pytest

from helpers import RULES, double
from innerloop import MultiRule, load, save

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'innerloop[torch]'")

import innerloop.torch  # noqa: E402

torch.set_num_threads(1)

STEPS = 100
OTHERS = ("meta-lstm", "ntm-bfgs", "adam", "sgd")
SHIPPED = {
    **dict.fromkeys(("lstm-mnist", "lstm-quadratic", "lstm-neural-art", "lstm-gac-quadratic")),
    **dict.fromkeys(("tensorwise-mnist", "tensorwise-mnist-family")),
    **dict.fromkeys(("lstm-cifar10", "lstm-cifar10-sub", "lstm-cifar10-long")),
}
MADE = {
    **{name: RULES[name] for name in RULES if name not in OTHERS},
    "multi": lambda: MultiRule({"conv": RULES["rnnprop"](), "dense": RULES["lstm"]()}),
    # The run ends before the test does.
    "scheduled-general-told": lambda: RULES["scheduled-general"]().with_horizon(60),
}


def to_torch(array):
    """A layer's array as PyTorch lays it out: outputs first, then inputs, then the rest."""
    axes = list(range(array.ndim))
    return np.transpose(array, axes[:-3:-1] + axes[:-2])


def network(dtype):
    """Arrays of many shapes, in two parts."""
    random = np.random.default_rng(0)
    shapes = {
        "conv": {"kernel": (3, 3, 2, 4), "wide": (3, 1, 6, 2), "bias": (4,)},
        "dense": {"kernel": (12, 7), "tall": (4, 9), "row": (1, 5), "bias": (7,), "scale": ()},
    }
    draw = lambda shape: random.normal(0, 0.3, shape).astype(dtype)  # noqa: E731
    return {part: {name: draw(shape) for name, shape in s.items()} for part, s in shapes.items()}


def gradients(params):
    """STEPS gradients for each array, which shrink and have a direction."""
    random = np.random.default_rng(1)

    def draw(leaf):
        noise = random.normal(0, 1, (STEPS, *leaf.shape)) + random.normal(0, 1, leaf.shape)
        decay = 0.97 ** np.arange(STEPS).reshape(-1, *[1] * leaf.ndim)
        return (noise * decay * 10.0 ** random.uniform(-3, 1)).astype(leaf.dtype)

    return jax.tree.map(draw, params)


@eqx.filter_jit
def after_jax(rule, params, grads):
    optimizer = rule.as_optax()

    def step(carry, grads):
        params, state = carry
        updates, state = optimizer.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, optimizer.init(params)), grads)[0][0]


def after_torch(path, params, grads, **settings):
    tensors = jax.tree.map(lambda a: torch.nn.Parameter(torch.tensor(to_torch(a))), params)
    steps = jax.tree.map(lambda a: torch.tensor(np.stack([to_torch(x) for x in a])), grads)
    groups = [{"params": list(part.values())} for part in tensors.values()]
    if "multi" in str(path) or "cifar" in str(path):
        groups = [{**group, "part": part} for part, group in zip(tensors, groups, strict=True)]
    optimizer = innerloop.torch.load(path, groups, **settings)
    for number in range(STEPS):
        for part, each in tensors.items():
            for name, tensor in each.items():
                tensor.grad = steps[part][name][number]
        optimizer.step()
    return jax.tree.map(lambda tensor: tensor.detach().numpy(), tensors)


def assert_equal(path, rule, dtype, tolerance, **settings):
    params = network(dtype)
    grads = gradients(params)
    ours = after_torch(path, params, grads, **settings)
    theirs = after_jax(rule, params, grads)
    for part, arrays in params.items():
        for name, start in arrays.items():
            one, other = ours[part][name], to_torch(np.asarray(theirs[part][name]))
            assert one.dtype == dtype and np.all(np.abs(other - to_torch(start)) > 0)
            largest = np.max(np.abs(other))
            np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * largest, err_msg=name)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_rules_make_the_same_steps(name):
    assert_equal(name, load(name), np.float32, 1e-4)


@pytest.mark.parametrize("name", MADE)
def test_all_rules_make_the_same_steps_in_float32(name, tmp_path):
    rule = MADE[name]()
    assert_equal(save(rule, tmp_path / f"{name}.safetensors"), rule, np.float32, 1e-4)


@pytest.mark.parametrize("name", MADE)
def test_all_rules_make_the_same_steps_in_float64(name, tmp_path, monkeypatch, float64):
    # Small blocks, as large tensors have many.
    monkeypatch.setattr("innerloop.torch._general.BLOCK", 9)
    monkeypatch.setattr("innerloop.torch._lstm.CHUNK", 5)
    rule = double(MADE[name]())
    path = save(rule, tmp_path / f"{name}.safetensors")
    assert_equal(path, load(path), np.float64, 1e-6)


def test_a_rule_that_is_told_the_length_of_the_run_makes_the_same_steps(tmp_path):
    rule = RULES["scheduled-general"]()
    path = save(rule.with_horizon(7), tmp_path / "rule.safetensors")
    assert_equal(path, rule.with_horizon(60), np.float32, 1e-4, steps=60)
