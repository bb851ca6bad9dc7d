"""Masks of rectangles: hidden blocks, visible blocks (inverse), several target blocks, chunks."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from generators.drawer import UsageError
from suite.masking.base import Mask, Masking, count_visible, parted, ranked


def dilate(cells: Tensor, size: int, dim: int) -> Tensor:
    """Spread cells over ``size`` neighbours along ``dim`` from c - size // 2 on, within borders."""
    length = cells.shape[dim]
    low = size // 2
    around = [0, 0] * (cells.ndim - 1 - dim) + [size - 1 - low, low]
    padded = F.pad(cells, around)
    out = torch.zeros_like(cells)
    for shift in range(size):
        out |= padded.narrow(dim, shift, length)
    return out


def blocks(
    batch: int, grid: tuple[int, int], centres: int, shape: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Cells within ``shape`` around ``centres`` random cells (with replacement), bool ``(B, N)``."""
    steps, rows = grid
    cells = torch.zeros(batch, steps * rows, dtype=torch.bool)
    if centres:
        places = torch.randint(steps * rows, (batch, centres), generator=generator)
        cells.scatter_(1, places, torch.ones_like(places, dtype=torch.bool))
    marked = dilate(dilate(cells.view(batch, steps, rows), shape[0], 1), shape[1], 2)
    return marked.flatten(1)


def centres_for(target: int, grid: tuple[int, int], shape: tuple[int, int]) -> int:
    """How many random blocks cover ``target`` cells on average, borders and overlaps counted."""

    def coverage(length: int, size: int) -> Tensor:
        cells = torch.eye(length, dtype=torch.bool)
        return dilate(cells, size, 1).sum(dim=0).double()  # centres that reach each cell

    patches = grid[0] * grid[1]
    reach = torch.outer(coverage(grid[0], shape[0]), coverage(grid[1], shape[1])) / patches
    expected = [float((1.0 - (1.0 - reach) ** n).sum()) for n in range(patches + 1)]
    return min(range(patches + 1), key=lambda n: abs(expected[n] - target))


@dataclass(kw_only=True)
class Blocks(Masking, name="block"):
    """Square blocks are hidden; single patches are hidden or shown to meet the count (data2vec)."""

    inverse: ClassVar[bool] = False  # the blocks are what is seen

    ratio: float = 0.8
    size: int = 5  # patches a side; EAT and CAT: 5 on grids of 64 x 8; take 2 on 13 x 5
    adjust: float | Literal["auto"] = 0.07  # covers overlaps and borders; auto: as many as are needed

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UsageError(f"masking.size={self.size} must be at least 1 patch.")

    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Block shapes in (time, band) steps; one is drawn for a batch."""
        return ((self.size, self.size),)

    def visible(self, grid: tuple[int, int], progress: float = 0.0) -> int:
        visible = count_visible(grid[0] * grid[1], self.ratio)
        for shape in self.shapes():
            self.centres(grid, shape)  # refuses a grid that no block fits
        return visible

    def centres(self, grid: tuple[int, int], shape: tuple[int, int]) -> int:
        """How many blocks are drawn; UsageError where not even one fits the share to be covered."""
        patches = grid[0] * grid[1]
        share = 1.0 - self.ratio if self.inverse else self.ratio
        if self.adjust == "auto":
            count = centres_for(int(patches * share), grid, shape)
        else:
            count = int(patches * (share + self.adjust) / (shape[0] * shape[1]))
        if count < 1:
            raise UsageError(
                f"masking.size={self.size}: not one block of {shape[0]} x {shape[1]} patches fits into "
                f"{share:.0%} of a grid of {grid[0]} x {grid[1]}; all patches would be strays. "
                "Take a smaller masking.size (2 on small grids) or masking.adjust=auto."
            )
        return count

    def sample(
        self,
        batch: int,
        grid: tuple[int, int],
        generator: torch.Generator,
        *,
        progress: float = 0.0,
        weights: Tensor | None = None,
    ) -> Mask:
        visible = self.visible(grid)
        shapes = self.shapes()
        which = int(torch.randint(len(shapes), (), generator=generator))
        marked = blocks(batch, grid, self.centres(grid, shapes[which]), shapes[which], generator)
        seen = marked if self.inverse else ~marked
        mask = parted(ranked((~seen).long(), generator), visible, grid)
        wanted = seen.sum(dim=1)  # patches that are as the blocks ask
        strays = (visible - wanted).clamp_min(0).double().mean().item() / visible
        return Mask(mask.keep, mask.hide, grid, strays)


@dataclass(kw_only=True)
class InverseBlocks(Blocks, name="inverse_block"):
    """Square blocks are seen, all else is hidden; single patches meet the count (EAT, data2vec 2.0).

    int(N (1 - ratio + adjust) / size^2) centres with replacement; a block is cut at borders. Where the
    blocks cover too much, random patches of theirs are hidden; where too little, random strays are
    shown (spec 4.3): their share of what is seen is logged as ``stray``.
    """

    inverse: ClassVar[bool] = True


@dataclass(kw_only=True)
class FlexibleInverseBlocks(InverseBlocks, name="inverse_block_flexible"):
    """As ``inverse_block``, with a shape of 6 x 4, 5 x 5 or 8 x 3 drawn for each batch (EAT)."""

    def shapes(self) -> tuple[tuple[int, int], ...]:
        return ((6, 4), (5, 5), (8, 3))


@dataclass(kw_only=True)
class MultiBlock(Masking, name="multi_block"):
    """Target blocks are hidden from one large context block (I-JEPA); the count is exact.

    Targets have 0.15 to 0.2 of the patches and an aspect of 0.75 to 1.5, the context 0.85 to 1. Seen
    are patches of the context outside targets first, then others outside targets, then any.
    """

    ratio: float = 0.6
    targets: int = 4

    def __post_init__(self) -> None:
        if self.targets < 1:
            raise UsageError(f"masking.targets={self.targets} must be at least 1 block.")

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
        def uniform(low: float, high: float, count: int) -> Tensor:
            return low + (high - low) * torch.rand(batch, count, generator=generator)

        def rectangles(scale: Tensor, aspect: Tensor) -> Tensor:
            """Bool ``(B, count, T', F')``; aspect is time over bands, in shares of the grid."""
            long = (scale * aspect).sqrt().mul(grid[0]).round().clamp(1, grid[0])
            high = (scale / aspect).sqrt().mul(grid[1]).round().clamp(1, grid[1])
            count = scale.shape[1]
            start = (uniform(0.0, 1.0, count) * (grid[0] - long + 1)).floor()
            base = (uniform(0.0, 1.0, count) * (grid[1] - high + 1)).floor()
            step, row = torch.arange(grid[0]), torch.arange(grid[1])
            in_time = (step >= start[..., None]) & (step < (start + long)[..., None])
            in_band = (row >= base[..., None]) & (row < (base + high)[..., None])
            return in_time[..., :, None] & in_band[..., None, :]

        target = rectangles(uniform(0.15, 0.2, self.targets), uniform(0.75, 1.5, self.targets)).any(1)
        context = rectangles(uniform(0.85, 1.0, 1), torch.ones(batch, 1))[:, 0]
        tiers = torch.where(target, 2, torch.where(context, 0, 1)).flatten(1)
        return parted(ranked(tiers, generator), self.visible(grid), grid)


def earliest(falls: Tensor, size: int, dim: int) -> Tensor:
    """The smallest of ``size`` neighbours along ``dim``, which gets ``size - 1`` shorter."""
    length = falls.shape[dim] - size + 1
    shifted = (falls.narrow(dim, shift, length) for shift in range(size))
    return functools.reduce(torch.minimum, shifted)


@dataclass(kw_only=True)
class Chunked(Masking, name="chunked"):
    """Square chunks fall at random places until the ratio is hidden; the last one is cut (SSAST).

    A clip's chunks are 3, 4 or 5 patches wide. SSAST's released code lets chunks grow only towards
    later and higher patches and wrap around; here every patch is as likely to be hidden as any other.
    """

    ratio: float = 0.78125  # SSAST: 400 of 512
    sizes: tuple[int, ...] = (3, 4, 5)

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 1:
            raise UsageError(f"masking.sizes={list(self.sizes)}: name at least one size of 1 or more.")

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
        which = torch.randint(len(self.sizes), (batch,), generator=generator)
        tiers = torch.zeros(batch, steps * rows, dtype=torch.int64)
        for number, size in enumerate(self.sizes):
            # when the chunk of each place falls; a patch is hidden by the first chunk that covers it
            places = (steps + size - 1, rows + size - 1)
            chosen = which == number
            count = int(chosen.sum())
            falls = ranked(torch.zeros(count, places[0] * places[1]), generator).view(count, *places)
            first = earliest(earliest(falls, size, 1), size, 2).flatten(1)
            tiers[chosen] = places[0] * places[1] - first
        return parted(ranked(tiers, generator), self.visible(grid), grid)
