"""Iterated function systems: batched chaos games, their histograms, and FractalDB's category search.

A system is up to ``K`` affine maps x' = a x + b y + e, y' = c x + d y + f, chosen with probabilities
in proportion to |ad - bc| (Barnsley 1988). ``P`` counts systems, ``W`` parallel walkers.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from ..base import Draws, white_noise

BLOCK = 12  # steps of a game that are prepared together, small enough for a CPU's cache
MOST_MAPS = 7  # K: systems have two to seven maps
SEARCH_SIDE, SEARCH_PAD = 512, 6  # the canvas of the category search and its border
CANDIDATES = 32  # systems tried together
# Points of a game, and the share of them that must fall on pixels of their own: two cheap questions
# before the one that counts. Fewer than 1 in 30 systems that would be accepted fail them.
SCREENS = ((4096, 0.93), (16384, 0.87))
SEARCH_POINTS = 100_000


def cumulative_probabilities(maps: Tensor, count: Tensor) -> Tensor:
    """Cumulative choice probabilities ``(P, K)`` of maps ``(P, K, 6)``, ``count`` of them in use."""
    a, b, c, d = maps[..., :4].unbind(-1)
    used = torch.arange(maps.shape[1]) < count[:, None]
    weight = (a * d - b * c).abs().clamp_min(1e-12) * used
    cumulative = weight.cumsum(1) / weight.sum(1, keepdim=True)
    last = torch.arange(maps.shape[1]) >= count[:, None] - 1
    return cumulative.masked_fill(last, 1.0)


def fixed_point(maps: Tensor) -> Tensor:
    """The point ``(P, 2)`` that a contractive map ``(P, 6)`` leaves where it is."""
    a, b, c, d, e, f = maps.unbind(-1)
    determinant = (1.0 - a) * (1.0 - d) - b * c
    return torch.stack([(1.0 - d) * e + b * f, c * e + (1.0 - a) * f], dim=-1) / determinant[:, None]


def chaos_game(
    maps: Tensor,
    cumulative: Tensor,
    keys: Tensor,
    start: Tensor,
    *,
    points: int,
    walkers: int,
    burn_in: int,
) -> Tensor:
    """Points of the systems' invariant measures, float32 ``(P, steps, 2, W)``: x and y.

    ``maps`` float32 ``(P, K, 6)`` as a, b, c, d, e, f; ``cumulative`` float32 ``(P, K)``; ``keys``
    int64 ``(P,)`` seed the choices; ``start`` float32 ``(P, 2)``. W independent walkers replace one
    long walk: after ``burn_in`` steps each is distributed by the invariant measure, as the one is. At
    least ``points`` points are made. Probabilities have a resolution of 2^-16. A system that is not
    contractive on average may overflow to infinity or NaN.
    """
    batch, kinds, _ = maps.shape
    steps = -(-points // walkers) + burn_in
    chance = white_noise(keys, steps * walkers, maps.device).view(batch, steps, walkers)
    columns = maps.flatten(0, 1)[:, [0, 2, 1, 3, 4, 5]].T.contiguous()  # a, c; b, d; e, f
    borders = (2.0 * cumulative[:, :-1] - 1.0)[:, :, None, None].unbind(1)
    last_map = kinds * torch.arange(1, batch + 1, dtype=torch.int32, device=maps.device) - 1
    walk = maps.new_empty(batch, steps, 2, walkers)
    places, xs, ys = walk.unbind(1), walk[:, :, :1].unbind(1), walk[:, :, 1:].unbind(1)
    x, y = start[:, :1, None], start[:, 1:, None]
    for begin in range(0, steps, BLOCK):
        lot = chance[:, begin : begin + BLOCK]
        count = lot.shape[1]
        if begin == 0 or count < BLOCK:  # the last block may be shorter
            chosen = maps.new_empty(6, batch, count, walkers)
            pairs = chosen.view(3, 2, batch, count, walkers).permute(0, 3, 2, 1, 4)
            linear_x, linear_y, moved = (pair.unbind(0) for pair in pairs)  # (P, 2, W) a step
            choice = torch.empty(lot.shape, dtype=torch.int32, device=maps.device)
            below = torch.empty(lot.shape, device=maps.device)
        choice.copy_(last_map[:, None, None].expand_as(choice))
        for border in borders:
            # the sign bit: -1 where the lot is below; on a CPU comparisons take twice as long
            choice += torch.sub(lot, border, out=below).view(torch.int32).bitwise_right_shift_(31)
        for column, values in zip(columns, chosen, strict=True):
            torch.index_select(column, 0, choice.view(-1), out=values.view(-1))
        for step in range(count):
            place = places[begin + step]
            torch.addcmul(moved[step], linear_x[step], x, out=place)
            place.addcmul_(linear_y[step], y)
            x, y = xs[begin + step], ys[begin + step]
    return walk[:, burn_in:]


def extent(walk: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest x and y, ``(P, 2)`` each, of points ``(P, steps, 2, W)``."""
    return walk.amin(dim=(1, 3)), walk.amax(dim=(1, 3))


def cells(walk: Tensor, scale: Tensor, offset: Tensor, height: int, width: int) -> Tensor:
    """The cell of each point on canvases with a border of one pixel all round, int32, flat.

    The pixel of a point is floor(scale * point + offset), ``scale`` and ``offset`` float32 ``(P, 2)``
    for column and row; points outside fall on the border.
    """
    border = torch.tensor([width + 1, height + 1], dtype=torch.float32, device=walk.device)[:, None]
    place = walk * scale[:, None, :, None]
    place += offset[:, None, :, None] + 1.0  # so that truncation is the floor
    cell = torch.minimum(place.clamp_min_(0.0), border, out=place).int()
    index = (cell[:, :, 1] * (width + 2)).add_(cell[:, :, 0])
    start = (height + 2) * (width + 2) * torch.arange(len(walk), dtype=torch.int32, device=walk.device)
    return index.add_(start[:, None, None]).flatten()


def histogram(walk: Tensor, scale: Tensor, offset: Tensor, height: int, width: int) -> Tensor:
    """How many points fall on each pixel, int64 ``(P, height, width)``; those outside do not count.

    ``scale`` and ``offset`` are as in :func:`cells`.
    """
    index = cells(walk, scale, offset, height, width)
    counts = torch.bincount(index, minlength=len(walk) * (height + 2) * (width + 2))
    return counts.view(len(walk), height + 2, width + 2)[:, 1:-1, 1:-1]


def fill_frame(walk: Tensor, side: int, pad: int) -> tuple[Tensor, Tensor]:
    """Scale and offset ``(P, 2)`` that fit the points into a square canvas with a border of ``pad``."""
    low, high = extent(walk)
    scale = (side - 2 * pad) / (high - low).clamp_min(1e-20)
    return scale, pad - low * scale


# ---------------------------------------------------------------------------------------------------
# FractalDB's categories.


def candidate_systems(draws: Draws) -> tuple[Tensor, Tensor]:
    """Random systems: maps float32 ``(P, K, 6)`` on U(-1, 1), and how many are in use, ``(P,)``."""
    return draws.uniform("maps", -1.0, 1.0, MOST_MAPS, 6).float(), draws.integers("count", 2, MOST_MAPS)


def filled_pixels(maps: Tensor, cumulative: Tensor, keys: Tensor, points: int) -> Tensor:
    """Distinct pixels that a game of ``points`` points hits on the search's canvas, int64 ``(P,)``.

    0 for a system that diverges.
    """
    start = maps.new_zeros(len(maps), 2)
    walk = chaos_game(maps, cumulative, keys, start, points=points, walkers=points // 32, burn_in=24)
    low, high = extent(walk)  # NaN and infinity pass through
    finite = (high - low).isfinite().all(dim=1)
    walk = walk[finite]
    index = cells(walk, *fill_frame(walk, SEARCH_SIDE, SEARCH_PAD), SEARCH_SIDE, SEARCH_SIDE)
    ordered = index.view(len(walk), -1).sort(dim=1).values
    filled = torch.zeros(len(maps), dtype=torch.int64)
    filled[finite] = 1 + (ordered.diff(dim=1) != 0).sum(dim=1)
    return filled


@cache
def find_category(seed: int, number: int, filling: float) -> tuple[Tensor, Tensor]:
    """FractalDB's category ``number``: maps float32 ``(K, 6)``, and how many are in use, ``()``.

    Random systems are tried in the order of their numbers; the first whose 100 000 points hit at
    least ``filling`` of 512 x 512 pixels is taken (Kataoka et al. 2020). It depends on the arguments
    alone, and takes 30 to 80 ms on one core.
    """
    first = number << 20
    while True:
        draws = Draws(seed, torch.arange(first, first + CANDIDATES))
        maps, count = candidate_systems(draws)
        cumulative, keys = cumulative_probabilities(maps, count), draws.keys("search")
        left = torch.arange(CANDIDATES)
        for points, apart in SCREENS:
            filled = filled_pixels(maps[left], cumulative[left], keys[left], points)
            left = left[filled >= apart * points]
        for place in left.tolist():
            one = slice(place, place + 1)
            filled = filled_pixels(maps[one], cumulative[one], keys[one], SEARCH_POINTS)
            if filled[0] >= filling * SEARCH_SIDE**2:
                return maps[place], count[place]
        first += CANDIDATES
