"""A step of learned rules in PyTorch against Adam's, on a network of a million parameters.

`python torch_steps.py` prints for each optimizer the median of its steps and the ratio to
torch.optim.Adam(foreach=True). All take turns, so that what else the machine does hits all alike.
`--compile` compiles the steps of all, Adam's included; `--rule FILE` names the rules.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import torch

import innerloop.torch

SIZES = (784, 1000, 200, 50, 10)


def network() -> list[torch.nn.Parameter]:
    """The parameters of a perceptron, 1e6 numbers, with gradients."""
    params = []
    for inputs, outputs in itertools.pairwise(SIZES):
        params += [torch.randn(outputs, inputs) / inputs**0.5, torch.zeros(outputs)]
    params = [torch.nn.Parameter(param) for param in params]
    for param in params:
        param.grad = torch.randn_like(param) / 100
    return params


def optimizers(rules: list[str]) -> dict[str, torch.optim.Optimizer]:
    """Adam, and the rules by name, each with parameters of its own."""
    found: dict[str, torch.optim.Optimizer] = {"Adam": torch.optim.Adam(network(), foreach=True)}
    for rule in rules:
        found[rule] = innerloop.torch.load(rule, network())
    return found


def measure(
    steps: dict[str, Callable[[], object]], turns: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Seconds of a step of each: the median over so many turns, after two that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(turns + 2):
        for name, step in steps.items():
            start = clock()
            step()
            if turn >= 2:
                seconds[name].append(clock() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rule", action="append", default=[])
    parser.add_argument("--cpu", action="store_true", help="seconds of the processor, not the wall")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    found = optimizers(args.rule or ["tensorwise-mnist", "lstm-mnist"])
    steps: dict[str, Callable[[], object]] = {name: each.step for name, each in found.items()}
    if args.compile:
        steps = {name: torch.compile(step) for name, step in steps.items()}
    clock = time.process_time if args.cpu else time.perf_counter
    medians = measure(steps, args.turns, clock)
    for name, seconds in medians.items():
        print(f"{name:<40} {1e3 * seconds:9.2f} ms {seconds / medians['Adam']:8.2f}")


if __name__ == "__main__":
    main()
