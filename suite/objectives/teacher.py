"""Teachers: running averages of a student, their schedule, their targets, and signs of collapse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.encoder import Encoder

COLLAPSED = 0.01  # deviation of predictions over tokens below which there is nothing left to learn


def decay_at(done: int, steps: int, *, start: float, end: float, anneal: float) -> float:
    """The share of itself that a teacher keeps after step ``done`` of ``steps``.

    ``start`` and ``end`` are (1 - decay) * steps, which is free of the training's length: EAT's 0.9998
    to 0.99999 over the first quarter of 400 000 steps are 80 to 4 (spec bootstrap fact 8). The decay
    itself moves in a straight line for the share ``anneal`` of the training, then stays.
    """
    first, last = max(0.0, 1.0 - start / steps), max(0.0, 1.0 - end / steps)
    left = 1.0 - done / (anneal * steps) if anneal > 0 else 0.0
    return last - (last - first) * max(0.0, left)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """teacher <- decay * teacher + (1 - decay) * student, parameter by parameter."""
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1.0 - decay)


@contextmanager
def feed_forward_outputs(encoder: Encoder) -> Iterator[list[Tensor]]:
    """What each block's MLP puts out while the context is open, before the residual is added."""
    heard: list[Tensor] = []

    def remember(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        heard.append(output)

    hooks = [block.get_submodule("mlp").register_forward_hook(remember) for block in encoder.blocks]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def averaged_layers(layers: list[Tensor]) -> Tensor:
    """Targets ``(B, N, D)`` of the layers ``(B, N, D)`` of a teacher (spec bootstrap A.4).

    Each channel of each layer is normalised over the patches of its clip; the mean of the layers is
    normalised over the channels, both without learnt parameters, in float32.
    """
    mean: Tensor | None = None
    for layer in layers:
        layer = layer.float()
        centred = layer - layer.mean(dim=1, keepdim=True)
        normal = centred * (centred.square().mean(dim=1, keepdim=True) + 1e-5).rsqrt()
        mean = normal if mean is None else mean + normal
    assert mean is not None
    return F.layer_norm(mean / len(layers), mean.shape[2:], eps=1e-5)


def spread(tokens: Tensor) -> Tensor:
    """Mean over the channels of the deviation over all tokens ``(..., D)``: 0 where all are alike."""
    flat = tokens.detach().float().flatten(0, -2)
    centred = flat - flat.mean(dim=0)
    variance = centred.square_().sum(dim=0) / (len(flat) - 1)  # a seventh of the time of torch's var
    return (variance + 1e-6).sqrt().mean()


def collapse_warning(logged: Mapping[str, float]) -> str | None:
    """The warning of a bootstrap objective whose predictions or targets no longer differ."""
    for what in ("target_spread", "prediction_spread"):
        if what in logged and logged[what] < COLLAPSED:
            return (
                f"the {what.replace('_', ' ')} is {logged[what]:.4f}: all tokens are answered alike, "
                "the encoder has collapsed. Lower scale.learning_rate, lengthen training.warmup, or "
                "move the teacher more slowly (objective.teacher_start, objective.teacher_end)."
            )
    return None
