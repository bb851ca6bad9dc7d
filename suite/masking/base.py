"""What a mask is: which patches the encoder sees, which it must predict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from generators.drawer import UsageError


@dataclass(frozen=True)
class Mask:
    """Visible and hidden patch indices of a batch; every row keeps the same number.

    Indices are time-major, ``t * F' + f`` on ``grid = (T', F')``; ``keep`` and ``hide`` partition the
    patches of each row.
    """

    keep: Tensor  # int64 (B, K)
    hide: Tensor  # int64 (B, N - K)
    grid: tuple[int, int]

    def rows(self, start: int, stop: int, device: torch.device) -> Mask:
        """The rows of one rank, on its device."""
        return Mask(self.keep[start:stop].to(device), self.hide[start:stop].to(device), self.grid)


@dataclass(kw_only=True)
class Masking(ABC):
    """A strategy that draws masks. All randomness comes from the generator it is given."""

    name: ClassVar[str]

    def __init_subclass__(cls, *, name: str, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.name = name

    @abstractmethod
    def sample(self, batch: int, grid: tuple[int, int], generator: torch.Generator) -> Mask:
        """Masks for ``batch`` clips on ``grid = (T', F')``."""


def count_visible(patches: int, ratio: float) -> int:
    """int(N (1 - ratio)) visible patches (spec 4.1); at least one stays visible and one hidden."""
    visible = int(patches * (1.0 - ratio))
    if not 0 < visible < patches:
        raise UsageError(
            f"masking.ratio={ratio} leaves {visible} of {patches} patches visible; "
            "at least one patch must be visible and one hidden."
        )
    return visible
