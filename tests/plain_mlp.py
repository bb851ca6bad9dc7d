"""HEAR's predictor in plain torch, one network after another: what ours is checked and timed against.

From the description of HEAR's evaluation kit (spec/evaluation.md 2.2): nn.Sequential, Adam and
BatchNorm as they come, float32. Clips are taken by index, which is faster than torch's DataLoader.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from suite.probes.base import Examples
from suite.probes.networks import Network, Point


def network(
    point: Point, inputs: int, outputs: int, dropouts: list[nn.Module], width: int = 1024
) -> nn.Sequential:
    """Layers in HEAR's order, initialised as HEAR does."""
    initialize = getattr(nn.init, f"{point.initialization}_")
    layers: list[nn.Module] = []
    size, activation = inputs, "linear"
    for dropout in dropouts:
        linear = nn.Linear(size, width)
        initialize(linear.weight, gain=nn.init.calculate_gain(activation))
        layers += [linear, nn.BatchNorm1d(width), dropout, nn.ReLU()]
        size, activation = width, "relu"
    linear = nn.Linear(size, outputs)
    initialize(linear.weight, gain=nn.init.calculate_gain(activation))
    return nn.Sequential(*layers, linear)


def with_the_weights_of(ours: Network, plain: nn.Sequential) -> None:
    """Copy every weight and bias of ``ours`` into ``plain``."""
    kinds = (nn.Linear, nn.BatchNorm1d)
    mine, theirs = ([m for m in model.modules() if isinstance(m, kinds)] for model in (ours, plain))
    for source, target in zip(mine, theirs, strict=True):
        target.load_state_dict(source.state_dict())


def train(
    point: Point,
    train: Examples,
    valid: Examples,
    score: Callable[[Tensor, Tensor], float],
    *,
    epochs: int,
    check: int = 3,
    patience: int = 20,
) -> tuple[float, int, nn.Sequential]:
    """The best score on valid of one network, its epoch, and the network as it was then."""
    dropouts: list[nn.Module] = [nn.Dropout(0.1) for _ in range(point.hidden_layers)]
    model = network(point, train.features.shape[1], train.classes, dropouts)
    optimiser = torch.optim.Adam(model.parameters(), lr=point.lr)
    best, at, waited, kept = float("-inf"), 0, 0, copy.deepcopy(model)
    for epoch in range(1, epochs + 1):
        model.train()
        for rows in torch.randperm(len(train.features)).split(1024):
            optimiser.zero_grad()
            F.cross_entropy(model(train.features[rows]), train.targets[rows]).backward()
            optimiser.step()
        if epoch % check == 0:
            model.eval()
            with torch.no_grad():
                measured = score(valid.targets, model(valid.features))
            if measured > best:
                best, at, waited, kept = measured, epoch, 0, copy.deepcopy(model)
            else:
                waited += 1
            if waited >= patience:
                break
    return best, at, kept
