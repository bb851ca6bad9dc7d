"""The 5 x 5 convolution of CAT's stem over the cells of seen patches alone, forward and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

KERNEL = 5
HALO = KERNEL // 2  # cells that a seen patch looks beyond its rim


class MaskedConvolution(nn.Module):
    """A depth-wise 5 x 5 convolution over the cells of seen patches; all other cells count as zero.

    The only operation of the stem that looks beyond a patch: what is hidden is never read. Each seen
    patch is convolved alone with the rim of its neighbours, so hidden places cost nothing either.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, KERNEL, padding=HALO, groups=channels)

    def forward(self, cells: Tensor, grid: tuple[int, int], windows: Tensor | None) -> Tensor:
        """Cells ``(R, K, s, s, c)`` to cells of that shape; ``windows`` of :func:`windows_of`.

        Without windows all patches of the grid are there and need no gathering.
        """
        # Float32, as in the released stem; bfloat16's way back takes a CPU four times as long.
        with torch.autocast(cells.device.type, enabled=False):
            weight, bias = self.convolution.weight, self.convolution.bias
            cells = cells.to(weight.dtype)
            if windows is None:
                return cells_of(self.convolution(plane_of(cells, grid)), grid)
            seen: Tensor = SeenConvolution.apply(cells.flatten(0, 1), weight, bias, windows)
        return seen.view(cells.shape)


def plane_of(cells: Tensor, grid: tuple[int, int]) -> Tensor:
    """Cells ``(R, T' F', s, s, c)`` of all patches, time-major, as a plane ``(R, c, F' s, T' s)``."""
    placed = cells.unflatten(1, grid).permute(0, 2, 3, 1, 4, 5)  # (R, F', s, T', s, c)
    return placed.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


def cells_of(plane: Tensor, grid: tuple[int, int]) -> Tensor:
    """The reverse of :func:`plane_of`."""
    steps, rows = grid
    placed = plane.permute(0, 2, 3, 1).unflatten(2, (steps, -1)).unflatten(1, (rows, -1))
    return placed.permute(0, 3, 1, 2, 4, 5).flatten(1, 2)


def windows_of(keep: Tensor, grid: tuple[int, int], side: int) -> Tensor:
    """Places ``(R * K, w, w)`` of each seen patch's cells and rim among the cells ``(R * K * s * s)``.

    ``keep (R, K)`` are time-major patches of ``grid`` (steps, rows), ``w`` is ``side + 4``; both axes
    are frequency, then time. Cells that are hidden or outside are at place ``R * K * s * s``.
    """
    steps, rows = grid
    count = keep.numel()
    # which of the seen patches lies where, in a rim of patches that are not there
    order = torch.arange(count, device=keep.device).view_as(keep)
    lies = order.new_full((len(keep), steps + 2, rows + 2), count)
    row = torch.arange(len(keep), device=keep.device)[:, None]
    lies[row, keep // rows + 1, keep % rows + 1] = order
    offset = torch.arange(-HALO, side + HALO, device=keep.device)
    beside, within = offset.div(side, rounding_mode="floor") + 1, offset % side
    step = (keep // rows)[..., None, None] + beside  # (R, K, 1, w)
    band = (keep % rows)[..., None, None] + beside[:, None]  # (R, K, w, 1)
    patch = lies[row[..., None, None], step, band]  # (R, K, w, w)
    places = patch * side**2 + within[:, None] * side + within
    return places.clamp_max_(count * side**2).flatten(0, 1)


class SeenConvolution(torch.autograd.Function):
    """Depth-wise convolution of windows; on a CPU its way back takes a quarter of torch's own."""

    @staticmethod
    def forward(ctx: Any, cells: Tensor, weight: Tensor, bias: Tensor, windows: Tensor) -> Tensor:
        """Cells ``(P, s, s, c)`` to such, by weights ``(c, 1, 5, 5)`` and windows ``(P, w, w)``."""
        ctx.save_for_backward(cells, weight, windows)
        return convolved(gathered(cells, windows), weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        cells, weight, windows = ctx.saved_tensors  # type: ignore[attr-defined]
        # A seen cell is reached from seen cells alone, so the way back is the way there, turned round.
        of_cells = convolved(gathered(gradient, windows), weight.flip(2, 3), None)
        of_weight = products(gathered(cells, windows), gradient).view_as(weight)
        return of_cells, of_weight, gradient.sum(dim=(0, 1, 2)), None


def gathered(cells: Tensor, windows: Tensor) -> Tensor:
    """The windows ``(P, w, w, c)`` of cells ``(P, s, s, c)``, zero where there is none."""
    flat = torch.cat([cells.flatten(0, 2), cells.new_zeros(1, cells.shape[3])])
    return flat.index_select(0, windows.flatten()).view(*windows.shape, -1)


def convolved(windows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``(P, w, w, c)`` to ``(P, s, s, c)``, channels innermost: how a CPU convolves them fastest."""
    seen = F.conv2d(windows.permute(0, 3, 1, 2), weight, bias, groups=len(weight))
    return seen.permute(0, 2, 3, 1).contiguous()


def products(windows: Tensor, gradient: Tensor) -> Tensor:
    """Gradients ``(c, 5, 5)`` of the weights: windows ``(P, w, w, c)``, gradient ``(P, s, s, c)``.

    All pairs of a patch's cells and its window's are one product a channel; those that a weight joins
    lie on diagonals.
    """
    width, side, channels = windows.shape[1], gradient.shape[1], gradient.shape[3]
    pairs = torch.bmm(gradient.flatten(1, 2).permute(2, 1, 0), windows.flatten(1, 2).permute(2, 0, 1))
    line = width**2  # pairs are (c, s, s, w, w)
    strides = (side**2 * line, side * line + width, line + 1, width, 1)
    joined = pairs.contiguous().as_strided((channels, side, side, KERNEL, KERNEL), strides)
    return joined.sum(dim=(1, 2))
