"""Unstructured random masking, as in MAE, Audio-MAE and AudioPG."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from suite.masking.base import Mask, Masking, count_visible


@dataclass(kw_only=True)
class Random(Masking, name="random"):
    """Every patch is hidden with the same probability, the exact count in every clip (MAE)."""

    ratio: float = 0.75  # MAE, AudioPG, MSM-MAE; Audio-MAE 0.8

    def sample(self, batch: int, grid: tuple[int, int], generator: torch.Generator) -> Mask:
        patches = grid[0] * grid[1]
        visible = count_visible(patches, self.ratio)
        order = torch.rand(batch, patches, generator=generator).argsort(dim=1)
        return Mask(order[:, :visible], order[:, visible:], grid)
