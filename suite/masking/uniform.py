"""Masks without a structure in time or frequency: single patches, or groups of neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from generators.drawer import UsageError
from suite.masking.base import Mask, Masking, count_visible, parted, ranked


@dataclass(kw_only=True)
class Random(Masking, name="random"):
    """Every patch is hidden with the same probability, the exact count in every clip (MAE)."""

    ratio: float = 0.75  # MAE, AudioPG, MSM-MAE; Audio-MAE 0.8

    def visible(self, grid: tuple[int, int], progress: float = 0.0) -> int:
        return count_visible(grid[0] * grid[1], self.ratio)

    def sample(
        self,
        batch: int,
        grid: tuple[int, int],
        generator: torch.Generator,
        *,
        progress: float = 0.0,
        weights: Tensor | None = None,
    ) -> Mask:
        order = torch.rand(batch, grid[0] * grid[1], generator=generator).argsort(dim=1)
        return parted(order, self.visible(grid), grid)


@dataclass(kw_only=True)
class Grouped(Masking, name="grouped"):
    """Groups of neighbours in time are seen or hidden together (Dasheng: pairs).

    Groups are taken in random order until the count is full; at most one group is split, as in
    Dasheng, by hiding its last patches.
    """

    ratio: float = 0.75
    group: int = 2  # time steps of one band

    def __post_init__(self) -> None:
        if self.group < 1:
            raise UsageError(f"masking.group={self.group} must be at least 1.")

    def visible(self, grid: tuple[int, int], progress: float = 0.0) -> int:
        return count_visible(grid[0] * grid[1], self.ratio)

    def sample(
        self,
        batch: int,
        grid: tuple[int, int],
        generator: torch.Generator,
        *,
        progress: float = 0.0,
        weights: Tensor | None = None,
    ) -> Mask:
        steps, rows = grid
        groups = -(-steps // self.group)
        ranks = ranked(torch.zeros(batch, groups * rows), generator).argsort(dim=1)
        of_group = ranks.view(batch, groups, rows)
        tiers = of_group.repeat_interleave(self.group, dim=1)[:, :steps].flatten(1)  # (B, N)
        # stable: patches of one group stay in order of time
        return parted(tiers.argsort(dim=1, stable=True), self.visible(grid), grid)
