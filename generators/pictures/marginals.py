"""Impose a distribution on values by their ranks: histogram matching of many rows at once.

A target is a table of its quantiles at u = sin^2(pi t / 2), t uniform on [0, 1]: the grid is fine near
0 and 1, where heavy tails lie. ``R`` counts rows (a picture's channels or bands), ``N`` their values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

BINS = 512  # of the histogram of the values; their distribution is taken as linear within a bin
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

    ``groups`` are float32 ``(R_g, N_g)``, R rows in all; they are overwritten. The smallest value of a
    row becomes the lowest quantile, the largest the highest. Where ``spread`` ``(R,)`` is given, each
    row then has mean 0 and that standard deviation.
    """
    binned = [_histogram(values) for values in groups]
    mass = torch.cat([mass for _, _, mass in binned])  # (R, BINS)
    edges = torch.zeros(len(mass), BINS + 1, device=mass.device)
    torch.cumsum(mass, dim=1, out=edges[:, 1:])
    step = edges.clamp_max_(1.0).sqrt_().asin_().mul_(STEPS * 2.0 / math.pi)
    below = step.int().clamp_max_(STEPS - 1)
    step.sub_(below)
    below += torch.arange(len(mass), dtype=torch.int32, device=mass.device)[:, None] * (STEPS + 1)
    low = table.flatten().index_select(0, below.flatten()).reshape(step.shape)
    high = table.flatten().index_select(0, below.flatten().add_(1)).reshape(step.shape)
    levels = low.add_(high.sub_(low).mul_(step))  # (R, BINS + 1)
    rise = torch.zeros_like(levels)
    torch.sub(levels[:, 1:], levels[:, :-1], out=rise[:, :-1])
    if spread is not None:  # moments of a density that is constant within each bin
        left, right = levels[:, :-1], levels[:, 1:]
        mean = (mass * (left + right)).sum(dim=1, keepdim=True) / 2.0
        square = (mass * (left * left + left * right + right * right)).sum(dim=1, keepdim=True) / 3.0
        scale = spread[:, None] / (square - mean.square()).sqrt()
        levels.sub_(mean).mul_(scale)
        rise.mul_(scale)
    matched, first = [], 0
    for values, (place, bins, _) in zip(groups, binned, strict=True):
        rows = slice(first, first + len(values))
        inside = place.mul_(rise[rows].flatten().index_select(0, bins))
        result = inside.add_(levels[rows].flatten().index_select(0, bins))
        matched.append(result.reshape(values.shape))
        first += len(values)
    return matched


def _histogram(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of values ``(R, N)``: place in the bin, [0, 1); bin among all rows'; mass ``(R, BINS)``."""
    rows, count = values.shape
    low = values.amin(dim=1, keepdim=True)
    width = (values.amax(dim=1, keepdim=True) - low).clamp_min_(torch.finfo(torch.float32).tiny)
    place = values.sub_(low).mul_(BINS / width)  # the largest value is at BINS, a bin of its own
    row = torch.arange(rows, dtype=torch.int32, device=values.device)[:, None] * (BINS + 1)
    bins = place.int().add_(row).flatten()
    mass = torch.bincount(bins, minlength=rows * (BINS + 1)).reshape(rows, BINS + 1) / count
    mass[:, -2] += mass[:, -1]
    return place.flatten().frac_(), bins, mass[:, :-1]
