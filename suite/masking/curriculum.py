"""A schedule over other masks: another strategy, another ratio, as training goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from suite.masking.base import Mask, Masking
from suite.masking.blocks import Blocks, Chunked, InverseBlocks
from suite.masking.lines import Frequency, Time
from suite.masking.uniform import Random

Name = Literal["random", "time", "frequency", "block", "inverse_block", "chunked"]
STRATEGIES: dict[str, type[Random | Time | Frequency | Blocks | Chunked]] = {
    "random": Random,
    "time": Time,
    "frequency": Frequency,
    "block": Blocks,
    "inverse_block": InverseBlocks,
    "chunked": Chunked,
}


@dataclass(kw_only=True)
class Curriculum(Masking, name="curriculum"):
    """From one strategy and ratio to another: a batch takes the last with a probability that grows.

    The probability of ``last`` and the ratio move linearly with the share of training done, after
    A-JEPA's change from random blocks to time and frequency (its exact schedule is not published).
    """

    first: Name = "random"
    last: Name = "time"
    ratio_first: float = 0.75
    ratio_last: float = 0.75

    def strategies(self, progress: float) -> tuple[Masking, Masking]:
        """The first and the last strategy at this moment's ratio."""
        ratio = self.ratio_first + (self.ratio_last - self.ratio_first) * progress
        return STRATEGIES[self.first](ratio=ratio), STRATEGIES[self.last](ratio=ratio)

    def visible(self, grid: tuple[int, int], progress: float = 0.0) -> int:
        return min(strategy.visible(grid) for strategy in self.strategies(progress))

    def sample(
        self,
        batch: int,
        grid: tuple[int, int],
        generator: torch.Generator,
        *,
        progress: float = 0.0,
        weights: Tensor | None = None,
    ) -> Mask:
        late = float(torch.rand((), generator=generator)) < progress
        mask = self.strategies(progress)[late].sample(batch, grid, generator)
        visible = self.visible(grid, progress)  # of two strategies, the one that shows fewer rules
        hide = torch.cat([mask.hide, mask.keep[:, visible:]], dim=1)
        return Mask(mask.keep[:, :visible], hide, grid, mask.strays)
