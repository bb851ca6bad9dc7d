"""One training step: the masks and random numbers of the global batch, and the losses of its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel
from torch.utils.flop_counter import FlopCounterMode

from suite.machine import Machine
from suite.masking.base import Masking
from suite.objectives.base import Batch, Objective
from suite.stream import generator_of, seed_of


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Where a step's random numbers come from: the seed and the step decide all of them."""

    masking: Masking
    seed: int
    step: int
    steps: int

    def batch(
        self, objective: Objective, images: Tensor, vectors: Tensor | None, machine: Machine
    ) -> Batch:
        """One rank's ``images (B / world, F, T)`` with its rows of the masks of the global batch."""
        views, clips = objective.views, len(images)
        mask = self.masking.sample(
            clips * machine.world * views,
            objective.encoder.grid(images),
            generator_of("mask", self.seed, self.step),
            progress=self.step / self.steps,
            weights=self.weights(objective, images, machine),
        )
        rows = slice(machine.rank * clips * views, (machine.rank + 1) * clips * views)
        seeds = torch.randint(
            1 << 62, (len(mask.keep),), generator=generator_of("row", self.seed, self.step)
        )
        # What an objective draws from torch itself (dropout) is the same after a resume.
        torch.manual_seed(seed_of("step", self.seed, self.step))
        return Batch(images, mask.rows(rows.start, rows.stop, machine.device), seeds[rows], vectors)

    def weights(self, objective: Objective, images: Tensor, machine: Machine) -> Tensor | None:
        """What a weighted masking thinks of the global batch's patches: every rank draws for all."""
        if not self.masking.weighted:
            return None
        weights = self.masking.weigh(objective.encoder.patchify(images))
        if machine.world > 1:
            everyone = [torch.empty_like(weights) for _ in range(machine.world)]
            distributed.all_gather(everyone, weights)
            weights = torch.cat(everyone)
        return weights.repeat_interleave(objective.views, dim=0).cpu()


def gather_gradients(
    model: nn.Module, batch: Batch, machine: Machine, micro_batch: int | None
) -> dict[str, Tensor]:
    """Losses of the batch, their gradients added to the parameters'; returns detached scalars.

    At most ``micro_batch`` clips are in memory at once. Every row of a batch counts the same, so the
    gradient is that of the whole batch up to rounding.
    """
    clips = len(batch.images)
    size = clips if micro_batch is None else min(micro_batch, clips)
    total: dict[str, Tensor] = {}
    for start in range(0, clips, size):
        stop = min(start + size, clips)
        part = batch if size == clips else batch.part(start, stop)
        share = (stop - start) / clips
        with ranks_wait(model, stop == clips):
            with machine.autocast():
                losses: dict[str, Tensor] = model(part)
            (losses["loss"] * share).backward()
        for name, value in losses.items():
            added = value.detach() * share
            total[name] = total[name] + added if name in total else added
    return total


def ranks_wait(model: nn.Module, last: bool) -> AbstractContextManager[None]:
    """Ranks exchange gradients after the last part of a batch only."""
    if isinstance(model, DistributedDataParallel) and not last:
        waiting: AbstractContextManager[None] = model.no_sync()
        return waiting
    return nullcontext()


def count_flops(objective: Objective, draws: Draws, images: Tensor, vectors: Tensor | None) -> float:
    """Floating-point operations a clip, forward and backward (matrix products and convolutions)."""
    alone = Machine(images.device, "float32")
    ours = {torch.ops.aten.convolution_backward: flops_of_convolution_backward}
    counter = FlopCounterMode(display=False, custom_mapping=ours)
    # The fused attention kernels of a CPU are not counted; the plain one does the same products.
    with counter, sdpa_kernel(SDPBackend.MATH):
        objective.losses(draws.batch(objective, images, vectors, alone))["loss"].backward()
    objective.zero_grad(set_to_none=True)
    return float(counter.get_total_flops()) / len(images)


def flops_of_convolution_backward(
    gradient: Sequence[int], _images: Sequence[int], weight: Sequence[int], *rest: Any, **_others: Any
) -> int:
    """As many as forward for each gradient asked: torch's own formula counts groups as if dense."""
    asked = rest[-1]  # of images, weights and biases; biases take no products
    return 2 * gradient[0] * math.prod(gradient[2:]) * math.prod(weight) * sum(asked[:2])
