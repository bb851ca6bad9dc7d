"""Contractive fractals: attractors of systems that need no search, in colour, on cloudy backgrounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..base import Draws, Source, white_noise
from ..drawer import UsageError
from .conversion import Pattern
from .diamond_square import displace
from .fractals import mirror_signs
from .ifs import (
    MOST_MAPS,
    chaos_game,
    cumulative_probabilities,
    extent,
    fixed_point,
    histogram,
)

WALKERS, BURN_IN = 2048, 16


@dataclass(kw_only=True)
class ContractiveFractals(Pattern, Source, name="contractive_fractals"):
    """Improved fractals (Anderson and Farrell 2022): contractive systems of random singular values.

    Two to seven maps A = R(theta) diag(s1, s2) R(phi) D with random signs D and translations on
    U(-1, 1); singular values with sum(s1 + 2 s2) ~ U((5 + N) / 2, (6 + N) / 2) and 0 <= s2 <= s1 <= 1,
    so every system converges and no search is needed. A game of ``points`` points is seen through a
    random window (centre moved by up to 20 % of the extent, half to twice its size per axis), under
    random flips and exchange of axes, and every point stamps the picture's random 3 x 3 mask. Counts
    relative to the largest (``graded``) turn the hue, with a background of diamond-square clouds, and
    with probability ``p_blur`` a 3 x 3 Gaussian blur of standard deviation U(0.5, 1) pixels.

    ``systems`` limits how many distinct systems there are (None: each sample its own); the samples of
    one then differ by a factor U(0.8, 1.1) on one of its maps, window and colours. ``colour=false``
    paints shares of the largest count over grey clouds.
    """

    kind = "picture"
    family = "fractal"
    citation = "Anderson and Farrell 2022, WACV; arXiv 2110.03091"
    speed = "moderate"
    needs = "nothing"

    shading: Literal["graded", "binary"] = "graded"
    colour: bool = True
    background: bool = True
    p_blur: float = 0.5
    systems: int | None = None
    side: int = 224  # height and width of a pattern in pixels
    points: int = 100_000

    def __post_init__(self) -> None:
        self.check_conversion()
        if self.side < 8 or self.points < 1 or (self.systems is not None and self.systems < 1):
            raise UsageError(
                f"source.side={self.side}, source.points={self.points}, source.systems={self.systems}: "
                "expected a side of at least 8 and at least 1 point and system. Type for example "
                "source.side=224 source.points=100000 source.systems=null."
            )
        if not 0.0 <= self.p_blur <= 1.0:
            raise UsageError(
                f"source.p_blur={self.p_blur}: expected a probability from 0 to 1. "
                "Type source.p_blur=0.5."
            )

    @property
    def native(self) -> tuple[int, int]:
        """Side by side pixels."""
        return self.side, self.side

    def draw_patterns(self, indices: Tensor) -> dict[str, Tensor]:
        """The system's maps ``(P, 7, 6)`` as seen, window, colours, blur, and keys of the noise."""
        draws = Draws(self.seed, indices)
        own = torch.full_like(indices, -1)
        system = own if self.systems is None else draws.integers("system", 0, self.systems - 1)
        of_system = Draws(self.seed, indices if self.systems is None else system)
        maps, count = contractive_systems(of_system)
        cumulative = cumulative_probabilities(maps, count)
        flip, exchange = draws.happens("flip", 0.5, 2), draws.happens("exchange", 0.5)
        exchanged = maps[:, :, [3, 2, 1, 0, 5, 4]]
        maps = torch.where(exchange[:, None, None], exchanged, maps) * mirror_signs(flip)[:, None]
        if self.systems is not None:
            chosen = (draws.uniform("jittered_map") * count).long()[:, None] == torch.arange(MOST_MAPS)
            factor = torch.where(chosen, draws.uniform("jitter", 0.8, 1.1)[:, None], 1.0)
            maps = maps * factor[:, :, None]
        blurred = draws.happens("blurred", self.p_blur)
        return {
            "system": system,
            "count": count,
            "maps": maps.float(),
            "cumulative": cumulative.float(),
            "shift": draws.uniform("shift", -0.2, 0.2, 2),
            "zoom": draws.uniform("zoom", 0.5, 2.0, 2),
            "mask": draws.integers("mask", 1, 511),
            "colours": draw_colours(draws),
            "decay": draws.uniform("decay", 0.4, 0.8),
            "blur": draws.uniform("blur", 0.5, 1.0) * blurred,
            "game_key": draws.keys("game"),
            "cloud_key": draws.keys("clouds"),
        }

    def describe(self, index: int) -> dict[str, Any]:
        """Maps, window, mask, colours and blur of each pattern; lengths relative to the attractor."""
        drawn = self.parameters(torch.tensor([index if self.size is None else index % self.size]))
        drawn.pop("conversion_place", None)
        patterns = []
        for place in range(self.patterns_per_sample):
            one: dict[str, Any] = {key: value[0, place].tolist() for key, value in drawn.items()}
            (hue, saturation, value), clouds = one["colours"]
            patterns.append(
                {
                    "system": one["system"] if self.systems is not None else None,
                    "map_parameters_abcdef": one["maps"][: one["count"]],
                    "window_shift_in_extents": one["shift"],
                    "window_size_in_extents": one["zoom"],
                    "mask_3x3": [
                        [(one["mask"] >> (3 * r + c)) & 1 for c in range(3)] for r in range(3)
                    ],
                    "fractal_hue_saturation_value": [hue, saturation, value],
                    "clouds_hue_saturation_value": clouds,
                    "clouds_decay_per_level": one["decay"],
                    "blur_sd_px": one["blur"],
                }
            )
        return {"shading": self.shading, "patterns": patterns}

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Patterns ``(P, side, side)`` or, in colour, ``(P, 3, side, side)``."""
        share = self.shares(drawn, device)
        hit = share > 0.0
        if self.shading == "binary":
            share = hit.float()
        clouds = self.clouds(drawn, device) if self.background else None
        if self.colour:
            fractal, behind = drawn["colours"].float().to(device)[..., None, None].unbind(1)
            hue, saturation, value = (part * hit for part in fractal.unbind(1))
            hue += share
            if clouds is not None:
                hue = torch.where(hit, hue, clouds + behind[:, 0])
                saturation = torch.where(hit, saturation, behind[:, 1])
                value = torch.where(hit, value, behind[:, 2])
            picture = to_colours(hue, saturation, value)  # (P, 3, H, W)
        else:
            picture = (share if clouds is None else torch.where(hit, share, clouds))[:, None]
        if bool(drawn["blur"].any()):
            picture = blur(picture, drawn["blur"].to(device))
        return picture if self.colour else picture[:, 0]

    def shares(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Stamps on each pixel, as a share of the most on one: float32 ``(P, side, side)``."""
        kinds = int(drawn["count"].max())
        maps = drawn["maps"][:, :kinds].to(device)
        walk = chaos_game(
            maps,
            drawn["cumulative"][:, :kinds].to(device),
            drawn["game_key"],
            fixed_point(maps[:, 0]),
            points=self.points,
            walkers=min(WALKERS, self.points),
            burn_in=BURN_IN,
        )
        low, high = extent(walk)
        size = (high - low).clamp_min(1e-6)
        centre = (low + high) / 2.0 + drawn["shift"].float().to(device) * size
        scale = self.side / (size * drawn["zoom"].float().to(device))
        counts = histogram(walk, scale, self.side / 2.0 - centre * scale, self.side, self.side)
        stamped = stamp(counts.float(), drawn["mask"].to(device))
        return stamped / stamped.amax(dim=(1, 2), keepdim=True).clamp_min(1.0)

    def clouds(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Backgrounds ``(P, side, side)`` from 0 to 1."""
        square = 1 << math.ceil(math.log2(self.side))
        noise = white_noise(drawn["cloud_key"], (square + 1) ** 2, device)
        grid = displace(noise, drawn["decay"].to(device), (1, 1), square)[:, : self.side, : self.side]
        low, high = grid.amin(dim=(1, 2), keepdim=True), grid.amax(dim=(1, 2), keepdim=True)
        return (grid - low) / (high - low)


# ---------------------------------------------------------------------------------------------------
# Systems.


def singular_values(draws: Draws, count: Tensor) -> Tensor:
    """s1 >= s2 within [0, 1] of ``count`` maps ``(P,)``, 0 for the others: float64 ``(P, K, 2)``.

    One after the other, each uniform between the bounds that leave the others a way to reach
    sum(s1 + 2 s2) = alpha (Anderson and Farrell 2022, section 3 and appendix).
    """
    total = draws.uniform("alpha", 0.0, 0.5) + (5.0 + count) / 2.0
    ones, uniform = torch.ones_like(total), draws.uniform("singular_values", 0.0, 1.0, MOST_MAPS, 2)
    left = total  # the budget of this map and of those after it; each takes at most 3
    values = []
    for place in range(MOST_MAPS):
        rest = count - 1 - place  # maps after this one, each of which can take 3
        due = left - 3.0 * rest  # what this map must take at least
        low, high = (due / 3.0).clamp_min(0.0), torch.minimum(ones, left)
        first = low + (high - low) * uniform[:, place, 0]
        low = ((due - first) / 2.0).clamp_min(0.0)
        high = torch.minimum(first, (left - first) / 2.0)
        second = low + (high - low) * uniform[:, place, 1]
        # the last map takes all that is left
        low, high = ((left - 1.0) / 2.0).clamp_min(0.0), left / 3.0
        last = low + (high - low) * uniform[:, place, 1]
        second = torch.where(rest == 0, last, second)
        first = torch.where(rest == 0, left - 2.0 * last, first)
        values.append(torch.stack([first, second], dim=1) * (rest >= 0)[:, None])
        left = left - first - 2.0 * second
    return torch.stack(values, dim=1)


def contractive_systems(draws: Draws) -> tuple[Tensor, Tensor]:
    """Random contractive systems: maps float64 ``(P, K, 6)``, and how many are in use, ``(P,)``."""
    count = draws.integers("count", 2, MOST_MAPS)
    scale = singular_values(draws, count)
    theta, phi = draws.uniform("angles", -math.pi, math.pi, 2, MOST_MAPS).unbind(1)
    sign_x, sign_y = (1.0 - 2.0 * draws.happens("signs", 0.5, 2, MOST_MAPS).double()).unbind(1)
    first, second = scale.unbind(2)
    ct, st, cp, sp = theta.cos(), theta.sin(), phi.cos(), phi.sin()
    linear = [
        (ct * first * cp - st * second * sp) * sign_x,
        (-ct * first * sp - st * second * cp) * sign_y,
        (st * first * cp + ct * second * sp) * sign_x,
        (-st * first * sp + ct * second * cp) * sign_y,
    ]
    moved = draws.uniform("translation", -1.0, 1.0, 2, MOST_MAPS)
    return torch.stack([*linear, *moved.unbind(1)], dim=2), count


# ---------------------------------------------------------------------------------------------------
# Painting.


def draw_colours(draws: Draws) -> Tensor:
    """Hue in turns, saturation and value of fractal and clouds, float64 ``(P, 2, 3)``."""
    parts = [
        draws.uniform("hue", 0.0, 1.0, 2),
        draws.uniform("saturation", 0.3, 1.0, 2),
        draws.uniform("value", 0.5, 1.0, 2),
    ]
    return torch.stack(parts, dim=2)


def stamp(counts: Tensor, mask: Tensor) -> Tensor:
    """Counts ``(P, H, W)``, each spread by its picture's 3 x 3 mask, int64 ``(P,)`` of nine bits."""
    _, height, width = counts.shape
    stamped = torch.zeros_like(counts)
    for bit in range(9):
        row, column = bit // 3 - 1, bit % 3 - 1
        here = (slice(max(row, 0), height + min(row, 0)), slice(max(column, 0), width + min(column, 0)))
        there = (
            slice(max(-row, 0), height - max(row, 0)),
            slice(max(-column, 0), width - max(column, 0)),
        )
        present = ((mask >> bit) & 1).float()[:, None, None]
        stamped[:, *here].addcmul_(counts[:, *there], present)
    return stamped


def to_colours(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Red, green, blue ``(P, 3, H, W)`` of hue (turns >= 0), saturation, value ``(P, H, W)``."""
    chroma = value * saturation
    channels = []
    for start in (5.0, 3.0, 1.0):  # channel = v - v s clamp(min(k, 4 - k), 0, 1), k = start + 6 h mod 6
        place = (hue + start / 6.0).frac_().mul_(6.0)
        channels.append(value - chroma * torch.minimum(place, 4.0 - place).clamp_(0.0, 1.0))
    return torch.stack(channels, dim=1)


def blur(pictures: Tensor, deviation: Tensor) -> Tensor:
    """Pictures ``(P, C, H, W)`` under a 3 x 3 Gaussian of ``deviation`` pixels ``(P,)``; 0: unchanged.

    The border is reflected.
    """
    side = torch.exp(-0.5 / deviation.clamp_min(1e-3).square())
    side = (side / (1.0 + 2.0 * side)).float()[:, None, None, None]
    for axis in (2, 3):
        size = pictures.shape[axis]
        ends = (pictures.narrow(axis, 1, 1), pictures.narrow(axis, size - 2, 1))
        wide = torch.cat([ends[0], pictures, ends[1]], dim=axis)
        around = wide.narrow(axis, 0, size) + wide.narrow(axis, 2, size)
        pictures = pictures * (1.0 - 2.0 * side) + around * side
    return pictures
