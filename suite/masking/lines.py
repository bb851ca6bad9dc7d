"""Masks of whole time steps, whole bands, both, or spans of time (Audio-MAE; M2D)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from generators.drawer import UsageError
from suite.masking.base import Mask, Masking, checked, parted, ranked


def random_ranks(batch: int, count: int, generator: torch.Generator) -> Tensor:
    """A random permutation of 0 to ``count - 1`` for each clip, int64 ``(B, count)``."""
    return ranked(torch.zeros(batch, count), generator)


@dataclass(kw_only=True)
class Time(Masking, name="time"):
    """Whole time steps are hidden: int(T' (1 - ratio)) of them stay visible (Audio-MAE)."""

    ratio: float = 0.75

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
        ranks = random_ranks(batch, grid[0], generator)
        tiers = ranks[:, :, None].expand(-1, -1, grid[1]).flatten(1)
        return parted(ranked(tiers, generator), self.visible(grid), grid)


@dataclass(kw_only=True)
class Frequency(Masking, name="frequency"):
    """Whole band steps are hidden: int(F' (1 - ratio)) of them stay visible (Audio-MAE)."""

    ratio: float = 0.6  # 5 bands: 2 stay

    def visible(self, grid: tuple[int, int], progress: float = 0.0) -> int:
        kept = int(grid[1] * (1.0 - self.ratio))
        return checked(kept * grid[0], grid[0] * grid[1], f"masking.ratio={self.ratio}")

    def sample(
        self,
        batch: int,
        grid: tuple[int, int],
        generator: torch.Generator,
        *,
        progress: float = 0.0,
        weights: Tensor | None = None,
    ) -> Mask:
        ranks = random_ranks(batch, grid[1], generator)
        tiers = ranks[:, None, :].expand(-1, grid[0], -1).flatten(1)
        return parted(ranked(tiers, generator), self.visible(grid), grid)


@dataclass(kw_only=True)
class TimeFrequency(Masking, name="time_frequency"):
    """Time steps and bands are hidden apart; what neither hides is seen (Audio-MAE: 0.7 and 0.3)."""

    time_ratio: float = 0.7
    frequency_ratio: float = 0.3

    def kept(self, grid: tuple[int, int]) -> tuple[int, int]:
        """Time steps and bands that stay."""
        return int(grid[0] * (1.0 - self.time_ratio)), int(grid[1] * (1.0 - self.frequency_ratio))

    def visible(self, grid: tuple[int, int], progress: float = 0.0) -> int:
        steps, rows = self.kept(grid)
        setting = f"masking.time_ratio={self.time_ratio} frequency_ratio={self.frequency_ratio}"
        return checked(steps * rows, grid[0] * grid[1], setting)

    def sample(
        self,
        batch: int,
        grid: tuple[int, int],
        generator: torch.Generator,
        *,
        progress: float = 0.0,
        weights: Tensor | None = None,
    ) -> Mask:
        steps, rows = self.kept(grid)
        hidden_steps = random_ranks(batch, grid[0], generator) >= steps
        hidden_rows = random_ranks(batch, grid[1], generator) >= rows
        hidden = hidden_steps[:, :, None] | hidden_rows[:, None, :]
        return parted(ranked(hidden.flatten(1), generator), self.visible(grid), grid)


@dataclass(kw_only=True)
class TimeSpans(Masking, name="time_spans"):
    """Spans of time are hidden until the ratio is reached (M2D for speech); surplus is shown again.

    M2D shows the surplus again from the end of the clip, so that late frames are hidden less; here the
    last span to fall is the one that is cut.
    """

    ratio: float = 0.6
    span: int = 10  # time steps

    def __post_init__(self) -> None:
        if self.span < 1:
            raise UsageError(f"masking.span={self.span} must be at least 1 time step.")

    def visible(self, grid: tuple[int, int], progress: float = 0.0) -> int:
        kept = grid[0] - int(grid[0] * self.ratio)
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
        steps, rows = grid
        span = min(self.span, steps)
        # Spans fall in the order of a permutation of their starts; a step's tier is when it is hit.
        falls = random_ranks(batch, steps - span + 1, generator).argsort(dim=1)  # when start s falls
        windows = torch.nn.functional.pad(falls, (span - 1, span - 1), value=steps)
        first_hit = windows.unfold(1, span, 1).amin(dim=2)  # (B, T')
        tiers = (steps - first_hit)[:, :, None].expand(-1, -1, rows).flatten(1)
        order = ranked_by_step(tiers, steps, rows, generator)
        return parted(order, self.visible(grid), grid)


def ranked_by_step(tiers: Tensor, steps: int, rows: int, generator: torch.Generator) -> Tensor:
    """As :func:`ranked`, but the patches of one time step stay together."""
    order = ranked(tiers.view(-1, steps, rows)[:, :, 0], generator)  # (B, T')
    return (order[:, :, None] * rows + torch.arange(rows)).flatten(1)
