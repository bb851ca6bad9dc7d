"""HEAR's downstream predictor: the network, its first weights, and its forward pass in training.

Source: spec evaluation.md 2.2, after HEAR's evaluation kit. :mod:`suite.probes.side_by_side` trains it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 1024  # of a hidden layer
DROPOUT = 0.1
MOMENTUM = 0.1  # of running statistics
AT_ONCE = 8_192  # clips answered for at once

INITIALIZATIONS = {"xavier_uniform": nn.init.xavier_uniform_, "xavier_normal": nn.init.xavier_normal_}


@dataclass(frozen=True)
class Point:
    """A point of the grid: 1 or 2 hidden layers, a key of INITIALIZATIONS, Adam's learning rate."""

    hidden_layers: int
    initialization: str
    lr: float


class Hidden(nn.Module):
    """Linear, BatchNorm1d, Dropout, ReLU: ``(n, size)`` to ``(n, WIDTH)``."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, WIDTH)
        self.linear.bias.requires_grad_(False)  # BatchNorm takes it out again: its gradient is zero
        self.norm = nn.BatchNorm1d(WIDTH, momentum=MOMENTUM)

    def forward(self, inputs: Tensor) -> Tensor:
        """By the running statistics, without dropout."""
        return F.relu(self.norm(self.linear(inputs)))

    def in_training(self, inputs: Tensor, kept: Tensor, left_out: Tensor) -> Tensor:
        """By the statistics of the batch, which move the running ones; ``kept (n, WIDTH)``: dropout.

        The linear map is taken without what is the same for all inputs: BatchNorm would take it out
        again. ``left_out (WIDTH,)`` is that constant, which the running mean has in it.
        """
        norm = self.norm
        assert norm.running_mean is not None
        with torch.no_grad():  # before the update, which is running = 0.9 * running + 0.1 * mean
            norm.running_mean.add_(left_out, alpha=MOMENTUM / (1.0 - MOMENTUM))
        normed = F.batch_norm(
            F.linear(inputs, self.linear.weight),
            norm.running_mean,
            norm.running_var,
            norm.weight / (1.0 - DROPOUT),  # dropout's scale; ReLU lets it pass
            norm.bias / (1.0 - DROPOUT),
            training=True,
            momentum=MOMENTUM,
            eps=norm.eps,
        )
        return F.relu(normed) * kept


class Network(nn.Module):
    """Hidden layers as ``point`` says, then Linear: ``(n, D)`` to logits ``(n, classes)``.

    Weights are drawn with the gain of a linear layer for the first and of ReLU for the others; biases
    are as torch draws them. ``centre (D,)`` is the mean input of train: training sees inputs less it,
    because bfloat16 cannot tell features apart whose mean is far from zero.
    """

    centre: Tensor

    def __init__(self, point: Point, centre: Tensor, classes: int, *, seed: int) -> None:
        super().__init__()
        self.register_buffer("centre", centre)
        sizes = [len(centre), *[WIDTH] * point.hidden_layers]
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from the one generator of all
            torch.manual_seed(seed)
            self.hidden = cast(Sequence[Hidden], nn.ModuleList(map(Hidden, sizes[:-1])))
            self.projection = nn.Linear(sizes[-1], classes)
            gain = nn.init.calculate_gain("linear")
            for linear in (*(layer.linear for layer in self.hidden), self.projection):
                INITIALIZATIONS[point.initialization](linear.weight, gain=gain)
                gain = nn.init.calculate_gain("relu")
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits of inputs ``(n, D)`` as they are."""
        for layer in self.hidden:
            inputs = layer(inputs)
        return self.projection(inputs)

    def in_training(self, inputs: Tensor, kept: Sequence[Tensor]) -> Tensor:
        """Logits of inputs ``(n, D)`` less ``centre``, with dropout.

        ``kept`` holds, by layer, zeros ``(n, WIDTH)`` where a unit is dropped and ones elsewhere.
        """
        for place, layer in enumerate(self.hidden):
            with torch.no_grad(), torch.autocast("cpu", enabled=False):  # as exact as in forward
                left_out = layer.linear.bias if place else layer.linear(self.centre)
            inputs = layer.in_training(inputs, kept[place], left_out)
        return self.projection(inputs)


def answers(network: Network, inputs: Tensor) -> Tensor:
    """Logits ``(n, classes)`` in float32 for inputs ``(n, D)``."""
    with torch.no_grad():
        return torch.cat([network(part) for part in inputs.split(AT_ONCE)])
