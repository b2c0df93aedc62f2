"""Accelerate: a learned rule is prepared like any optimizer of PyTorch."""

import torch
from accelerate import Accelerator

import innerloop.torch


def train(steps: int = 30) -> list[float]:
    """The loss of each step."""
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    torch.manual_seed(0)
    x = torch.randn(64, 4)
    data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))
    model = torch.nn.Linear(4, 1)
    optimizer = innerloop.torch.load("tensorwise-mnist", model.parameters())
    batches = torch.utils.data.DataLoader(data, batch_size=32)
    model, optimizer, batches = accelerator.prepare(model, optimizer, batches)
    losses = []
    for _ in range(steps):
        for inputs, targets in batches:
            with accelerator.accumulate(model):
                loss = torch.nn.functional.mse_loss(model(inputs), targets)
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
                losses.append(loss.item())
    return losses


if __name__ == "__main__":
    print(train()[-1])
