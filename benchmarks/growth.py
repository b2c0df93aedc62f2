"""How time and memory grow with parameters, unroll length and problems: `python growth.py`.

Draws runs/bench/growth.png and writes runs/bench/growth.json. The task is a sum of one parabola a
coordinate, which costs next to nothing, so that what is seen is the rule's own.
"""

import json
import statistics
import time
from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax
from matplotlib.ticker import NullFormatter

from innerloop import InnerLoop, LSTMRule, OptaxRule, TaskFamily
from innerloop.inner import unroll
from innerloop.metatrain import TruncatedBackprop

OUT = Path("runs/bench")
TOO_MUCH = 8 * 2**30  # Bytes: what would need more is counted and not run.
STEP, ADAM = "a learned step", "a step of Adam"
FULL, SAMPLED = "a meta-gradient", "a meta-gradient through 500 coordinates"


@final
class Parabolas(TaskFamily):
    """Σ (θ_i − 1)², in so many coordinates."""

    size: int = eqx.field(static=True)

    def sample(self, *, key):
        return None

    def init(self, problem, *, key):
        return jax.random.normal(key, (self.size,))

    def loss(self, params, problem, *, key):
        return jnp.sum((params - 1) ** 2)


def measure(what, size, length, problems):
    """(seconds, bytes): of one inner step, or of a meta-gradient's window of `length` steps."""
    task, rule = Parabolas(size), LSTMRule(key=jax.random.key(0))
    if what in (STEP, ADAM):
        rule = rule if what == STEP else OptaxRule(optax.adam, 1e-3)
        state = jax.eval_shape(
            lambda: InnerLoop.init(rule, task, jax.random.split(jax.random.key(1), 1))
        )
        function = jax.jit(lambda loop: unroll(rule, task, loop, 1)[0])
    else:
        estimator = TruncatedBackprop(
            meta_batch_size=problems,
            horizon=length,
            truncation=length,
            stagger=False,
            coordinates=500 if what == SAMPLED else None,
        )
        state = jax.eval_shape(lambda: estimator.init(rule, task, key=jax.random.key(1)))
        function = jax.jit(lambda state: estimator.estimate(rule, task, state)[0])
    memory = function.lower(state).compile().memory_analysis()
    needed = memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes
    if needed > TOO_MUCH:
        return None, needed
    keys = jax.random.split(jax.random.key(1), problems)
    if what in (STEP, ADAM):
        state = jax.jit(lambda: InnerLoop.init(rule, task, keys))()
    else:
        state = jax.jit(lambda: estimator.init(rule, task, key=jax.random.key(1)))()
    jax.block_until_ready(function(state))
    times, until = [], time.perf_counter() + 1
    while len(times) < 3 or (time.perf_counter() < until and len(times) < 50):
        began = time.perf_counter()
        jax.block_until_ready(function(state))
        times.append(time.perf_counter() - began)
    return statistics.median(times), needed


def sweeps():
    """Panel by panel: its title, the axis, and (what, its values, the arguments for one)."""
    sizes = [10**n for n in range(3, 8)]
    lengths, problems = [5, 10, 20, 50, 100, 200], [1, 4, 16, 64, 256, 1024]
    return [
        (
            "parameters (one problem; 20 steps in a meta-gradient)",
            "parameters",
            sizes,
            {what: lambda n: (n, 20, 1) for what in (ADAM, STEP, FULL, SAMPLED)},
        ),
        (
            "unroll length (10,000 parameters, one problem)",
            "inner steps in a meta-gradient",
            lengths,
            {what: lambda n: (10_000, n, 1) for what in (FULL, SAMPLED)},
        ),
        (
            "problems (10 parameters, 20 steps)",
            "problems in a meta-gradient",
            problems,
            {FULL: lambda n: (10, 20, n)},
        ),
    ]


COLOURS = {ADAM: "tab:gray", STEP: "tab:orange", FULL: "tab:blue", SAMPLED: "tab:green"}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(2, 3, figsize=(13, 6.8), sharex="col", layout="constrained")
    found = []
    for (above, below), (title, label, values, lines) in zip(axes.T, sweeps(), strict=True):
        for what, arguments in lines.items():
            seen = [(n, *measure(what, *arguments(n))) for n in values]
            found += [
                {"sweep": label, "what": what, "at": n, "seconds": seconds, "bytes": needed}
                for n, seconds, needed in seen
            ]
            print(label, what, seen, flush=True)
            ran = [(n, seconds) for n, seconds, _ in seen if seconds is not None]
            style = {"marker": "o", "markersize": 4, "color": COLOURS[what], "label": what}
            above.plot(*zip(*ran, strict=True), **style)
            below.plot(values, [needed / 2**20 for _, _, needed in seen], **style)
        above.set_title(title, fontsize=10)
        below.set_xlabel(label)
        for axis in (above, below):
            axis.set(xscale="log", yscale="log")
            axis.yaxis.set_minor_formatter(NullFormatter())
            axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("memory (MiB)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(OUT / "growth.png", dpi=150)
    (OUT / "growth.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
