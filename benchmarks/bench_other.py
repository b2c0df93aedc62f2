"""The price of a learned step, the memory of an unroll, and the start of a command."""

import os
import subprocess
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest

from innerloop import InnerLoop, LSTMRule, OptaxRule
from innerloop.inner import unroll
from innerloop.metatrain.estimators._coordinatewise import by_coordinates
from innerloop.metatrain.objectives import OBJECTIVES
from tasks import RandomImages


@pytest.mark.parametrize("side", ["optax.adam", "learned rule"])
def test_a_learned_step(turn, side, made, timed):
    """100 steps of one network on minibatches, gradient and update together."""
    if side not in made:
        task = RandomImages()
        rule = LSTMRule(key=jax.random.key(0))
        rule = rule if side == "learned rule" else OptaxRule(optax.adam, 1e-3)
        loop = InnerLoop.init(rule, task, jax.random.split(jax.random.key(1), 1))
        run = eqx.filter_jit(lambda rule, loop: unroll(rule, task, loop, 100)[0])
        made[side] = lambda: jax.block_until_ready(run(rule, loop))
    timed("an MLP's training step", side, made[side], rounds=5, per=100)


def plain(rule, task, loop, length):
    """The meta-gradient as one would write it: automatic differentiation through `lax.scan`."""
    arrays, static = eqx.partition(rule, eqx.is_inexact_array)

    def meta_loss(arrays):
        rule = eqx.combine(arrays, static)

        def one(problem, params, state, key):
            def body(carry, step):
                params, state = carry
                step_key = jax.random.fold_in(key, step)
                grads = jax.grad(task.loss)(jax.lax.stop_gradient(params), problem, key=step_key)
                updates, state = rule.update(grads, state, params)
                params = optax.apply_updates(params, updates)
                return (params, state), task.loss(params, problem, key=step_key)

            return jax.lax.scan(body, (params, state), jnp.arange(length))[1]

        return jnp.mean(jax.vmap(one)(loop.problem, loop.params, loop.state, loop.key))

    return jax.grad(meta_loss)(arrays)


def test_memory(recorded):
    """What the compiled program needs for one problem, as XLA counts it."""
    task, rule, length = RandomImages(), LSTMRule(key=jax.random.key(0)), 100
    loop = InnerLoop.init(rule, task, jax.random.split(jax.random.key(1), 1))
    uniform = OBJECTIVES["uniform"]
    sides = {
        "adjoint": lambda rule, loop: by_coordinates(rule, task, loop, length, uniform, length),
        "automatic": lambda rule, loop: plain(rule, task, loop, length),
    }
    for side, function in sides.items():
        compiled = eqx.filter_jit(function).lower(rule, loop).compile()
        needed = compiled.compiled.memory_analysis().temp_size_in_bytes
        recorded("memory of an unroll of 100 steps", side, needed / 2**20)


_UNTIL_THE_FIRST_META_STEP = """
import os, sys
from innerloop.metatrain import step as steps
def first(*arguments, step=steps._step):
    state = step(*arguments)
    state.step.block_until_ready()
    print("first meta-step", flush=True)
    os._exit(0)
steps._step = first
from innerloop.cli import main
sys.argv = ["innerloop", "demo", "--out", sys.argv[1]]
main()
"""


def test_start(recorded, tmp_path):
    """From the start of the process to the end of the first meta-step, with an empty cache."""
    for turn in range(3):
        cache = str(tmp_path / f"cache{turn}")
        environment = {**os.environ, "XDG_CACHE_HOME": cache}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        for side in ("first run", "second run"):
            command = [sys.executable, "-c", _UNTIL_THE_FIRST_META_STEP, str(tmp_path / side)]
            began = time.perf_counter()
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            assert "first meta-step" in done.stdout, done.stderr
            recorded("start of innerloop demo", side, time.perf_counter() - began)
