"""A learned rule in PyTorch is a torch.optim.Optimizer like the others."""

import copy
import io
import subprocess
import sys

import equinox as eqx
import pytest

from helpers import RULES
from innerloop import InnerloopError, MultiRule, OptaxRule, save

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'innerloop[torch]'")

from innerloop.torch import load  # noqa: E402

torch.set_num_threads(1)
KINDS = (
    "lstm",
    "lstm-bfloat16",
    "lstm-gac",
    "rnnprop",
    "tensorwise",
    "general",
    "scheduled-general",
)


@pytest.fixture(params=KINDS)
def path(request, tmp_path):
    return save(RULES[request.param](), tmp_path / f"{request.param}.safetensors")


def parameters(dtype=torch.float32):
    shapes = ((3, 4), (4,), (2, 3, 2, 2), ())
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(shape, generator=generator) for shape in shapes]
    return [torch.nn.Parameter(each.to(dtype)) for each in made]


def steps(optimizer, params, count=3, first=0):
    """`count` steps along gradients that depend on the number of the step alone."""
    for number in range(first, first + count):
        generator = torch.Generator().manual_seed(number)
        for param in params:
            param.grad = torch.randn(param.shape, generator=generator).to(param.dtype)
        optimizer.step()
    return [param.detach().clone() for param in params]


def assert_same(one, other):
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_step_returns_the_closures_loss():
    (param,) = [torch.nn.Parameter(torch.ones(3))]
    optimizer = load("lstm-quadratic", [param])

    def closure():
        optimizer.zero_grad()
        loss = param.square().sum()
        loss.backward()
        return loss

    losses = [float(optimizer.step(closure).detach()) for _ in range(20)]
    assert losses[0] == 3.0 and losses[-1] < 0.3
    assert optimizer.step(value=1.0) is None


def test_groups_have_rates_and_decays_of_their_own(path):
    plain, slow, still = parameters(), parameters(), parameters()
    start = [param.detach().clone() for param in plain]
    moved = [a - b for a, b in zip(steps(load(path, plain), plain, 1), start, strict=True)]
    for params, settings in ((slow, {"lr": 0.5}), (still, {"lr": 0.0})):
        after = steps(load(path, params, **settings), params, 1)
        for a, b, step in zip(after, start, moved, strict=True):
            torch.testing.assert_close(a - b, settings["lr"] * step)
    decayed = parameters()
    optimizer = load(path, [{"params": decayed[:2], "weight_decay": 0.5}])
    optimizer.add_param_group({"params": decayed[2:], "lr": 0.5, "weight_decay": 0.5})
    after = steps(optimizer, decayed, 1)
    for number, (a, b, step) in enumerate(zip(after, start, moved, strict=True)):
        lr = 1.0 if number < 2 else 0.5
        torch.testing.assert_close(a, (1 - 0.5 * lr) * b + lr * step)


def test_maximize_is_the_negative_gradient(path):
    one, other = parameters(), parameters()
    for param in other:
        param.grad = torch.ones_like(param)
    for param in one:
        param.grad = -torch.ones_like(param)
    load(path, one).step()
    load(path, other, maximize=True).step()
    assert_same(one, other)


def test_a_scheduler_sets_the_rate():
    params = parameters()
    optimizer = load("tensorwise-mnist", params, lr=torch.tensor(1.0))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0 if step else 1.0)
    first = steps(optimizer, params, 1)
    scheduler.step()
    assert_same(first, steps(optimizer, params, 1))


@pytest.fixture
def scheduled(tmp_path):
    return save(RULES["scheduled-general"](), tmp_path / "scheduled.safetensors")


def test_a_scheduler_is_a_factor_of_the_learned_schedule(scheduled):
    moved = []
    for rate in (1.0, 0.5):
        params = parameters()
        optimizer = load(scheduled, params, steps=9)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, rate)
        before = steps(optimizer, params, 1)
        scheduler.step()
        after = steps(optimizer, params, 1, first=1)
        moved.append([a - b for a, b in zip(after, before, strict=True)])
    for plain, slow in zip(*moved, strict=True):
        assert plain.abs().min() > 0
        torch.testing.assert_close(slow, 0.5 * plain, rtol=1e-4, atol=1e-6)


def test_a_resumed_run_that_is_told_its_length_is_the_uninterrupted_one(scheduled):
    whole, first, untold = parameters(), parameters(), parameters()
    expected = steps(load(scheduled, whole, steps=6), whole, 6)
    optimizer = load(scheduled, first, steps=6)
    steps(optimizer, first)
    resumed = load(scheduled, first, steps=6)
    resumed.load_state_dict(optimizer.state_dict())
    assert_same(expected, steps(resumed, first, first=3))
    steps(load(scheduled, untold), untold, 6)
    assert not torch.equal(untold[0], whole[0])


def test_a_parameter_that_comes_late_keeps_to_the_schedule_of_the_others(scheduled):
    params = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    optimizer = load(scheduled, params, steps=10)
    params[0].grad = torch.ones(3)
    for _ in range(9):
        optimizer.step()
    params[1].grad = torch.ones(3)
    optimizer.step()
    late = params[1].detach() - 1
    alone = torch.nn.Parameter(torch.ones(3))
    alone.grad = torch.ones(3)
    load(scheduled, [alone], steps=10).step()
    # The last factor and the first, of the schedule that nothing has trained.
    torch.testing.assert_close(late, (alone.detach() - 1) * 0.01 / 0.1, rtol=1e-4, atol=1e-6)


def test_frozen_weights_that_are_not_finite_are_refused(tmp_path):
    rule = RULES["scheduled-general"]()
    bad = eqx.tree_at(lambda each: each.bits.second_bias, rule, rule.bits.second_bias | 0x7F800000)
    for each in (bad, MultiRule({"conv": bad})):
        path = save(each, tmp_path / "bad.safetensors")
        with pytest.raises(InnerloopError, match=r"bad.safetensors is damaged: .* not finite"):
            load(path, parameters())


def test_a_parameter_without_a_gradient_stays(path):
    params = parameters()
    before = params[0].detach().clone()
    optimizer = load(path, params)
    for param in params[1:]:
        param.grad = torch.ones_like(param)
    optimizer.step()
    assert torch.equal(params[0], before) and params[0] not in optimizer.state
    optimizer.zero_grad()
    optimizer.step()  # No gradient at all.
    assert optimizer.state[params[1]]["step"] == 1


def test_sparse_gradients_are_refused():
    layer = torch.nn.Embedding(3, 2, sparse=True)
    layer(torch.tensor([1])).sum().backward()
    with pytest.raises(InnerloopError, match="sparse"):
        load("lstm-quadratic", layer.parameters()).step()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_resumed_run_is_the_uninterrupted_one(path, dtype):
    whole, first = parameters(dtype), parameters(dtype)
    expected = steps(load(path, whole), whole, 6)
    optimizer = load(path, first)
    steps(optimizer, first)
    states = [each for state in optimizer.state.values() for each in state.values()]
    coarse = torch.bfloat16 if "bfloat16" in str(path) else torch.float32
    assert {state.dtype for state in states} <= {torch.float32, coarse}
    stream = io.BytesIO()
    torch.save(optimizer.state_dict(), stream)
    stream.seek(0)
    again = [torch.nn.Parameter(param.detach().clone()) for param in first]
    resumed = load(path, again)
    resumed.load_state_dict(torch.load(stream, weights_only=True))
    before, after = optimizer.state_dict()["state"], resumed.state_dict()["state"]
    for place, state in before.items():
        assert all(torch.equal(state[name], after[place][name]) for name in state)
        assert all(state[name].dtype == after[place][name].dtype for name in state)
    assert_same(expected, steps(resumed, again, first=3))
    assert_same(expected, steps(optimizer, first, first=3))


def test_a_copy_goes_on_alike_and_alone(path):
    params = parameters()
    optimizer = load(path, params)
    steps(optimizer, params)
    again = copy.deepcopy(optimizer)
    copies = [param for group in again.param_groups for param in group["params"]]
    assert_same(steps(optimizer, params), steps(again, copies))


def test_the_state_of_another_rule_is_refused(tmp_path):
    params = parameters()
    state = load("lstm-mnist", params).state_dict()
    other = load(save(RULES["lstm"](), tmp_path / "a.safetensors"), params)
    with pytest.raises(InnerloopError, match="the rule lstm with the weights"):
        other.load_state_dict(state)
    with pytest.raises(InnerloopError, match="no learned rule"):
        other.load_state_dict(torch.optim.SGD(params, lr=0.1).state_dict())


def test_hooks_are_called():
    params, called = parameters(), []
    optimizer = load("lstm-mnist", params)
    optimizer.register_step_pre_hook(lambda *_: called.append("before"))
    optimizer.register_step_post_hook(lambda *_: called.append("after"))
    optimizer.register_load_state_dict_post_hook(lambda *_: called.append("loaded"))
    steps(optimizer, params, 1)
    optimizer.load_state_dict(optimizer.state_dict())
    assert called == ["before", "after", "loaded"]


def test_parts_are_groups(tmp_path):
    rule = MultiRule({"conv": RULES["lstm"](), "dense": RULES["rnnprop"]()})
    path, params = save(rule, tmp_path / "both.safetensors"), parameters()
    with pytest.raises(InnerloopError, match="one of conv, dense"):
        load(path, params)
    groups = [{"params": params[:2], "part": "dense"}, {"params": params[2:], "part": "conv"}]
    optimizer = load(path, groups)
    steps(optimizer, params)
    assert "momentum" in optimizer.state[params[0]] and "momentum" not in optimizer.state[params[2]]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lr": -1.0}, "lr is -1.0; it must be 0 or more"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"steps": 0}, "steps is 0; it must be a whole number from 1 on"),
        ({"steps": -1}, "steps is -1; it must be"),
        ({"outputs": "middle"}, "outputs is 'middle'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, sentence):
    with pytest.raises(InnerloopError, match=sentence):
        load("lstm-mnist", parameters(), **settings)


def test_complex_and_whole_numbers_are_refused():
    for dtype in (torch.complex64, torch.int32):
        param = torch.zeros(2, dtype=dtype)
        with pytest.raises(InnerloopError, match="real parameters only"):
            load("lstm-mnist", [param])


def test_rules_that_need_jax_and_damaged_files_are_refused(tmp_path):
    import optax

    path = save(OptaxRule(optax.adam, 0.1), tmp_path / "adam.safetensors")
    for name in (path, "ntm-bfgs-quadratic"):
        with pytest.raises(InnerloopError, match="runs in JAX alone"):
            load(name, parameters())
    with pytest.raises(InnerloopError, match="Did you mean 'lstm-mnist'"):
        load("lstm-mnst", parameters())
    whole = save(RULES["lstm"](), tmp_path / "rule.safetensors").read_bytes()
    for old, new in ((b'"lstm', b'"lstn'), (b'hidden\\": 5', b'hidden\\": 6')):
        (tmp_path / "bad.safetensors").write_bytes(whole.replace(old, new))
        with pytest.raises(InnerloopError, match=r"bad\.safetensors"):
            load(tmp_path / "bad.safetensors", parameters())


ALONE = """
import sys, torch, innerloop.torch
from torch._dynamo.testing import CompileCounter
for path in sys.argv[1:]:
    torch._dynamo.reset()
    params = [torch.nn.Parameter(torch.ones(shape)) for shape in ((3, 4), (4,))]
    optimizer = innerloop.torch.load(path, params, lr=torch.tensor(1.0))
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    counter = CompileCounter()
    step = torch.compile(lambda: optimizer.step(), backend=counter)
    for _ in range(4):
        for param in params:
            param.grad = param.detach().clone()
        step()
        scheduler.step()
    assert counter.frame_count == 1, (path, counter.frame_count)
assert "jax" not in sys.modules and "equinox" not in sys.modules
"""


def test_steps_compile_once_and_jax_is_not_imported(tmp_path):
    # In a process of its own: here JAX is imported, and every function is checked.
    paths = [save(RULES[kind](), tmp_path / f"{kind}.safetensors") for kind in KINDS]
    command = [sys.executable, "-W", "ignore", "-c", ALONE, *paths]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
