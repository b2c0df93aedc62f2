"""A guarded rule against its fallback alone, far from what the rule was trained for.

`python safeguard.py` (or `python safeguard.py rosenbrock-2 relu`, for some of the groups) prints a
table and writes runs/safeguard/results.json. Final losses are those of the last parameters, on a
fixed set where minibatches are drawn. A ratio is (guarded + ε) / (fallback + ε), where ε is 1e-10
of the first loss: below that, runs count as equal. Some runs of the fallback are not reproducible
to 5 % by the fallback itself: started 1e-6 off, in relative terms, it ends elsewhere. They are
counted apart ("unsteady").
"""

import json
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import innerloop

OUT = Path("runs/safeguard")
SEEDS = range(10)
TUNING = range(2000, 2003)
SHIFTS = 2
HORIZONS = (200, 1000)
FLOOR = 1e-10  # Of the first loss: below, runs count as equal.


def quadratics(dimension, conditions, scales):
    kinds = [(f"condition {c:.0e}", c, 1.0) for c in conditions]
    kinds += [(f"gaussian × {s:g}", 0.0, s) for s in scales]

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


RULES = ["lstm-quadratic", "tensorwise-mnist-family", "lstm-mnist"]
RATES = 10 ** np.arange(-3, 0.1, 0.5)


def rule(name):
    loaded = innerloop.load(name)
    return loaded.rules["dense"] if isinstance(loaded, innerloop.MultiRule) else loaded


def runs(group, make, kinds, seeds, rates, horizons, shift=0.0):
    """First losses, and final losses [horizons, kinds, rates, seeds].

    `make(rate, steps)` is an Optax transformation; `rates` is [kinds, rates]. Parameters begin at
    (1 + shift · noise) times their own beginning. Every horizon is a run of its own.
    """
    _, _, sample, loss, evaluate = group
    stretch = int(np.gcd.reduce(horizons))

    def begin(params, problem, rate, steps, key):
        return params, make(rate, steps).init(params)

    def advance(carry, problem, rate, steps, key, done):
        optimizer = make(rate, steps)

        def body(carry, t):
            params, state = carry
            value, grads = jax.value_and_grad(loss)(params, problem, jax.random.fold_in(key, t))
            updates, state = optimizer.update(grads, state, params, value=value)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(body, carry, done + jnp.arange(stretch))[0]

    batch = []
    for horizon in horizons:
        for k, kind in enumerate(kinds):
            for rate in rates[k]:
                for seed in seeds:
                    params, problem = sample(kind, jax.random.key(seed))
                    key = jax.random.fold_in(jax.random.key(seed), 1)
                    params = jax.tree.map(partial(_shifted, shift=shift, key=key), params)
                    batch.append((params, problem, jnp.float32(rate), jnp.int32(horizon), key))
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batch)
    advance = jax.jit(jax.vmap(advance, in_axes=(0, 0, 0, 0, 0, None)))
    judge = jax.jit(jax.vmap(evaluate))
    carry, rest = jax.jit(jax.vmap(begin))(*batch), batch[1:]
    shape = (len(horizons), len(kinds), len(rates[0]), len(seeds))
    ends = []
    for done in range(0, max(horizons), stretch):
        carry = advance(carry, *rest, done)
        if done + stretch in horizons:
            ends.append(np.asarray(judge(carry[0], rest[0])).reshape(shape)[len(ends)])
    return np.asarray(judge(*batch[:2])).reshape(shape), np.stack(ends)


def _shifted(leaf, *, shift, key):
    return leaf * (1 + shift * jax.random.normal(key, leaf.shape))


def adam(rate, steps):
    return optax.adam(rate)


def tuned(group):
    """The rate that ends lowest after 1,000 steps, for each kind, on other seeds."""
    kinds = group[1]
    _, ends = runs(group, adam, kinds, TUNING, [RATES] * len(kinds), (1000,))
    ends = np.nan_to_num(ends[0], nan=np.inf).clip(1e-30, 1e30)
    return [float(RATES[i]) for i in np.argmin(np.log(ends).mean(-1), axis=-1)]


def measure(name):
    """The rows of one group: one for each problem, rate and horizon."""
    group, network = GROUPS[name](), name in ("relu", "relu-minibatch", "mnist")
    names, kinds = group[:2]
    horizons, rules = HORIZONS, RULES[:2] if name == "mnist" else RULES
    fixed = 1e-3 if network else 1e-2
    rates = [[fixed] for _ in kinds] if network else [[fixed, best] for best in tuned(group)]
    first, alone = runs(group, adam, kinds, SEEDS, rates, horizons)
    floor = FLOOR * first

    def ratio(ends, others):
        found = (ends + floor) / (others + floor)
        return np.where(np.isfinite(found), found, np.inf)

    steady = np.ones(alone.shape, bool)
    for number in range(SHIFTS):
        _, shifted = runs(group, adam, kinds, SEEDS, rates, horizons, 1e-6 * (1 + number))
        steady &= np.abs(np.log(ratio(shifted, alone))) < np.log(1.05)
    rows = []
    for rule_name in rules:
        began, learned = time.time(), rule(rule_name)

        def guarded(rate, steps, learned=learned):
            return innerloop.safeguard(learned, optax.adam(rate), steps=steps)

        def bare(rate, steps, learned=learned):
            return optax.with_extra_args_support(learned.as_optax())

        _, ends = runs(group, guarded, kinds, SEEDS, rates, horizons)
        _, unguarded = runs(group, bare, kinds, SEEDS, [r[:1] for r in rates], horizons)
        ratios, bare_ratios = ratio(ends, alone), ratio(unguarded, alone)
        for h, horizon in enumerate(horizons):
            for k, problem in enumerate(names):
                for r, rate in enumerate(rates[k]):
                    at = (h, k, r)
                    rows.append(
                        {
                            "problem": problem,
                            "rule": rule_name,
                            "horizon": horizon,
                            "fallback": ["fixed", "tuned"][r],
                            "rate": rate,
                            "ratios": ratios[at].tolist(),
                            "steady": steady[at].tolist(),
                            "unguarded": bare_ratios[at].tolist(),
                            "to_the_rule": ratio(ends, unguarded)[at].tolist(),
                        }
                    )
        print(f"{name}, {rule_name}: {time.time() - began:.0f} s", flush=True)
    return rows


def table(rows):
    """The worst ratios of each problem, over rules, horizons and seeds."""
    lines = [
        "| problem | fallback | runs | worst | over 1.05 | unsteady: runs | worst | over 1.05 "
        "| median | unguarded: median | worst |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for problem, fallback in dict.fromkeys((row["problem"], row["fallback"]) for row in rows):
        mine = [r for r in rows if (r["problem"], r["fallback"]) == (problem, fallback)]
        ratios = np.concatenate([r["ratios"] for r in mine])
        steady = np.concatenate([r["steady"] for r in mine])
        bare = np.concatenate([r["unguarded"] for r in mine])
        cells = []
        for part in (ratios[steady], ratios[~steady]):
            worst = f"{part.max():.3g}" if len(part) else "–"
            cells += [f"{len(part)}", worst, f"{np.sum(part > 1.05)}"]
        cells += [f"{np.median(ratios):.3g}", f"{np.median(bare):.3g}", f"{bare.max():.3g}"]
        rates = sorted({r["rate"] for r in mine})
        lines.append(f"| {problem} | Adam({rates[0]:.2g}), {fallback} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in sys.argv[1:] or GROUPS:
        rows += measure(name)
        (OUT / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
