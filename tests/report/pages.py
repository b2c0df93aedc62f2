"""Pages of each kind, of made-up runs: those that the tests open in a browser."""

import numpy as np

from innerloop.comparison import Comparison, OptimizerRun
from innerloop.comparison.tuning import Tuned
from innerloop.fewshot.confusion import Confusion, Doubtful
from innerloop.report import (
    About,
    comparison_page,
    curves_of,
    fewshot_page,
    reproduction_page,
    search_page,
    training_page,
)

BASELINES = ("sgd", "nesterov", "rmsprop", "adam", "adamw")
HOSTILE = '</script><script>window.hit=1</script><img src=x onerror="window.hit=1">\x1b[31m'


def tuned(rate):
    return Tuned(rate, {rate: 0.5}, {rate: 0.6})


def comparison(*, problems=64, horizon=100, others=(), baselines=BASELINES, seed=0):
    """A comparison of curves that fall at different speeds, with noise by problem."""
    random = np.random.default_rng(seed)
    steps = np.arange(2 * horizon + 1)[:, None]
    scale = np.exp(random.normal(1.0, 0.6, problems))

    def run(name, rate, tuned=None):
        noise = np.exp(random.normal(0, 0.12, (len(steps), problems)))
        losses = scale * (np.exp(-rate * steps / horizon) + 0.01) * noise
        return OptimizerRun(name, losses.astype(np.float32), tuned=tuned)

    return Comparison(
        task="quadratic",
        horizon=horizon,
        learned=run("learned", 4.2),
        others=[run(name, 3.8) for name in others],
        baselines=[
            run(name, 1.5 + 0.4 * number, tuned(0.03 * (number + 1)))
            for number, name in enumerate(baselines)
        ],
        reference=run("l-bfgs", 6.0),
        seed=seed,
        seconds=12.5,
    )


def with_seconds(results):
    """What results.json holds once the seconds of a step are measured."""
    rows = [results["learned"], *results["baselines"].values(), *results.get("others", {}).values()]
    for number, row in enumerate(rows):
        row["seconds_per_step"] = 1e-4 * (3 if number == 0 else 1 + 0.1 * number)
        row["state_bytes_per_parameter"] = 160.0 if number == 0 else 4.0 * number
    if "reference" in results:
        results["reference"]["seconds_per_step"] = 9e-4
    results["speedup"]["seconds"] = {"value": 0.8, "low": 0.7, "high": 0.9}
    results["verdict"]["seconds"] = "behind"
    return results


def metrics(steps=400):
    """Lines of a training run."""
    random = np.random.default_rng(1)
    lines = []
    for step in range(0, steps + 1, 10):
        loss = float(2 * np.exp(-step / 150) + 0.2 + 0.05 * random.random())
        line = {"step": step, "meta_loss": loss, "grad_norm": 3 * loss**2, "seconds": 0.1 * step}
        lines.append({**line, "validation": 1.1 * loss} if step % 50 == 0 else line)
    return lines


def confused(classes=8, side=28):
    """A confusion of classes, with pictures."""
    random = np.random.default_rng(2)
    counts = random.integers(0, 9, (classes, classes)) + np.diag(np.full(classes, 80))
    names = tuple(f"alphabet/character {number:02}" for number in range(classes))
    pictures = random.integers(0, 256, (12, side, side, 1)).astype(np.uint8)
    doubtful = [
        Doubtful(each, n % classes, (n + 1) % classes, 0.01 * n) for n, each in enumerate(pictures)
    ]
    return Confusion(names, counts, doubtful)


ROW = {
    "method": "meta-lstm", "data": "omniglot", "way": 5, "shot": 1, "query": 15, "episodes": 600,
    "accuracy": 0.9412, "ci95": 0.0034, "inner_steps": 8, "transductive": False, "seed": 0,
    "split": "test",
}  # fmt: skip
ABOUT = About(
    command="innerloop compare lstm-quadratic --task quadratic",
    settings='seed = 0\n\n[task]\nname = "quadratic"\n',
)


SEARCH = {
    "best": "start-bfgs", "learns": "initialisation and rule", "horizon": 4,
    "best_baseline": "adam", "said": "start-bfgs is the best optimizer.",
    "verdict": {"steps": "ahead", "seconds": "level"},
    "validation": {
        "start-bfgs": {"final": 0.1, "learns": "rule", "learning_rate": None, "seconds": 30.5},
        "adam": {"final": None, "learns": "nothing", "learning_rate": 0.03, "seconds": 0},
    },
    "candidates": {"lstm": {"given_up": "the loss is not finite"}},
    "test": {
        "problems": 128,
        "optimizers": {
            name: {"final": 0.1, "ci95": 0.01, "median": 0.1, "seconds_per_step": 1e-4}
            for name in ("start-bfgs", "adam")
        },
        "curves": {
            "steps": [0, 1, 2, 3, 4],
            "means": {"adam": [4.0, 3.0, None, 1.0, 0.5], "start-bfgs": [4.0, 1.0, 0.5, 0.2, 0.1]},
        },
    },
}  # fmt: skip
"""What results.json holds of a search."""


def _reproduction():
    comparisons = [comparison(seed=seed, problems=32) for seed in (3, 4)]
    panels = [
        {"title": title, "command": "innerloop compare lstm-mnist", **each.results()}
        for title, each in zip(("Quadratics", "MNIST"), comparisons, strict=True)
    ]
    results = {
        "figure": "andrychowicz2016-fig4", "source": "Andrychowicz et al. 2016, Figure 4",
        "claim": "The LSTM optimizer outperforms tuned baselines on quadratics and on MNIST.",
        "rules": {"lstm-quadratic": "shipped"}, "seed": 0, "date": "2026-01-01",
        "machine": "x86_64, 2 cores, Linux", "versions": {"jax": "0.10.2"}, "seconds": 300.0,
        "panels": panels,
    }  # fmt: skip
    curves = [curves_of(each) for each in comparisons]
    said = "The learned rule is ahead of every tuned baseline on Quadratics; MNIST."
    return reproduction_page(results, curves, verdict=said, about=ABOUT)


def pages():
    """Each kind of page by its name."""
    compared = comparison(others=("lstm-gac-quadratic",))
    results = with_seconds(compared.results())
    return {
        "comparison": comparison_page(results, curves_of(compared), about=ABOUT),
        "numbers": comparison_page(results, about=ABOUT),
        "training": training_page(metrics(), steps=800, about=ABOUT, versions={"jax": "0.10.2"}),
        "fewshot": fewshot_page([ROW], confused(), about=ABOUT, versions={"jax": "0.10.2"}),
        "reproduction": _reproduction(),
        "search": search_page(SEARCH, about=ABOUT),
    }
