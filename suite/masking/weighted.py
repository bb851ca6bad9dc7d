"""Masks that look at the image: what varies, or is loud, is hidden more often (Niizumi et al. 2026)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from generators.drawer import UsageError
from suite.masking.base import Mask, Masking, count_visible, parted, ranked


@dataclass(kw_only=True)
class Dispersion(Masking, name="dispersion"):
    """Patches are hidden in proportion to how much their pixels vary, some hints apart (M2D-DWM).

    Weight: mean absolute deviation of a patch's pixels. int(N ratio) patches are drawn without
    replacement; of these a share ``hint`` joins the visible ones, and as many of them all are hidden
    again: ``hint=1`` is random masking, 0 leaves the weights alone (spec 4.2).
    """

    weighted: ClassVar[bool] = True

    ratio: float = 0.75
    hint: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.hint <= 1.0:
            raise UsageError(f"masking.hint={self.hint}: expected a share from 0 to 1.")

    def weigh(self, patches: Tensor) -> Tensor:
        centred = patches.float() - patches.float().mean(dim=2, keepdim=True)
        return centred.abs().mean(dim=2) + 1e-12

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
        patches = grid[0] * grid[1]
        if weights is None:
            raise ValueError(f"masking {self.name!r} needs weights: call weigh(patches) first.")
        visible = self.visible(grid)
        # an exponential race: the earliest arrivals are a draw in proportion to the weights
        arrivals = torch.empty(batch, patches, dtype=torch.float64).exponential_(generator=generator)
        place = (arrivals / weights.double().cpu()).argsort(dim=1).argsort(dim=1)
        hidden = place < patches - visible
        hints = round(self.hint * (patches - visible))
        among = ranked((~hidden).long(), generator)[:, :hints]  # of the hidden ones
        hidden.scatter_(1, among, False)
        return parted(ranked(hidden.long(), generator), visible, grid)


@dataclass(kw_only=True)
class Energy(Dispersion, name="energy"):
    """As ``dispersion``, by how loud a patch is: the control that tells variation from level.

    Weight: exp of the mean standardised log-mel; with ``inverse`` what is quiet is hidden more often.
    """

    inverse: bool = False

    def weigh(self, patches: Tensor) -> Tensor:
        level = patches.float().mean(dim=2)
        return (-level if self.inverse else level).clamp(-20.0, 20.0).exp()
