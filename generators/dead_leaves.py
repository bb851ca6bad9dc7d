"""Dead leaves: opaque shapes of power-law size fall over each other until the picture is covered."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from .base import Draws, Source
from .drawer import UsageError

SHAPES = ("circle", "square", "oriented_square", "rectangle", "triangle", "quadrilateral")
CIRCLE, SQUARE, ORIENTED, RECTANGLE, TRIANGLE, QUADRILATERAL = range(6)
WORD = 62  # leaves per 64-bit word of a pixel's coverage; bits 62 and 63 stay free
FIRST_PASS = 4.0  # leaves of the first pass, in expected coverings of a pixel far from the border


@dataclass(kw_only=True)
class DeadLeaves(Source, name="dead_leaves"):
    """Dead leaves of squares, oriented squares or mixed shapes, grey, after Baradad et al. (2021).

    Radii follow r^-3 - 1 on 200 values from 0.03 to 1 and are ``max(int(r * side), 1)`` pixels, so the
    number of leaves per pixel is that of a ``side`` x ``side`` picture on any canvas. Centres are uniform
    on the canvas's pixels; greys are int(255 U) / 255.

    Painted front to back: the first leaf that covers a pixel colours it, until every pixel is covered.
    That samples the stationary model exactly; painting back to front and stopping "when covered", as
    the reference does, is a biased sample of it (the last leaf is more often one that closed a gap).

    Coverage rule: corners are integers (truncated towards zero); on each pixel row the shape covers
    the columns between its leftmost and rightmost crossing, rounded to the nearest pixel, both ends
    included. A circle covers |x - centre| <= round(sqrt(radius^2 - dy^2)). A pixel that no leaf covers
    within ``max_leaves`` stays 0. About one picture in 10^6 is a single leaf.
    """

    kind = "picture"

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
        drawn = {key: value.to(device) for key, value in parameters.items()}
        leaf = first_leaf(drawn, self.height, self.width, self.first_pass())  # (B, F, T), -1: none
        grey = drawn["grey"].float() / 255.0
        picture = grey.gather(1, leaf.clamp_min(0).flatten(1)).reshape(leaf.shape)
        return picture * (leaf >= 0)

    def first_pass(self) -> int:
        """Leaves of the first pass, a multiple of 62."""
        radii, cumulative = self.radius_law()
        probability = cumulative.diff(prepend=cumulative.new_zeros(1))
        area = float((2.0 * radii.double() ** 2 * probability).sum())
        wanted = FIRST_PASS * self.height * self.width / area
        return WORD * math.ceil(min(wanted, self.leaves) / WORD)


# ---------------------------------------------------------------------------------------------------
# Geometry: a leaf is four integer corners, or a radius; on one pixel row it covers one interval.


def corners(drawn: dict[str, Tensor]) -> Tensor:
    """Integer corners (x, y) relative to the centre, float32 ``(..., 4, 2)``; unused for circles.

    A triangle repeats its last corner. Truncation is towards zero, of the offset for axis-parallel
    squares and of centre + offset for all others.
    """
    kind, radius = drawn["kind"], drawn["radius"].double()
    half = (radius * math.sqrt(0.5)).trunc()
    signs = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]], device=radius.device)
    square = half[..., None, None] * signs
    if "angles" not in drawn:
        return square.float()
    turn, quarter = drawn["angles"], torch.arange(4, device=radius.device) / 4.0
    angle = turn[..., :1] + quarter + 0.125  # oriented squares
    if turn.shape[-1] == 4:
        ordered = turn.sort(dim=-1).values
        three = turn[..., :3].sort(dim=-1).values
        three = torch.cat([three, three[..., 2:]], dim=-1)
        flat = turn[..., :1] / 4.0  # a in [0, pi/2): corners at a, pi - a, pi + a, -a
        rectangle = torch.cat([flat, 0.5 - flat, 0.5 + flat, 1.0 - flat], dim=-1)
        chosen = kind[..., None]
        angle = torch.where(chosen == RECTANGLE, rectangle, angle)
        angle = torch.where(chosen == TRIANGLE, three, angle)
        angle = torch.where(chosen == QUADRILATERAL, ordered, angle)
    angle = angle * (2.0 * math.pi)
    offset = torch.stack([angle.cos(), angle.sin()], dim=-1) * radius[..., None, None]
    centre = torch.stack([drawn["x"], drawn["y"]], dim=-1)[..., None, :]
    offset = (offset + centre).trunc() - centre
    return torch.where((kind == SQUARE)[..., None, None], square, offset).float()


def reach(kind: Tensor, radius: Tensor, corner: Tensor) -> tuple[Tensor, Tensor]:
    """First and last row of each leaf relative to its centre, int64 ``(...)``."""
    top = torch.where(kind == CIRCLE, -radius, corner[..., 1].amin(-1).long())
    bottom = torch.where(kind == CIRCLE, radius, corner[..., 1].amax(-1).long())
    return top, bottom


def interval(kind: Tensor, radius: Tensor, corner: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """First and last column covered on ``row``, all relative to the centre, int64 ``(...)``.

    ``corner`` is ``(..., 4, 2)``. A row that the shape does not reach gives an empty interval (first > last).
    """
    y = row.float()[..., None]
    x0, y0 = corner[..., 0], corner[..., 1]
    x1, y1 = x0.roll(-1, dims=-1), y0.roll(-1, dims=-1)
    crossed = (torch.minimum(y0, y1) <= y) & (y <= torch.maximum(y0, y1))
    level = y0 == y1
    # a level edge covers both its ends; its neighbours end at the same corners, so x0 alone will do
    share = (y - y0) / torch.where(level, torch.ones_like(y0), y1 - y0)
    crossing = x0 + share * (x1 - x0)
    far = torch.full_like(crossing, 1e6)
    left = torch.where(crossed, crossing, far).amin(-1)
    right = torch.where(crossed, crossing, -far).amax(-1)
    chord = radius.float() ** 2 - row.float() ** 2
    disc = torch.where(chord >= 0, chord.clamp_min(0.0).sqrt(), torch.full_like(chord, -1e6))
    round_shape = kind == CIRCLE
    left, right = torch.where(round_shape, -disc, left), torch.where(round_shape, disc, right)
    return (left - 0.5).ceil().long(), (right + 0.5).floor().long()


# ---------------------------------------------------------------------------------------------------
# Painting: which leaf is the first to cover a pixel.


def first_leaf(drawn: dict[str, Tensor], height: int, width: int, first_pass: int) -> Tensor:
    """Index of the foremost leaf over each pixel, int64 ``(B, F, T)``, -1 where there is none.

    The first ``first_pass`` leaves are rasterised for all pixels, the others only for the pixels that
    are still bare; both passes use :func:`interval`, so the split changes no pixel.
    """
    front = {key: value[:, :first_pass] for key, value in drawn.items()}
    leaf = rasterise(front, height, width)
    if first_pass < drawn["x"].shape[1]:
        behind = {key: value[:, first_pass:] for key, value in drawn.items()}
        fill_bare(leaf, behind, first_pass)
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
    corner = corners(drawn)
    top, bottom = reach(drawn["kind"], drawn["radius"], corner)
    first = (drawn["y"] + top).clamp_min(0)
    last = (drawn["y"] + bottom).clamp_max(height - 1)
    rows = (last - first + 1).clamp_min(0).flatten()
    owner = torch.repeat_interleave(torch.arange(batch * count, device=device), rows)  # (R,)
    row = torch.arange(len(owner), device=device) - (rows.cumsum(0) - rows)[owner]
    row = row + first.flatten()[owner]
    x, y = drawn["x"].flatten()[owner], drawn["y"].flatten()[owner]
    kind, radius = drawn["kind"].flatten()[owner], drawn["radius"].flatten()[owner]
    left, right = interval(kind, radius, corner.reshape(-1, 4, 2)[owner], row - y)
    left, right = (x + left).clamp(0, width), (x + right + 1).clamp(0, width)
    number = owner % count
    bit = (left < right).long() << (number % WORD)
    place = ((owner // count * words + number // WORD) * height + row) * (width + 1)
    sets = torch.zeros(batch * words * height * (width + 1), dtype=torch.int64, device=device)
    sets.index_add_(0, place + left, bit)
    sets.index_add_(0, place + right, -bit)
    sets = sets.view(batch, words, height, width + 1).cumsum(dim=3)[..., :width]
    word = torch.zeros(batch, height, width, dtype=torch.int64, device=device)
    base = torch.zeros_like(word)
    for number_of_word in range(words - 1, -1, -1):
        hit = sets[:, number_of_word] != 0
        word = torch.where(hit, sets[:, number_of_word], word)
        base.masked_fill_(hit, number_of_word * WORD)
    lowest = (word & -word).float().view(torch.int32) >> 23  # exponent of a power of two, biased by 127
    return torch.where(word != 0, base + lowest - 127, -1)


def fill_bare(leaf: Tensor, drawn: dict[str, Tensor], offset: int) -> None:
    """Give bare pixels of ``leaf`` (-1) their first leaf among ``drawn``, numbered from ``offset``, in place."""
    width, count = leaf.shape[2], drawn["x"].shape[1]
    bare = (leaf.flatten() < 0).nonzero()[:, 0]  # (P,)
    picture, pixel = bare // leaf[0].numel(), bare % leaf[0].numel()
    y, x = pixel // width, pixel % width
    # candidates: leaves whose circumscribed square, two pixels wider, holds the pixel
    near = drawn["radius"].float() + 2.0
    close = (drawn["x"][picture] - x[:, None]).abs() <= near[picture]
    close &= (drawn["y"][picture] - y[:, None]).abs() <= near[picture]
    which, number = close.nonzero(as_tuple=True)  # (C,)
    candidate = {key: value[picture[which], number] for key, value in drawn.items()}
    row, column = y[which] - candidate["y"], x[which] - candidate["x"]
    left, right = interval(candidate["kind"], candidate["radius"], corners(candidate), row)
    covered = (left <= column) & (column <= right)
    found = torch.full((len(bare),), count, dtype=torch.int64, device=leaf.device)
    found.scatter_reduce_(0, which[covered], number[covered], "amin")
    leaf.view(-1)[bare] = torch.where(found < count, found + offset, -1)
