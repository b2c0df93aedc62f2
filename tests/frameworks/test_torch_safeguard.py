"""The safeguard in PyTorch judges as the one in JAX does."""

import copy
import io

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop
from innerloop import InnerloopError

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'innerloop[torch]'")

import innerloop.torch  # noqa: E402

torch.set_num_threads(1)
RULE, STEPS = "lstm-quadratic", 120
SCALES = {"like-its-own": 1.0, "far-from-its-own": 30.0}


def problem(scale):
    random = np.random.default_rng(0)
    w, y = scale * random.normal(size=(10, 10)), random.normal(size=10)
    return [each.astype(np.float32) for each in (w, y, random.normal(size=10))]


def jax_losses(scale, fallback):
    w, y, x = map(jnp.asarray, problem(scale))
    optimizer = innerloop.safeguard(innerloop.load(RULE), fallback)

    def step(carry, _):
        x, state = carry
        loss, grad = jax.value_and_grad(lambda x: jnp.sum((w @ x - y) ** 2))(x)
        updates, state = optimizer.update(grad, state, x, value=loss)
        return (x + updates, state), (loss, state.watch.learned)

    losses, learned = jax.lax.scan(step, (x, optimizer.init(x)), length=STEPS)[1]
    return np.asarray(losses), np.asarray(learned)


def make(scale):
    w, y, x = map(torch.tensor, problem(scale))
    param = torch.nn.Parameter(x)
    rule = innerloop.torch.load(RULE, [param])
    optimizer = innerloop.torch.safeguard(rule, torch.optim.SGD([param], lr=0.003 / scale**2))

    def run(optimizer, param, steps):
        def closure():
            optimizer.zero_grad()
            loss = (w @ param - y).square().sum()
            loss.backward()
            return loss

        found = []
        for _ in range(steps):
            loss = float(optimizer.step(closure).detach())
            found.append((loss, bool(optimizer._watch.learned)))
        return tuple(map(np.asarray, zip(*found, strict=True)))

    return optimizer, param, run


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_it_judges_as_in_jax(scale):
    losses, learned = jax_losses(scale, optax.sgd(0.003 / scale**2))
    optimizer, param, run = make(scale)
    found, ours = run(optimizer, param, STEPS)
    np.testing.assert_array_equal(ours[:40], learned[:40])
    np.testing.assert_allclose(found[:40], losses[:40], rtol=1e-3)
    assert np.any(learned) and found[-1] < losses[0]


def test_a_resumed_run_and_a_copy_go_on_alike():
    optimizer, param, run = make(1.0)
    run(optimizer, param, 30)
    stream = io.BytesIO()
    torch.save(optimizer.state_dict(), stream)
    stream.seek(0)
    again, other, run_again = make(1.0)
    other.data.copy_(param.data)
    again.load_state_dict(torch.load(stream, weights_only=True))
    third = copy.deepcopy(optimizer)
    expected = run(optimizer, param, 30)
    np.testing.assert_array_equal(expected, run_again(again, other, 30))
    np.testing.assert_array_equal(expected, run(third, third.param_groups[0]["params"][0], 30))


def test_what_it_cannot_do_is_refused():
    param, other = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    sgd = torch.optim.SGD([param], lr=0.1)
    with pytest.raises(InnerloopError, match="different parameters"):
        innerloop.torch.safeguard(innerloop.torch.load(RULE, [other]), sgd)
    rule = innerloop.torch.load(RULE, [param])
    with pytest.raises(InnerloopError, match="steps is 0"):
        innerloop.torch.safeguard(rule, sgd, steps=0)
    with pytest.raises(InnerloopError, match="watches the loss"):
        innerloop.torch.safeguard(rule, sgd).step()
