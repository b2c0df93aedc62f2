"""MNIST in PyTorch, 100 steps: a learned rule against Adam and Muon, each tuned on one grid.

    INNERLOOP_DATA=FOLDER python benchmarks/torch_mnist.py --rule tensorwise-mnist --seeds 0 1

The network has 20 sigmoid units, as in `innerloop compare --task mnist`; a batch has 128 images. A
loss is the mean of the last ten steps, over the seeds. Muon gets the matrices, and Adam at the same
rate the biases, which Muon does not take.
"""

import argparse
from collections.abc import Callable, Iterable

import numpy as np
import torch

import innerloop.torch
from innerloop.datasets import load_mnist

STEPS, LAST = 100, 10
RATES = [10 ** (k / 4) for k in range(-12, 1)]
Make = Callable[[torch.nn.Module], list[torch.optim.Optimizer]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rule", default="tensorwise-mnist")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    asked = parser.parse_args()
    data = load_mnist()
    images = torch.tensor(data.train_images).flatten(1) / 255
    labels = torch.tensor(data.train_labels).long()

    def end(make: Make) -> float:
        return float(np.mean([run(make, images, labels, seed) for seed in asked.seeds]))

    print(f"{asked.rule}: {end(lambda model: [learned(asked.rule, model)]):.4f}")
    for name, make in {"Adam": adam, "Muon": muon}.items():
        found = {rate: end(lambda model, rate=rate, make=make: make(model, rate)) for rate in RATES}
        best = min(found, key=lambda rate: found[rate])
        print(f"{name}: {found[best]:.4f} at {best:.3g}, of {len(RATES)} rates from 0.001 to 1")


def learned(rule: str, model: torch.nn.Module) -> torch.optim.Optimizer:
    return innerloop.torch.load(rule, model.parameters())


def adam(model: torch.nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    return [torch.optim.Adam(model.parameters(), lr=rate)]


def muon(model: torch.nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    matrices, rest = apart(model.parameters())
    return [torch.optim.Muon(matrices, lr=rate), torch.optim.Adam(rest, lr=rate)]


def apart(params: Iterable[torch.nn.Parameter]) -> tuple[list[torch.nn.Parameter], ...]:
    """(matrices, the rest)."""
    params = list(params)
    return [p for p in params if p.ndim == 2], [p for p in params if p.ndim != 2]


def run(make: Make, images: torch.Tensor, labels: torch.Tensor, seed: int) -> float:
    """The mean loss of the last steps of one run."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(784, 20), torch.nn.Sigmoid(), torch.nn.Linear(20, 10)
    )
    optimizers, losses = make(model), []
    for _ in range(STEPS):
        batch = torch.randint(len(images), (128,))
        loss = torch.nn.functional.cross_entropy(model(images[batch]), labels[batch])
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses[-LAST:]))


if __name__ == "__main__":
    main()
