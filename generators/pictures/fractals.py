"""FractalDB: attractors of random affine systems, found by search and drawn with random patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..base import Draws, Source, white_noise
from ..drawer import UsageError
from .conversion import Pattern
from .ifs import chaos_game, cumulative_probabilities, fill_frame, find_category, histogram

WALKERS, BURN_IN = 2048, 24
GREY = 127.0 / 255.0
FACTORS = (0.2, 0.6, 1.4, 1.8)
# 25 instances of a category: no change, or one parameter of all maps times one factor
WEIGHTS = ((0, 1.0), *((column, factor) for column in range(6) for factor in FACTORS))
PARAMETERS = "abcdef"


@dataclass(kw_only=True)
class FractalDB(Pattern, Source, name="fractal_db"):
    """FractalDB (Kataoka et al. 2020): random iterated function systems that fill the frame.

    A category is two to seven affine maps with parameters on U(-1, 1), accepted where 100 000 points
    hit at least ``filling`` of 512 x 512 pixels (:func:`~generators.pictures.ifs.find_category`; the
    search is ours and runs when a category is first drawn). A sample is one of 25 weightings (one
    parameter of all maps times 0.2, 0.6, 1.4 or 1.8, or none) under one of four flips. Drawn with
    ``points`` points within a border of ``pad`` pixels, grey 127 on black: ``patch_gray`` pastes a
    random 3 x 3 mask per point, later ones opaquely over earlier ones; ``point_gray`` marks pixels.

    As in the reference, about one sample in 16 is nearly black: its weights make the system unstable,
    and a few far points shrink the rest into a pixel. Unlike it, every sample has its own random walk.
    """

    kind = "picture"
    family = "fractal"
    citation = "Kataoka et al. 2020, ACCV; arXiv 2101.08515"
    speed = "moderate"
    needs = "nothing"

    drawing: Literal["patch_gray", "point_gray"] = "patch_gray"
    categories: int = 1000
    filling: float = 0.2
    side: int = 362  # height and width of a pattern in pixels
    pad: int = 6
    points: int = 200_000

    def __post_init__(self) -> None:
        self.check_conversion()
        if self.pad < 0 or self.side < 2 * self.pad + 4:
            raise UsageError(
                f"source.side={self.side} leaves no room within a border of source.pad={self.pad}: "
                "expected pad >= 0 and side >= 2 pad + 4. Type source.side=362 source.pad=6."
            )
        if self.categories < 1 or self.points < 1:
            raise UsageError(
                f"source.categories={self.categories} and source.points={self.points}: expected at "
                "least 1 each. Type for example source.categories=1000 source.points=200000."
            )
        if not 0.0 <= self.filling <= 0.25:
            raise UsageError(
                f"source.filling={self.filling}: expected a share of pixels from 0 to 0.25; hardly any "
                "system fills more with 100 000 points. Type source.filling=0.2."
            )

    @property
    def native(self) -> tuple[int, int]:
        """Side by side pixels."""
        return self.side, self.side

    def draw_patterns(self, indices: Tensor) -> dict[str, Tensor]:
        """Category, weighting and flips, the maps they make ``(P, 7, 6)``, and keys of the noise."""
        draws = Draws(self.seed, indices)
        category = draws.integers("category", 0, self.categories - 1)
        found = [find_category(self.seed, number, self.filling) for number in category.tolist()]
        maps, count = (torch.stack(part) for part in zip(*found, strict=True))
        cumulative = cumulative_probabilities(maps, count)  # of the category: weights do not change it
        weighting = draws.integers("weighting", 0, len(WEIGHTS) - 1)
        columns, factors = (torch.tensor(part) for part in zip(*WEIGHTS, strict=True))
        column, factor = columns[weighting], factors[weighting]
        weights = torch.ones(len(indices), 6).scatter_(1, column[:, None], factor[:, None])
        flip = draws.happens("flip", 0.5, 2)  # (P, 2): left-right, upside down
        return {
            "category": category,
            "weighting": weighting,
            "flip": flip,
            "count": count,
            "maps": maps * weights[:, None] * mirror_signs(flip)[:, None],
            "cumulative": cumulative,
            "game_key": draws.keys("game"),
            "patch_key": draws.keys("patch"),
        }

    def describe(self, index: int) -> dict[str, Any]:
        """Category, its number of maps, the weighting, the flips, and the maps, of each pattern."""
        drawn = self.parameters(torch.tensor([index if self.size is None else index % self.size]))
        drawn.pop("conversion_place", None)
        patterns = []
        for place in range(self.patterns_per_sample):
            one: dict[str, Any] = {key: value[0, place].tolist() for key, value in drawn.items()}
            column, factor = WEIGHTS[one["weighting"]]
            patterns.append(
                {
                    "category": one["category"],
                    "maps": one["count"],
                    "weighted_parameter": PARAMETERS[column],
                    "weight": factor,
                    "flipped_in_time": one["flip"][0],
                    "flipped_in_frequency": one["flip"][1],
                    "map_parameters_abcdef": one["maps"][: one["count"]],
                }
            )
        return {"drawing": self.drawing, "patterns": patterns}

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Patterns ``(P, side, side)``, 0 or 127/255."""
        kinds = int(drawn["count"].max())
        maps = drawn["maps"][:, :kinds].to(device)
        walk = chaos_game(
            maps,
            drawn["cumulative"][:, :kinds].to(device),
            drawn["game_key"],
            maps.new_zeros(len(maps), 2),
            points=self.points,
            walkers=min(WALKERS, self.points),
            burn_in=BURN_IN,
        )
        walk = walk.clamp(-1e30, 1e30).nan_to_num_(0.0)  # unstable systems overflow
        counts = histogram(walk, *fill_frame(walk, self.side, self.pad), self.side, self.side)
        if self.drawing == "point_gray":
            return (counts > 0) * GREY
        return paste_patches(counts, drawn["patch_key"]) * GREY


def mirror_signs(flip: Tensor) -> Tensor:
    """Signs ``(P, 6)`` of a, ..., f that mirror a system's picture in x and y, bool ``(P, 2)``."""
    x, y = (1.0 - 2.0 * flip.float()).unbind(1)
    one = torch.ones_like(x)
    return torch.stack([one, x * y, x * y, one, x, y], dim=1)


def paste_patches(counts: Tensor, keys: Tensor) -> Tensor:
    """Paste a random 3 x 3 mask (1 to 511) for every point, opaquely: bool ``(P, H, W)``.

    ``counts`` ``(P, H, W)`` is how many points fall on each pixel, ``keys`` ``(P,)`` seed the masks. A
    mask lies one to three pixels above and to the right of its point, in pixels (x + 1, y + 1) on.

    A pixel shows the last mask that covers it. With the points in random order, the last of n uniform
    times is u^(1/n), so the largest n / -log u of the nine points in reach is the last: the histogram
    tells what 200 000 pastes would.
    """
    batch, height, width = counts.shape
    chance = white_noise(keys, 2 * height * width, counts.device).view(batch, 2, height, width)
    wait = torch.log((0.5 + 2.0**-17) + 0.5 * chance[:, 0]).neg_()  # -log u, u within (0, 1)
    # positive floats are ordered as their bits are; the lowest bit makes room for the mask's
    time = (counts / wait).view(torch.int32) & ~1
    mask = ((0.5 + 0.5 * chance[:, 1]) * 511.0).int().add_(1).mul_(counts > 0)
    last = torch.zeros(batch, height + 3, width + 3, dtype=torch.int32, device=counts.device)
    for bit in range(9):
        row, column = 1 + bit // 3, 1 + bit % 3
        reached = last[:, row : row + height, column : column + width]
        torch.maximum(reached, time | ((mask >> bit) & 1), out=reached)
    return (last[:, :height, :width] & 1).bool()
