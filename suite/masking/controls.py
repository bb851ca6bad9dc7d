"""Masks without chance: a checkerboard, and the past before the future."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from suite.masking.base import Mask, Masking, checked, parted


@dataclass(kw_only=True)
class Checkerboard(Masking, name="checkerboard"):
    """Every other patch is seen: the easiest puzzle, each hidden patch has visible neighbours."""

    fixed: ClassVar[bool] = True

    def visible(self, grid: tuple[int, int], progress: float = 0.0) -> int:
        patches = grid[0] * grid[1]
        return checked((patches + 1) // 2, patches, "masking=checkerboard")

    def sample(
        self,
        batch: int,
        grid: tuple[int, int],
        generator: torch.Generator,
        *,
        progress: float = 0.0,
        weights: Tensor | None = None,
    ) -> Mask:
        step, row = torch.arange(grid[0])[:, None], torch.arange(grid[1])
        order = ((step + row) % 2).flatten().argsort(stable=True)
        return parted(order.repeat(batch, 1), self.visible(grid), grid)


@dataclass(kw_only=True)
class Causal(Masking, name="causal"):
    """The first int(T' (1 - ratio)) time steps are seen, what comes after them is hidden."""

    fixed: ClassVar[bool] = True

    ratio: float = 0.5

    def visible(self, grid: tuple[int, int], progress: float = 0.0) -> int:
        kept = int(grid[0] * (1.0 - self.ratio))
        return checked(kept * grid[1], grid[0] * grid[1], f"masking.ratio={self.ratio}")

    def sample(
        self,
        batch: int,
        grid: tuple[int, int],
        generator: torch.Generator,
        *,
        progress: float = 0.0,
        weights: Tensor | None = None,
    ) -> Mask:
        order = torch.arange(grid[0] * grid[1]).repeat(batch, 1)
        return parted(order, self.visible(grid), grid)
