"""How weights move: AdamW over parameters laid side by side, its groups and its learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

ALIGNED = 16  # floats: every parameter begins on a cache line of 64 bytes


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the optimiser moves (config.yaml says what each key means)."""

    warmup: float
    schedule: Literal["cosine", "constant"]
    weight_decay: float
    decay_all: bool
    betas: tuple[float, float]
    clip_norm: float | None
    precision: Literal["auto", "float32", "bfloat16"]
    compile: bool


def learning_rate(step: int, steps: int, peak: float, training: Training) -> float:
    """Linear warm-up from 0, then half a cosine to 0 (MAE), or constant (AudioPG)."""
    warmup = int(training.warmup * steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    if training.schedule == "constant":
        return peak
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def decayed_and_free(
    module: nn.Module, training: Training
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Weight decay on all but vectors and biases, as MAE and EAT; with ``decay_all`` on all (AudioPG).

    Class and mask tokens are stored as ``(1, 1, D)`` and decay with the matrices, as published.
    """
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        is_matrix = parameter.ndim >= 2 and not name.endswith("bias")
        if parameter.requires_grad:
            (decayed if is_matrix or training.decay_all else free).append(parameter)
    return decayed, free


def side_by_side(parameters: list[nn.Parameter]) -> nn.Parameter:
    """Move parameters and their gradients into two flat buffers; returns the buffer as a parameter.

    The parameters stay what they were to the module, as views. One kernel over a buffer replaces one
    for each of a hundred tensors, which is a tenth of a small network's step.
    """
    starts, end = [], 0
    for parameter in parameters:
        starts.append(end)
        end += -(-parameter.numel() // ALIGNED) * ALIGNED
    values = parameters[0].new_zeros(end, requires_grad=False)
    gradients = torch.zeros_like(values)
    for start, parameter in zip(starts, parameters, strict=True):
        place = slice(start, start + parameter.numel())
        values[place] = parameter.detach().flatten()
        parameter.data = values[place].view_as(parameter)
        parameter.grad = gradients[place].view_as(parameter)
    flat = nn.Parameter(values)
    flat.grad = gradients
    return flat


class Optimiser:
    """AdamW over the trained parameters of a module, as at most two flat buffers."""

    def __init__(self, module: nn.Module, training: Training) -> None:
        decayed, free = decayed_and_free(module, training)
        pairs = ((decayed, training.weight_decay), (free, 0.0))
        self.buffers: list[nn.Parameter] = []
        groups: list[dict[str, Any]] = []
        for parameters, decay in pairs:
            if parameters:
                self.buffers.append(side_by_side(parameters))
                groups.append({"params": [self.buffers[-1]], "weight_decay": decay})
        self.adamw = torch.optim.AdamW(groups, betas=training.betas, fused=True)
        self.clip_norm = training.clip_norm or math.inf

    def clip(self) -> Tensor:
        """Shorten the gradient to ``clip_norm``; returns its norm before, a scalar."""
        return nn.utils.clip_grad_norm_(self.buffers, self.clip_norm)

    def step(self, rate: float) -> None:
        """Move the weights by the gradients gathered since the last step, and forget these."""
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()
        for buffer in self.buffers:
            assert buffer.grad is not None
            buffer.grad.zero_()

    def state_dict(self) -> dict[str, Any]:
        return self.adamw.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.adamw.load_state_dict(state)
