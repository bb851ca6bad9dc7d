"""Impose a distribution on values by their ranks: histogram matching of many rows at once.

A target is a table of its quantiles at u = sin^2(pi t / 2), t uniform on [0, 1]: the grid is fine near
0 and 1, where heavy tails lie. ``R`` counts rows (a picture's channels or bands), ``N`` their values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

BINS = 1024  # of the histogram of the values
STEPS = 1024  # of t in a table of quantiles


def quantile_table(cumulative: Tensor, levels: Tensor, mirrored: bool = False) -> Tensor:
    """Quantiles float32 ``(R, STEPS + 1)`` of distributions given by points of their cumulative.

    ``cumulative`` float64 ``(R, M)`` ascends to 1, ``levels`` float64 ``(R, M)`` or ``(M,)``; linear in
    between, and the first level below the first point. ``mirrored``: the distribution is symmetric
    about 0 and only its left half is given, up to 1/2.
    """
    rows, points = cumulative.shape
    steps = STEPS // 2 if mirrored else STEPS
    grid = torch.arange(steps + 1, dtype=torch.float64, device=cumulative.device)
    share = (grid * (math.pi / 2.0 / STEPS)).sin().square().expand(rows, -1).contiguous()
    above = torch.searchsorted(cumulative, share).clamp_(1, points - 1)
    levels = levels.expand_as(cumulative)
    low, high = cumulative.gather(1, above - 1), cumulative.gather(1, above)
    weight = ((share - low) / (high - low).clamp_min(1e-300)).clamp_(0.0, 1.0)
    table = torch.lerp(levels.gather(1, above - 1), levels.gather(1, above), weight).float()
    return torch.cat([table, -table[:, :-1].flip(1)], dim=1) if mirrored else table


def impose_marginals(
    groups: Sequence[Tensor], table: Tensor, spread: Tensor | None = None
) -> list[Tensor]:
    """Values in the same order, distributed as the rows of ``table`` ``(R, STEPS + 1)``.

    ``groups`` are float32 ``(R_g, N_g)``, R rows in all; they are overwritten. Each of 1024 bins over a
    row's range becomes one level, the quantile of the middle of its ranks. Where ``spread`` ``(R,)`` is
    given, each row then has mean 0 and that standard deviation.
    """
    binned = [_bins(values) for values in groups]
    masses = []
    for values, bins in zip(groups, binned, strict=True):
        mass = torch.bincount(bins, minlength=len(values) * BINS).reshape(-1, BINS)
        masses.append(mass.float().div_(values.shape[1]))
    share = torch.cat(masses)  # (R, BINS)
    middle = share.cumsum(dim=1).sub_(share, alpha=0.5)
    step = middle.clamp_(0.0, 1.0).sqrt_().asin_().mul_(STEPS * 2.0 / math.pi).round_().int()
    step += torch.arange(len(share), dtype=torch.int32, device=share.device)[:, None] * (STEPS + 1)
    levels = table.flatten().index_select(0, step.flatten()).reshape(share.shape)
    if spread is not None:
        levels.sub_((share * levels).sum(dim=1, keepdim=True))
        variance = (share * levels.square()).sum(dim=1)
        levels.mul_((spread / variance.sqrt())[:, None])
    parts = levels.split([len(values) for values in groups])
    return [
        part.flatten().index_select(0, bins).reshape(values.shape)
        for part, bins, values in zip(parts, binned, groups, strict=True)
    ]


def _bins(values: Tensor) -> Tensor:
    """Number of each value's bin, counted over all rows, int32 ``(R N,)``; overwrites ``values``."""
    low = values.amin(dim=1, keepdim=True)
    width = (values.amax(dim=1, keepdim=True) - low).clamp_min_(torch.finfo(torch.float32).tiny)
    place = values.sub_(low).mul_(BINS * (1.0 - 1e-6) / width)  # below BINS for the largest too
    row = torch.arange(len(values), dtype=torch.int32, device=values.device)[:, None] * BINS
    return place.int().add_(row).flatten()
