"""Meta-training the LSTM optimizer of Andrychowicz et al. (2016) in PyTorch."""

import math

import torch
from torch import nn


class LSTMOptimizer(nn.Module):
    """Two LSTM layers over coordinates, gradients preprocessed with p = 10, output × 0.1."""

    def __init__(self, hidden=20):
        super().__init__()
        self.hidden = hidden
        self.cells = nn.ModuleList([nn.LSTMCell(2, hidden), nn.LSTMCell(hidden, hidden)])
        self.output = nn.Linear(hidden, 1)

    def initial(self, coordinates):
        zeros = torch.zeros(coordinates, self.hidden)
        return [(zeros, zeros) for _ in self.cells]

    def forward(self, gradient, state):
        threshold = math.exp(-10)
        magnitude = gradient.abs()
        features = torch.stack(
            [
                magnitude.clamp(min=threshold).log() / 10,
                torch.where(magnitude >= threshold, gradient.sign(), gradient / threshold),
            ],
            dim=1,
        )
        after = []
        for cell, before in zip(self.cells, state, strict=True):
            features, c = cell(features, before)
            after.append((features, c))
        return 0.1 * self.output(features)[:, 0], after


class Quadratics:
    """‖Wθ − y‖² in 10 dimensions; its gradient by hand, which spares PyTorch a pass."""

    def __init__(self, problems, dimension=10):
        self.problems, self.dimension = problems, dimension

    def fresh(self):
        problem = (
            torch.randn(self.problems, self.dimension, self.dimension),
            torch.randn(self.problems, self.dimension),
        )
        return problem, torch.randn(self.problems, self.dimension)

    @staticmethod
    def loss_and_gradient(theta, problem):
        w, y = problem
        residual = torch.bmm(w, theta[..., None])[..., 0] - y
        with torch.no_grad():
            gradient = 2 * torch.bmm(w.mT, residual.detach()[..., None])[..., 0]
        return residual.square().sum(1).mean(), gradient


class MLP:
    """784 → 20 sigmoid → 10 on minibatches of 128 images; parameters in one row a problem."""

    def __init__(self, problems, images, labels, *, compiled):
        self.problems, self.images, self.labels, self.compiled = problems, images, labels, compiled

    def fresh(self):
        theta = 0.01 * torch.randn(self.problems, 784 * 20 + 20 + 20 * 10 + 10)
        return (self.images, self.labels), theta

    def loss_and_gradient(self, theta, problem):
        chosen = torch.randint(len(problem[0]), (self.problems, 128))
        images, labels = (data[chosen] for data in problem)
        if self.compiled:  # `torch.autograd.grad` would end the graph.
            held = theta.detach()
            gradient = torch.func.grad(lambda theta: self._losses(theta, images, labels).sum())(
                held
            )
            return self._losses(theta, images, labels).mean(), gradient
        losses = self._losses(theta, images, labels)
        (gradient,) = torch.autograd.grad(losses.sum(), theta, retain_graph=True)
        return losses.mean(), gradient

    def _losses(self, theta, images, labels):
        w, b, v, c = theta.split([784 * 20, 20, 20 * 10, 10], dim=1)
        units = torch.sigmoid(torch.bmm(images, w.view(-1, 784, 20)) + b[:, None])
        logits = torch.bmm(units, v.view(-1, 20, 10)) + c[:, None]
        flat = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        return flat.view(len(theta), -1).mean(1)


class MetaTraining:
    """Meta-steps of truncated backpropagation: `window` inner steps, to first order, then Adam."""

    def __init__(self, task, *, compiled, window=20, horizon=100):
        self.task, self.window, self.windows = task, window, horizon // window
        self.optimizer = LSTMOptimizer()
        self.adam = torch.optim.Adam(self.optimizer.parameters(), lr=1e-3)
        self.unroll = torch.compile(self._unroll) if compiled else self._unroll
        self.taken = 0

    def _unroll(self, theta, gradient, state, problem):
        total = 0.0
        for _ in range(self.window):
            step, state = self.optimizer(gradient.reshape(-1), state)
            theta = theta + step.view_as(theta)
            loss, gradient = self.task.loss_and_gradient(theta, problem)
            total = total + loss
        return total / self.window, theta, gradient, state

    def meta_step(self):
        """One meta-step, and its meta-loss."""
        if self.taken % self.windows == 0:
            problem, theta = self.task.fresh()
            _, gradient = self.task.loss_and_gradient(theta.requires_grad_(), problem)
            self.at = theta.detach(), gradient, self.optimizer.initial(theta.numel()), problem
        self.taken += 1
        meta_loss, theta, gradient, state = self.unroll(*self.at)
        self.adam.zero_grad()
        meta_loss.backward()
        self.adam.step()
        state = [(h.detach(), c.detach()) for h, c in state]
        self.at = theta.detach(), gradient.detach(), state, self.at[3]
        return meta_loss.item()
