"""Painting leaves front to back: which leaf is the first to cover a pixel.

Integer sums and single float operations only, apart from the corners of turned shapes, which are
computed picture by picture: a picture's pixels do not depend on the batch it is painted in.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .leaf_shapes import pick, spans, with_corners

WORD = 62  # leaves per 64-bit word of a pixel's coverage; bits 62 and 63 stay free


def first_leaf(drawn: dict[str, Tensor], height: int, width: int, first_pass: int) -> Tensor:
    """Index of the foremost leaf over each pixel, int64 ``(B, F, T)``, -1 where there is none.

    The first ``first_pass`` leaves are rasterised for all pixels; the others, in growing passes, are
    tried only where pixels are still bare. All use :func:`spans`, so the split changes no pixel.
    """
    count = drawn["x"].shape[1]
    front = with_corners({key: value[:, :first_pass] for key, value in drawn.items()})
    leaf = rasterise(front, height, width)
    start, length, unfinished = first_pass, max(1, first_pass // 2), True
    while unfinished and start < count:
        behind = with_corners({key: value[:, start : start + length] for key, value in drawn.items()})
        unfinished = fill_bare(leaf, behind, start)
        start, length = start + length, 2 * length
    return leaf


def rasterise(drawn: dict[str, Tensor], height: int, width: int) -> Tensor:
    """First covering leaf of every pixel, int64 ``(B, F, T)``, -1 for none.

    Every leaf is one bit of a pixel's word. An interval adds its bit where it starts and subtracts it
    after its end; a running sum along the row then is the set of covering leaves, and its lowest bit
    the foremost. Integer sums, so the result is exact and does not depend on order.
    """
    batch, count = drawn["x"].shape
    device = drawn["x"].device
    words = -(-count // WORD)
    owner, row, left, right = spans({k: v.flatten(0, 1) for k, v in drawn.items()}, height, width)
    number = torch.arange(batch * count, device=device) % count
    picture = torch.arange(batch * count, device=device) // count
    bit = torch.ones_like(number) << (number % WORD)
    plane = (number // WORD * batch + picture) * height
    place = (pick(plane, owner) + row) * (width + 1)
    bit = pick(bit, owner) * (left < right)
    sets = torch.zeros(words * batch * height * (width + 1), dtype=torch.int64, device=device)
    sets.index_add_(0, place + left, bit)
    sets.index_add_(0, place + right, bit.neg_())
    sets = sets.view(words, batch, height, width + 1).cumsum(dim=3)
    word, base = sets[words - 1], torch.full_like(sets[0], (words - 1) * WORD - 127)
    for nearer in range(words - 2, -1, -1):
        hit = sets[nearer] != 0
        word = torch.where(hit, sets[nearer], word)
        base.masked_fill_(hit, nearer * WORD - 127)
    lowest = (word & -word).float().view(torch.int32) >> 23  # exponent of a power of two, plus 127
    return torch.where(word != 0, base + lowest, -1)[..., :width].contiguous()


def fill_bare(leaf: Tensor, drawn: dict[str, Tensor], offset: int) -> bool:
    """Give the bare pixels (-1) of ``leaf`` (B, F, T) their first leaf of ``drawn``.

    Changes ``leaf``; says whether a pixel is still bare. ``drawn`` is a slice of the leaves and
    ``offset`` the number of its first. Two running counts of the bare pixels tell which leaves have any
    in reach, and which of them an interval covers.
    """
    batch, height, width = leaf.shape
    bare = leaf < 0
    device, count = leaf.device, drawn["x"].shape[1]
    # leaves whose circumscribed square (one pixel wider) holds a bare pixel, by a summed-area table
    area = torch.zeros(batch, height + 1, width + 1, dtype=torch.int32, device=device)
    area[:, 1:, 1:] = bare.cumsum(2, dtype=torch.int32).cumsum(1, dtype=torch.int32)
    reach = drawn["radius"] + 1
    x0, x1 = (drawn["x"] - reach).clamp_min(0), (drawn["x"] + reach + 1).clamp_max(width)
    y0, y1 = (drawn["y"] - reach).clamp_min(0) * (width + 1), (drawn["y"] + reach + 1).clamp_max(height)
    y1, table = y1 * (width + 1), area.flatten(1)
    held = table.gather(1, y1 + x1) - table.gather(1, y1 + x0)
    held -= table.gather(1, y0 + x1) - table.gather(1, y0 + x0)
    picture, number = (held > 0).nonzero(as_tuple=True)  # (L,)
    owner, row, left, right = spans(
        {key: value[picture, number] for key, value in drawn.items()}, height, width
    )
    # rank of the first bare pixel at or after a position of the flattened batch
    rank = torch.zeros(bare.numel() + 1, dtype=torch.int64, device=device)
    torch.cumsum(bare.flatten(), 0, out=rank[1:])
    line = (pick(picture, owner) * height + row) * width
    low = pick(rank, line + left)
    hits = (pick(rank, line + right) - low).clamp_min(0)
    which = torch.repeat_interleave(torch.arange(len(owner), device=device), hits)  # (H,) pixel hits
    pixel = torch.arange(len(which), device=device) + pick((low - hits.cumsum(0) + hits), which)
    found = torch.full((int(rank[-1]),), count, dtype=torch.int64, device=device)
    found.scatter_reduce_(0, pixel, pick(pick(number, owner), which), "amin")
    leaf.masked_scatter_(bare, torch.where(found < count, found + offset, -1))
    return bool((found == count).any())
