"""MAML and the Meta-Learner LSTM in PyTorch: functional, with autograd."""

import math

import torch
from torch.nn import functional

FILTERS, WAY = 32, 5


def new_parameters(side, channels):
    """Four blocks of (kernel, scale, shift), and (weight, bias) of the head."""
    parameters = []
    for inputs in (channels, FILTERS, FILTERS, FILTERS):
        kernel = torch.randn(FILTERS, inputs, 3, 3) * math.sqrt(2 / (9 * inputs))
        kernel = kernel.to(memory_format=torch.channels_last)  # The faster layout, measured.
        parameters += [kernel, torch.ones(FILTERS), torch.zeros(FILTERS)]
    width = (side // 16) ** 2 * FILTERS
    parameters += [torch.zeros(WAY, width), torch.zeros(WAY)]
    return [parameter.requires_grad_() for parameter in parameters]


def logits(parameters, images):
    units = images
    for kernel, scale, shift in zip(*[parameters[n:12:3] for n in range(3)], strict=True):
        units = functional.conv2d(units, kernel, padding=1)
        units = functional.batch_norm(units, None, None, scale, shift, training=True, eps=1e-3)
        units = functional.max_pool2d(functional.relu(units), 2)
    return functional.linear(units.flatten(1), *parameters[12:])


def random_episode(side, channels, shot, queries=15):
    """(support, its labels, query, its labels): 0 … 1, channels last in memory."""

    def some(each):
        images = torch.rand(WAY * each, channels, side, side)
        labels = torch.arange(WAY).repeat_interleave(each)
        return images.to(memory_format=torch.channels_last), labels

    return *some(shot), *some(queries)


class MAML:
    """Second order: all inner steps are differentiated through."""

    def __init__(self, *, side, channels, shot, steps, tasks, rate=0.1):
        self.parameters = new_parameters(side, channels)
        self.adam = torch.optim.Adam(self.parameters, lr=1e-3)
        self.episode = lambda: random_episode(side, channels, shot)
        self.steps, self.tasks, self.rate = steps, tasks, rate

    def meta_step(self):
        self.adam.zero_grad()
        for _ in range(self.tasks):
            support, labels, query, answers = self.episode()
            fast = self.parameters
            for _ in range(self.steps):
                loss = functional.cross_entropy(logits(fast, support), labels)
                grads = torch.autograd.grad(loss, fast, create_graph=True)
                fast = [p - self.rate * g for p, g in zip(fast, grads, strict=True)]
            (functional.cross_entropy(logits(fast, query), answers) / self.tasks).backward()
        self.adam.step()


class MetaLearnerLSTM:
    """First order: gradients and losses are constants to the two LSTM layers over coordinates."""

    def __init__(self, *, side, channels, shot, steps, tasks, hidden=20):
        initial = new_parameters(side, channels)
        self.shapes = [p.shape for p in initial]
        self.initial = torch.cat([p.detach().flatten() for p in initial]).requires_grad_()
        self.cell = torch.nn.LSTMCell(4, hidden)
        self.gates = torch.nn.Linear(hidden + 1, 2)
        with torch.no_grad():
            self.gates.bias.copy_(torch.tensor([-4.5, 4.5]))
            self.gates.weight.mul_(0.05)
        # Input and forget gate each read themselves, one step before.
        self.own = torch.zeros(2, requires_grad=True)
        learned = [self.initial, self.own, *self.cell.parameters(), *self.gates.parameters()]
        self.adam = torch.optim.Adam(learned, lr=1e-3)
        self.episode = lambda: random_episode(side, channels, shot)
        self.steps, self.tasks, self.hidden = steps, tasks, hidden

    def _parts(self, flat):
        pieces = flat.split([shape.numel() for shape in self.shapes])
        return [piece.view(shape) for piece, shape in zip(pieces, self.shapes, strict=True)]

    @staticmethod
    def _preprocessed(x):
        threshold = math.exp(-10)
        large = x.abs() >= threshold
        logarithm = x.abs().clamp(min=threshold).log() / 10
        return torch.stack([logarithm, torch.where(large, x.sign(), x / threshold)], dim=-1)

    def _adapted(self, support, labels):
        flat, count = self.initial, self.initial.numel()
        h, c = torch.zeros(count, self.hidden), torch.zeros(count, self.hidden)
        gates = torch.zeros(count, 2)
        for _ in range(self.steps):
            held = flat.detach().requires_grad_()
            loss = functional.cross_entropy(logits(self._parts(held), support), labels)
            (gradient,) = torch.autograd.grad(loss, held)
            losses = self._preprocessed(loss.detach()).expand(count, 2)
            h, c = self.cell(torch.cat([self._preprocessed(gradient), losses], dim=1), (h, c))
            read = torch.cat([h, flat[:, None]], dim=1)
            gates = self.gates(read) + self.own * gates
            enter, keep = torch.sigmoid(gates).unbind(1)
            flat = keep * flat - enter * gradient
        return self._parts(flat)

    def meta_step(self):
        self.adam.zero_grad()
        for _ in range(self.tasks):
            support, labels, query, answers = self.episode()
            adapted = self._adapted(support, labels)
            (functional.cross_entropy(logits(adapted, query), answers) / self.tasks).backward()
        self.adam.step()
