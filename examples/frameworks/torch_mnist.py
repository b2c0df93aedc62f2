"""PyTorch in mixed precision: a network for MNIST, trained by a learned rule."""

import torch

import innerloop.torch
from innerloop.datasets import load_mnist


def train(steps: int = 100, dtype: torch.dtype = torch.bfloat16) -> list[float]:
    """The loss of each step."""
    data = load_mnist()
    images = torch.tensor(data.train_images).flatten(1) / 255
    labels = torch.tensor(data.train_labels).long()
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(784, 20), torch.nn.Sigmoid(), torch.nn.Linear(20, 10)
    )
    optimizer = innerloop.torch.load("tensorwise-mnist", model.parameters())
    scaler = torch.amp.GradScaler("cpu")
    losses = []
    for _ in range(steps):
        batch = torch.randint(len(images), (128,))
        with torch.autocast("cpu", dtype=dtype):
            loss = torch.nn.functional.cross_entropy(model(images[batch]), labels[batch])
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    print(train()[-1])
