"""Training steps of scale=nano for benchmarks, importable by worker processes."""

from __future__ import annotations

import torch

from suite.configuration import configure, experiment_of
from suite.machine import open_machine
from suite.objectives.base import Batch
from suite.optimiser import Optimiser
from suite.stream import generator_of


def learn(steps: int) -> float:
    """Take ``steps`` MAE steps on one thread from fresh weights; returns the last loss."""
    open_machine("cpu", threads=1)
    torch.manual_seed(0)
    experiment = experiment_of(configure([]))
    objective = experiment.build_objective()
    images = torch.randn(experiment.scale.batch, 80, 208)
    mask = experiment.build_masking().sample(len(images), (13, 5), generator_of("benchmark"))
    optimiser = Optimiser(objective, experiment.training)
    loss = torch.zeros(())
    for _ in range(steps):
        loss = objective.losses(Batch(images, mask))["loss"]
        loss.backward()
        optimiser.clip()
        optimiser.step(1e-3)
    return loss.item()
