"""Radial contours: closed lines that grow outwards from an oval, and how they are drawn in pixels."""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..base import Draws, white_noise
from ..drawer import UsageError
from .conversion import Pattern

REFERENCE_SIDE = 512  # lengths are drawn in pixels of a canvas of this side
MOST_LINES = 199
AT_ONCE = 1 << 15  # pixels that a CPU sets together, few enough for its cache
ONE = 1 << 16  # a pixel, in the fixed-point numbers that trace lines


@dataclass(kw_only=True)
class RadialContours(Pattern):
    """Fields and steps that families of radial contours share; each says what it draws at random.

    A pattern has V vertices at angles t_k = 2 pi k / V. They start on an oval about a random centre,
    c + R0 (o_x cos t_k, o_y sin t_k), and before each of L lines move outwards by drift + (sin n1 t_k +
    sin n2 t_k) / 2 plus gradient noise times ``roughness``, drawn for x and y apart, in pixels of a
    512 x 512 canvas; then V one-pixel segments of one grey close the contour. Later lines cover earlier
    ones. On another ``side`` all lengths but the line's width scale.
    """

    shade: ClassVar[int]  # of the canvas, in 255ths
    greys: ClassVar[int]  # lines have greys 0 to greys - 1, in 255ths
    spread: ClassVar[int]  # centres lie within this many pixels from the canvas's middle, per axis

    size: int | None = None
    categories: int = 1000
    side: int = REFERENCE_SIDE  # height and width of a pattern in pixels

    def __post_init__(self) -> None:
        self.check_conversion()
        if self.categories < 1 or not 8 <= self.side <= 4096:
            raise UsageError(
                f"source.categories={self.categories} and source.side={self.side}: expected at least 1 "
                "category and a side of 8 to 4096 pixels. Type source.categories=1000 source.side=512."
            )

    @abstractmethod
    def draw_categories(self, draws: Draws) -> dict[str, Tensor]:
        """Vertices, lines, radius, oval, drift, roughness, waves of categories: ``(P, ...)``."""

    @property
    def native(self) -> tuple[int, int]:
        """Side by side pixels."""
        return self.side, self.side

    def draw_patterns(self, indices: Tensor) -> dict[str, Tensor]:
        """The category with its factors; centre ``(P, 2)``, greys ``(P, 199)`` and key of the noise."""
        draws = Draws(self.seed, indices)
        category = draws.integers("category", 0, self.categories - 1)
        middle = REFERENCE_SIDE / 2.0
        return {
            "category": category,
            **self.draw_categories(Draws(self.seed, category)),
            # as the reference has it: integers, halved
            "centre": middle + draws.integers("centre", -2 * self.spread, 2 * self.spread - 1, 2) / 2.0,
            "grey": draws.integers("grey", 0, self.greys - 1, MOST_LINES),
            "noise_key": draws.keys("noise"),
        }

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Patterns ``(P, side, side)``; one at a time, as each has its own number of segments."""
        patterns = torch.empty(len(drawn["category"]), self.side, self.side, device=device)
        for place, pattern in enumerate(patterns):
            one = {key: value[place] for key, value in drawn.items()}
            line = trace(grow(one, self.side / REFERENCE_SIDE, device), self.side)
            shades = torch.cat([torch.tensor([self.shade]), one["grey"]]).to(device) / 255.0
            torch.index_select(shades, 0, line.int().flatten(), out=pattern.view(-1))
        return patterns

    def describe(self, index: int) -> dict[str, Any]:
        """Category and factors of each pattern; lengths in pixels of the pattern, greys from 0 to 1."""
        source_index = index if self.size is None else index % self.size
        drawn = self.parameters(torch.tensor([source_index]))
        drawn.pop("conversion_place", None)
        scale, patterns = self.side / REFERENCE_SIDE, []
        for place in range(self.patterns_per_sample):
            one: dict[str, Any] = {key: value[0, place].tolist() for key, value in drawn.items()}
            patterns.append(
                {
                    "category": one["category"],
                    "vertices": one["vertices"],
                    "lines": one["lines"],
                    "start_radius_px": one["radius"] * scale,
                    "oval_factors": one["oval"],
                    "growth_per_line_px": one["drift"] * scale,
                    "roughness_px": one["roughness"] * scale,
                    "wave_numbers": one["waves"],
                    "centre_px": [value * scale for value in one["centre"]],
                    "line_greys": [value / 255.0 for value in one["grey"][: one["lines"]]],
                }
            )
        return {"patterns": patterns}


def gradient_noise(uniform: Tensor) -> Tensor:
    """Values of one-dimensional Perlin noise at independent places, of uniforms on [-1, 1).

    The quantile function of the released programs' noise, fitted to its standard deviation 0.329,
    kurtosis 3.8 and quantiles: 5 % below -0.61, 25 % below -0.15.
    """
    square = uniform * uniform
    return (square**3).mul_(0.3257).add_(0.4143).mul_(square).add_(0.1974).mul_(uniform)


def grow(drawn: dict[str, Tensor], scale: float, device: torch.device) -> Tensor:
    """Vertices of one pattern's contours in whole pixels: int32 ``(2, L, V)``, x and y."""
    vertices, lines = int(drawn["vertices"]), int(drawn["lines"])
    angle = torch.arange(vertices, dtype=torch.float64) * (2.0 * math.pi / vertices)
    outwards = torch.stack([angle.cos(), angle.sin()])[:, None]  # (2, 1, V)
    start = drawn["centre"][:, None, None] + drawn["radius"] * drawn["oval"][:, None, None] * outwards
    steady = drawn["drift"] + torch.sin(drawn["waves"][:, None] * angle).sum(dim=0) / 2.0  # (V,)
    # all on the pattern's scale; float32 keeps a thousandth of a pixel
    start, outwards, steady = (
        part.float().to(device) for part in (start * scale, outwards, steady * scale)
    )
    noise = white_noise(drawn["noise_key"][None], 2 * lines * vertices, device)
    moved = gradient_noise(noise).mul_(float(drawn["roughness"]) * scale)
    moved = moved.view(2, lines, vertices).add_(steady).cumsum(dim=1)
    return moved.mul_(outwards).add_(start).floor_().int()


def trace(contours: Tensor, side: int) -> Tensor:
    """Number of the last line over each pixel, from 1, or 0: uint8 ``(side, side)``.

    ``contours`` int32 ``(2, L, V)`` are closed polygons, at most 255. A segment of m = max(|dx|, |dy|)
    steps sets the m pixels nearest to its points at equal steps; the next segment sets its end. Lines
    have no part outside the canvas.
    """
    _, lines, vertices = contours.shape
    device = contours.device
    # a segment is out of sight if both its ends are left of the canvas, or right, or below, or above
    below, above = (flag.view(torch.uint8) for flag in (contours < 0, contours >= side))
    sides = below[0] + 2 * above[0] + 4 * below[1] + 8 * above[1]  # (L, V)
    chosen = ((sides & sides.roll(-1, dims=1)) == 0).flatten().nonzero()[:, 0]  # (S,) segments
    canvas = torch.zeros((side + 2) ** 2, dtype=torch.uint8, device=device)
    if len(chosen):
        (x, y), (dx, dy) = (
            [plane.index_select(0, chosen) for plane in ends.flatten(1)]
            for ends in (contours, contours.roll(-1, dims=2))
        )
        dx, dy = dx.sub_(x), dy.sub_(y)
        length = torch.maximum(dx.abs(), dy.abs()).clamp_min_(1)
        end, inverse = length.cumsum(0, dtype=torch.int32), ONE / length.float()
        slopes = [(delta * inverse).round_().int() for delta in (dx, dy)]
        # a line's place at pixel number n, counted over all segments, is slope * n + base: at the
        # segment's own first pixel that is its start; 32-bit products wrap, and cancel
        bases = [
            at.mul_(ONE).add_(ONE // 2).sub_((end - length) * slope)
            for at, slope in zip((x, y), slopes, strict=True)
        ]
        line = torch.arange(1, lines + 1, dtype=torch.uint8, device=device)
        line = line[:, None].expand(-1, vertices).flatten().index_select(0, chosen)
        total = int(end[-1])
        pixels = AT_ONCE if device.type == "cpu" else total
        goals = torch.tensor(range(pixels, total, pixels), dtype=torch.int32, device=device)
        cuts = [0, *torch.searchsorted(end, goals).add_(1).tolist(), len(chosen)]
        for first, last in itertools.pairwise(cuts):
            if first < last:
                here = slice(first, last)
                slope, base = ([plane[here] for plane in part] for part in (slopes, bases))
                set_pixels(canvas, slope, base, line[here], end[here], length[here], side)
    return canvas.view(side + 2, side + 2)[1:-1, 1:-1]


def set_pixels(
    canvas: Tensor,
    slopes: list[Tensor],
    bases: list[Tensor],
    line: Tensor,
    end: Tensor,
    length: Tensor,
    side: int,
) -> None:
    """Raise the cells of ``canvas``, with a border of one pixel, to the lines of the segments on them.

    Segments have slopes and bases for x and for y, int32 ``(S,)``, as are ``end`` and ``length``:
    their pixel numbers run from ``end - length`` up to ``end``. Canvas and line ``(S,)`` are uint8.
    """
    start = int(end[0] - length[0])
    number = torch.arange(start, int(end[-1]), dtype=torch.int32, device=canvas.device)
    # the owner of each pixel: as many segments as have begun after the first one
    owner = torch.zeros_like(number)
    owner.index_fill_(0, (end - start)[:-1].long(), 1)
    owner = owner.cumsum(0, dtype=torch.int32)
    column, row = (
        (slope.index_select(0, owner).mul_(number))
        .add_(base.index_select(0, owner))
        .bitwise_right_shift_(16)
        .clamp_(-1, side)  # the border takes what is outside
        for slope, base in zip(slopes, bases, strict=True)
    )
    cell = row.mul_(side + 2).add_(column).add_(side + 3)
    # the last line wins, in whatever order
    canvas.scatter_reduce_(0, cell.long(), line.index_select(0, owner), "amax")
