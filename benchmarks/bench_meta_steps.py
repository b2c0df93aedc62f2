"""Meta-steps of the LSTM optimizer: quadratics, and a small network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from steps import meta_stepper

from innerloop import LSTMRule, Quadratic, unroll
from innerloop.metatrain import TruncatedBackprop
from innerloop.runtime.devices import PROBLEMS, REPLICATED, over_problems, problem_mesh, shard
from tasks import RandomImages

CASES = {
    "quadratics, 128 problems": (Quadratic, 128, 20),
    "quadratics, 1,024 problems": (Quadratic, 1024, 8),
    "MLP of 16k parameters, 8 problems": (RandomImages, 8, 3),
}
SIDES = ("ours", "torch.compile", "PyTorch eager")


def ours(task, problems):
    gradient = TruncatedBackprop(meta_batch_size=problems, horizon=100, truncation=20)
    return meta_stepper(LSTMRule(key=jax.random.key(0)), task, gradient)


def peers(torch, case, problems, compiled):
    from peers.lstm_optimizer import MLP, MetaTraining, Quadratics

    if case.startswith("MLP"):
        data = RandomImages()
        images = torch.from_numpy(np.array(data.images, np.float32)) / 255
        labels = torch.from_numpy(np.array(data.labels, np.int64))
        task = MLP(problems, images, labels, compiled=compiled)
    else:
        task = Quadratics(problems)
    return MetaTraining(task, compiled=compiled).meta_step


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("case", CASES)
def test_meta_steps(turn, case, side, made, timed, request):
    make_task, problems, rounds = CASES[case]
    if (case, side) not in made:
        if side == "ours":
            made[case, side] = ours(make_task(), problems)
        else:
            torch = request.getfixturevalue("torch")
            made[case, side] = peers(torch, case, problems, side == "torch.compile")
    timed(case, side, made[case, side], rounds=rounds)


def forward_and_backward(problems):
    """The two sides: a truncation of runs on quadratics, and its meta-gradient."""
    task, rule = Quadratic(), LSTMRule(key=jax.random.key(0))
    gradient, mesh = TruncatedBackprop(meta_batch_size=problems), problem_mesh(problems)
    state = gradient.init(rule, task, key=jax.random.key(1))

    @eqx.filter_jit
    def both(rule, state):
        def local(rule, state):
            value, gradient_, loop = gradient._window(rule, task, state.loop)
            return jax.lax.pmean((value, gradient_), "problems"), loop

        return over_problems(local, mesh, rule, state, (REPLICATED, PROBLEMS))

    @eqx.filter_jit
    def forward(rule, state):
        def local(rule, state):
            return unroll(rule, task, state.loop, gradient.truncation)[0]

        return over_problems(local, mesh, rule, state, PROBLEMS)

    return {
        "our meta-gradient": lambda: jax.block_until_ready(both(rule, state)),
        "our forward pass alone": lambda: jax.block_until_ready(forward(rule, state)),
    }


@pytest.mark.parametrize("side", ["our forward pass alone", "our meta-gradient"])
def test_forward_and_backward(turn, side, made, timed):
    """What a meta-gradient costs, in passes forward; on all cores."""
    if side not in made:
        made.update(forward_and_backward(128))
    timed("quadratics, 128 problems", side, made[side], rounds=20)


# What a step of one coordinate costs in products of matrices, 2 × 20 LSTM: forward, again on the
# way back, the weights' gradient, and the layers' inputs' (of the first its own output alone).
OPERATIONS = 2 * 80 * ((22 + 40) * 3 + 20 + 40)


@pytest.mark.parametrize("side", ["ours", "the machine's matrix products"])
def test_arithmetic(turn, side, made, timed):
    """GFLOP a second in a meta-step of 1,024 quadratics, counting products alone."""
    case = "arithmetic of 1,024 quadratics"
    if (case, side) not in made:
        if side == "ours":
            made[case, side] = ours(Quadratic(), 1024), 1024 * 10 * 20 * OPERATIONS
        else:
            cores = len(jax.devices())
            mesh = problem_mesh(cores)
            matrices = shard(jnp.ones((cores, 1024, 1024)), mesh)

            @jax.jit
            def product(matrices):
                return over_problems(lambda _, m: m @ m, mesh, (), matrices, PROBLEMS)

            work = cores * 2 * 1024**3
            made[case, side] = lambda: jax.block_until_ready(product(matrices)), work
    function, work = made[case, side]
    timed(case, side, function, rounds=8, per=work / 1e9)
