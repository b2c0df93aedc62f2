"""A guarded rule against its fallback alone, far from what the rule was trained for."""

import argparse
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import innerloop
from innerloop.data import load_mnist

OUT = Path("runs/safeguard")
HORIZONS = (200, 1000, 3000)
FLOOR = 1e-10  # Of the first loss: below, runs count as equal.


def quadratics(dimension, conditions, scales):
    kinds = [("condition %.0e" % c, c, 1.0) for c in conditions]
    kinds += [("gaussian × %g" % s, 0.0, s) for s in scales]

    def sample(kind, key):
        _, condition, scale = kind
        a, b, c = jax.random.split(key, 3)
        w, y = jax.random.normal(a, (dimension, dimension)), jax.random.normal(b, (dimension,))
        if condition:
            root = jnp.logspace(-0.25, 0.25, dimension, base=condition)
            w, y = root[:, None] * jnp.linalg.qr(w)[0], jnp.zeros(dimension)
        return jax.random.normal(c, (dimension,)), (w, y, jnp.asarray(scale))

    def loss(theta, problem, key):
        w, y, scale = problem
        return scale * jnp.sum((w @ theta - y) ** 2)

    names = [f"quadratic, {dimension}-D, {kind[0]}" for kind in kinds]
    return names, kinds, sample, loss, lambda theta, problem: loss(theta, problem, None)


def rosenbrock(dimension):
    def sample(kind, key):
        start = jnp.where(jnp.arange(dimension) % 2 == 0, -1.2, 1.0)
        return start + 0.1 * jax.random.normal(key, (dimension,)), ()

    def loss(theta, problem, key):
        return jnp.sum(100 * (theta[1:] - theta[:-1] ** 2) ** 2 + (1 - theta[:-1]) ** 2)

    return [f"Rosenbrock, {dimension}-D"], [None], sample, loss, lambda t, p: loss(t, p, None)


def deep_relu(batch):
    def network(params, x):
        x = jax.nn.relu(x @ params["first"] + params["biases"][0])
        for w, b in zip(params["hidden"], params["biases"][1:], strict=True):
            x = jax.nn.relu(x @ w + b)
        return x @ params["last"]

    def new(key):
        a, b, c = jax.random.split(key, 3)
        return {
            "first": jax.random.normal(a, (4, 10)) * np.sqrt(2 / 4),
            "hidden": jax.random.normal(b, (7, 10, 10)) * np.sqrt(2 / 10),
            "biases": jnp.zeros((8, 10)),
            "last": jax.random.normal(c, (10, 1)) / np.sqrt(10),
        }

    def sample(kind, key):
        a, b = jax.random.split(key)
        x = jax.random.normal(a, (256, 4))
        y = jnp.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3]
        return new(b), (x, y)

    def evaluate(params, problem):
        return jnp.mean((network(params, problem[0]) - problem[1]) ** 2)

    def loss(params, problem, key):
        if not batch:
            return evaluate(params, problem)
        chosen = jax.random.randint(key, (batch,), 0, 256)
        return evaluate(params, (problem[0][chosen], problem[1][chosen]))

    name = "deep ReLU, " + (f"minibatches of {batch}" if batch else "full batch")
    return [name], [None], sample, loss, evaluate


def mnist(scales, data_dir=None):
    task = innerloop.MNIST(side=7, data_dir=data_dir)

    def sample(kind, key):
        return task.init(None, key=key), jnp.asarray(kind)

    def loss(params, scale, key):
        return scale * task.loss(params, None, key=key)

    def evaluate(params, scale):
        return scale * task.held_out_loss(params, None, key=None)

    return [f"MNIST × {s:g}" for s in scales], list(scales), sample, loss, evaluate


GROUPS = {
    "quadratic-10": lambda: quadratics(10, (1e2, 1e4, 1e6), (1e-3, 1.0, 1e3)),
    "quadratic-50": lambda: quadratics(50, (1e2, 1e4), ()),
    "quadratic-2": lambda: quadratics(2, (1e3,), ()),
    "rosenbrock-2": lambda: rosenbrock(2),
    "rosenbrock-10": lambda: rosenbrock(10),
    "relu": lambda: deep_relu(None),
    "relu-minibatch": lambda: deep_relu(32),
    "mnist": lambda: mnist((1e-3, 1.0, 1e3)),
}


def rule(name):
    loaded = innerloop.load(name)
    return loaded.rules["dense"] if isinstance(loaded, innerloop.MultiRule) else loaded


RULES = [
    "lstm-quadratic",
    "lstm-gac-quadratic",
    "lstm-mnist",
    "lstm-neural-art",
    "lstm-cifar10",
    "tensorwise-mnist",
    "tensorwise-mnist-family",
]
RATES = 10 ** np.arange(-3, 0.26, 0.25)


def runs(group, make, kinds, seeds, rates, horizons, trace=False):
    """First losses, final losses [horizons, kinds, rates, seeds], and traces if asked for.

    `make(rate)` is an Optax transformation; `rates` is [kinds, rates].
    """
    _, _, sample, loss, evaluate = group

    stretch = int(np.gcd.reduce(horizons))

    def begin(params, problem, rate, key):
        return params, make(rate).init(params)

    def advance(carry, problem, rate, key, done):
        optimizer = make(rate)

        def body(carry, t):
            params, state = carry
            value, grads = jax.value_and_grad(loss)(params, problem, jax.random.fold_in(key, t))
            updates, state = optimizer.update(grads, state, params, value=value)
            seen = [value, *(getattr(state, n, 0) for n in ("learned", "proven", "debt"))]
            return (optax.apply_updates(params, updates), state), seen if trace else None

        return jax.lax.scan(body, carry, done + jnp.arange(stretch))

    batch = []
    for k, kind in enumerate(kinds):
        for rate in rates[k]:
            for seed in seeds:
                params, problem = sample(kind, jax.random.key(seed))
                key = jax.random.fold_in(jax.random.key(seed), 1)
                batch.append((params, problem, jnp.float32(rate), key))
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batch)
    advance = jax.jit(jax.vmap(advance, in_axes=(0, 0, 0, 0, None)))
    judge = jax.jit(jax.vmap(evaluate))
    carry, (start, problem, rate, key) = jax.vmap(begin)(*batch), batch
    shape = (len(kinds), len(rates[0]), len(seeds))
    ends, traces = [], []
    for done in range(0, max(horizons), stretch):
        carry, seen = advance(carry, problem, rate, key, done)
        traces.append(seen)
        if done + stretch in horizons:
            ends.append(np.asarray(judge(carry[0], problem)).reshape(shape))
    first = np.asarray(judge(start, problem)).reshape(shape)
    if trace:
        traces = jax.tree.map(lambda *x: np.concatenate(x, axis=1).reshape(*shape, -1), *traces)
    return first, np.stack(ends), traces
