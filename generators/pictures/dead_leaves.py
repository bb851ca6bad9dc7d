"""Dead leaves: opaque shapes of power-law size fall over each other until the picture is covered."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..base import Draws, Source
from ..drawer import UsageError
from ..dsp import in_chunks
from .leaf_shapes import ORIENTED, SHAPES, SQUARE, pick, spans

WORD = 62  # leaves per 64-bit word of a pixel's coverage; bits 62 and 63 stay free
FIRST_PASS = 5.0  # leaves of the first pass, in expected coverings of a pixel far from the border
FIRST_PASS_WORDS = 20  # and at most so many words: the pass costs words x pixels


@dataclass(kw_only=True)
class DeadLeaves(Source, name="dead_leaves"):
    """Dead leaves of squares, oriented squares or mixed shapes, grey, after Baradad et al. (2021).

    Radii follow r^-3 - 1 on 200 values from 0.03 to 1 and are ``max(int(r * side), 1)`` pixels, so the
    number of leaves per pixel is that of a ``side`` x ``side`` picture on any canvas. Centres are
    uniform on the canvas's pixels; greys are int(255 U) / 255.

    Painted front to back: the first leaf that covers a pixel colours it, until every pixel is covered.
    That samples the stationary model exactly; painting back to front and stopping "when covered", as
    the reference does, is a biased sample of it (the last leaf is more often one that closed a gap).

    Coverage rule: corners are integers (truncated towards zero); on each pixel row the shape covers
    the columns between its leftmost and rightmost crossing, rounded to the nearest pixel, both ends
    included. A circle covers |x - centre| <= round(sqrt(radius^2 - dy^2)). A pixel that no leaf covers
    within ``max_leaves`` stays 0. About one picture in 10^6 is a single leaf.
    """

    kind = "picture"
    family = "dead leaves"
    citation = "Baradad et al. 2021, arXiv 2106.05963"
    speed = "fast"
    needs = "nothing"

    shape: Literal["square", "oriented", "mixed"] = "square"
    height: int = 128  # mel bands F
    width: int = 128  # frames T
    side: int = 128  # S of the radius law
    sigma: float = 3.0
    radii: int = 200
    radius_low: float = 0.03
    radius_high: float = 1.0
    max_leaves: int = 5000  # on a side x side canvas; scaled with the canvas's area

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.side) < 2:
            raise UsageError(
                f"a picture of height {self.height}, width {self.width} and side {self.side} is too "
                "small. Ask for at least 2 each, for example source.height=128."
            )
        if not 0.0 < self.radius_low < self.radius_high or self.radii < 2:
            raise UsageError(
                f"radii from {self.radius_low} to {self.radius_high} in {self.radii} steps are no law. "
                "Set 0 < source.radius_low < source.radius_high and source.radii >= 2."
            )

    @property
    def leaves(self) -> int:
        """The most leaves one picture may have."""
        return max(1, round(self.max_leaves * self.height * self.width / self.side**2))

    def radius_law(self) -> tuple[Tensor, Tensor]:
        """Radii in pixels, int64 ``(radii,)``, and their cumulative probabilities, float64."""
        relative = torch.linspace(self.radius_low, self.radius_high, self.radii, dtype=torch.float64)
        weight = relative**-self.sigma - self.radius_high**-self.sigma
        cumulative = weight.cumsum(0) / weight.sum()
        return (relative * self.side).long().clamp_min(1), cumulative

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Every leaf, front to back, ``(B, leaves)``: kind, radius, centre, grey, angles in turns."""
        draws, count = Draws(self.seed, indices), self.leaves
        radii, cumulative = self.radius_law()
        # the entry whose cumulative probability is nearest to u: the mid-points part the entries
        borders = (cumulative[1:] + cumulative[:-1]) / 2.0
        radius = radii[torch.searchsorted(borders, draws.uniform("radius", 0.0, 1.0, count))]
        drawn = {
            "radius": radius,
            "x": (draws.uniform("x", 0.0, self.width, count)).long(),
            "y": (draws.uniform("y", 0.0, self.height, count)).long(),
            "grey": (draws.uniform("grey", 0.0, 255.0, count)).long(),
        }
        if self.shape == "mixed":
            drawn["kind"] = draws.integers("kind", 0, len(SHAPES) - 1, count)
            drawn["angles"] = draws.uniform("angles", 0.0, 1.0, count, 4)
        else:
            drawn["kind"] = torch.full_like(radius, SQUARE if self.shape == "square" else ORIENTED)
        if self.shape == "oriented":
            drawn["angles"] = draws.uniform("angles", 0.0, 1.0, count, 1)
        return drawn

    def describe(self, index: int) -> dict[str, Any]:
        """The law of the leaves and the 16 foremost ones: shape, radius and centre in pixels, grey."""
        wanted = index if self.size is None else index % self.size
        drawn = self.parameters(torch.tensor([wanted]))
        front = {key: drawn[key][0, :16].tolist() for key in ("radius", "x", "y")}
        return {
            "shape": self.shape,
            "sigma": self.sigma,
            "front_shapes": [SHAPES[kind] for kind in drawn["kind"][0, :16].tolist()],
            **{f"front_{key}": value for key, value in front.items()},
            "front_grey": (drawn["grey"][0, :16] / 255.0).tolist(),
        }

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Pictures ``(B, F, T)`` in [0, 1], float32 on ``device``."""
        first_pass = self.first_pass()

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            drawn = {key: value.to(device) for key, value in drawn.items()}
            leaf = first_leaf(drawn, self.height, self.width, first_pass)  # (B, F, T), -1: none
            grey = drawn["grey"].float() / 255.0
            picture = grey.gather(1, leaf.clamp_min(0).flatten(1)).reshape(leaf.shape)
            return picture * (leaf >= 0)

        return in_chunks(render_chunk, parameters, device)

    def first_pass(self) -> int:
        """Leaves of the first pass, a multiple of 62."""
        radii, cumulative = self.radius_law()
        probability = cumulative.diff(prepend=cumulative.new_zeros(1))
        area = float((2.0 * radii.double() ** 2 * probability).sum())
        wanted = FIRST_PASS * self.height * self.width / area
        return WORD * min(math.ceil(min(wanted, self.leaves) / WORD), FIRST_PASS_WORDS)


# ---------------------------------------------------------------------------------------------------
# Painting: which leaf is the first to cover a pixel.


def first_leaf(drawn: dict[str, Tensor], height: int, width: int, first_pass: int) -> Tensor:
    """Index of the foremost leaf over each pixel, int64 ``(B, F, T)``, -1 where there is none.

    The first ``first_pass`` leaves are rasterised for all pixels; the others, in growing passes, are
    tried only where pixels are still bare. All use :func:`spans`, so the split changes no pixel.
    """
    count = drawn["x"].shape[1]
    leaf = rasterise({key: value[:, :first_pass] for key, value in drawn.items()}, height, width)
    start, length, unfinished = first_pass, max(1, first_pass // 2), True
    while unfinished and start < count:
        behind = {key: value[:, start : start + length] for key, value in drawn.items()}
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
