"""Images a second of joint training: ours, and the same step in PyTorch, by turns.

    taskset -c 0 python benchmarks/joint.py [--filters 64] [--side 84] [--turns 7]

A step is the loss of 64 images among 64 classes, its gradient and SGD with Nesterov momentum, on
one core. The network, the loss and the first step's numbers are the same. Nothing is augmented.
"""

import argparse
import itertools
import statistics
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch import nn
from torch.nn import functional

from innerloop import fewshot
from innerloop.fewshot.episode import Labelled

BATCH, CLASSES, RATE = 64, 64, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--side", type=int, default=84)
    parser.add_argument("--turns", type=int, default=7)
    asked = parser.parse_args()
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (BATCH, asked.side, asked.side, 3), np.uint8)
    labels = random.integers(0, CLASSES, BATCH)
    shape = fewshot.Shape(way=5, shot=1, side=asked.side, channels=3, classes=CLASSES)
    backbone = fewshot.Conv4(side=asked.side, channels=3, filters=asked.filters, pool="mean")
    learner = fewshot.make_learner("joint", shape, backbone, key=jax.random.key(0))
    steps = {"innerloop": ours(learner, images, labels), "torch": theirs(learner, images, labels)}
    first = {name: step() for name, step in steps.items()}
    assert abs(first["innerloop"] - first["torch"]) < 1e-2, f"The first losses differ: {first}."
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(asked.turns):
        for name, step in steps.items():
            step()
            began = time.perf_counter()
            step()
            rates[name].append(BATCH / (time.perf_counter() - began))
    for name, found in rates.items():
        print(f"{name}: {statistics.median(found):.1f} images/s")
    ratios = [a / b for a, b in zip(*rates.values(), strict=True)]
    print(f"ratio: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def ours(learner, images, labels):
    optimizer = optax.sgd(RATE, momentum=0.9, nesterov=True)
    batch = Labelled(jnp.asarray(images), jnp.asarray(labels, jnp.int32))

    @eqx.filter_jit(donate="all-except-first")
    def step(batch, learner, state):
        loss, grads = eqx.filter_value_and_grad(
            lambda learner: learner.meta_loss(batch, 5, key=jax.random.key(0))
        )(learner)
        updates, state = optimizer.update(grads, state)
        return loss, eqx.apply_updates(learner, updates), state

    carry = learner, optimizer.init(eqx.filter(learner, eqx.is_inexact_array))

    def run() -> float:
        nonlocal carry
        loss, *carry = step(batch, *carry)
        return float(loss)

    return run


class Network(nn.Module):
    """Four blocks, the mean over positions, and cosines times a learned scale."""

    def __init__(self, learner):
        super().__init__()
        width = learner.backbone.width
        sizes = [3, *[width] * len(learner.backbone.layers)]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in itertools.pairwise(sizes)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, eps=1e-3) for _ in sizes[1:])
        self.head = nn.Parameter(torch.tensor(np.asarray(learner.head["weight"])))
        self.scale = nn.Parameter(torch.tensor(float(learner.scale)))
        for convolution, name in zip(self.convolutions, learner.backbone.layers, strict=True):
            kernel = np.asarray(learner.params[name]["kernel"]).transpose(0, 3, 1, 2)
            convolution.weight.data = torch.tensor(np.ascontiguousarray(kernel))

    def forward(self, images):
        for place, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            images = functional.relu(norm(convolution(images)))
            if place < len(self.norms) - 1:
                images = functional.max_pool2d(images, 2)
        features = functional.normalize(images.mean((2, 3)))
        return self.scale * features @ functional.normalize(self.head).T


def theirs(learner, images, labels):
    torch.set_num_threads(1)
    network = Network(learner).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), RATE, momentum=0.9, nesterov=True)
    pixels = torch.tensor(images).permute(0, 3, 1, 2)
    truth = torch.tensor(labels)

    def run() -> float:
        optimizer.zero_grad()
        inputs = (pixels.float() / 255).to(memory_format=torch.channels_last)
        loss = functional.cross_entropy(network(inputs), truth)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


if __name__ == "__main__":
    main()
