"""What a mask is: which patches the encoder sees, which it must predict."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
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
    strays: float | None = None  # blocks: share of what is seen that lies in no block

    def rows(self, start: int, stop: int, device: torch.device) -> Mask:
        """The rows of one rank, on its device."""
        keep, hide = self.keep[start:stop].to(device), self.hide[start:stop].to(device)
        return Mask(keep, hide, self.grid, self.strays)


@dataclass(kw_only=True)
class Masking(ABC):
    """A strategy that draws masks. All randomness comes from the generator it is given.

    Strategies of ``weighted = True`` look at the images: they turn patches into weights with
    :meth:`weigh`, which :meth:`sample` is then given.
    """

    name: ClassVar[str]
    weighted: ClassVar[bool] = False
    fixed: ClassVar[bool] = False  # the same mask for every clip

    def __init_subclass__(cls, *, name: str, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.name = name

    @abstractmethod
    def visible(self, grid: tuple[int, int], progress: float = 0.0) -> int:
        """How many patches of every clip stay visible; UsageError where that is none or all."""

    @abstractmethod
    def sample(
        self,
        batch: int,
        grid: tuple[int, int],
        generator: torch.Generator,
        *,
        progress: float = 0.0,
        weights: Tensor | None = None,
    ) -> Mask:
        """Masks for ``batch`` clips on ``grid = (T', F')``.

        ``progress`` is the share of training done, for schedules; ``weights (B, N)`` are those of
        :meth:`weigh`, for weighted strategies.
        """

    def weigh(self, patches: Tensor) -> Tensor:
        """Weights ``(B, N)`` of patches ``(B, N, P)``, for weighted strategies."""
        raise NotImplementedError(f"masking {self.name!r} does not look at images")


def count_visible(patches: int, ratio: float) -> int:
    """int(N (1 - ratio)) visible patches (spec 4.1); at least one stays visible and one hidden."""
    return checked(int(patches * (1.0 - ratio)), patches, f"masking.ratio={ratio}")


def checked(visible: int, patches: int, setting: str) -> int:
    """``visible``, or a UsageError naming the setting where it is none or all of ``patches``."""
    if not 0 < visible < patches:
        raise UsageError(
            f"{setting} leaves {visible} of {patches} patches visible; "
            "at least one patch must be visible and one hidden."
        )
    return visible


def ranked(tiers: Tensor, generator: torch.Generator) -> Tensor:
    """Patch indices int64 ``(B, N)`` by ascending tier (small integers), shuffled within a tier.

    Tier, 40 random bits and the index share a 64-bit word that is sorted: ten times as fast as
    argsort of floats, and without ties.
    """
    batch, patches = tiers.shape
    bits = max(1, math.ceil(math.log2(patches)))
    noise = torch.randint(1 << 40, (batch, patches), generator=generator)
    words = (((tiers.long() << 40) | noise) << bits) | torch.arange(patches)
    ordered = np.sort(words.numpy(), axis=1) & ((1 << bits) - 1)
    return torch.from_numpy(ordered)


def parted(order: Tensor, visible: int, grid: tuple[int, int]) -> Mask:
    """The first ``visible`` of each row of ``order (B, N)`` are kept, the others hidden."""
    return Mask(order[:, :visible], order[:, visible:], grid)
