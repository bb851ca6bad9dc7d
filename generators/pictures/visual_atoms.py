"""VisualAtom: fuzzy, rippled rings about a random centre, after pictures of atomic orbits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..base import Draws, Source
from .radial_contours import MOST_LINES, RadialContours

MOST_WAVES = 19


@dataclass(kw_only=True)
class VisualAtom(RadialContours, Source, name="visual_atom"):
    """VisualAtom (Takashima et al. 2023): radial contours with two sinusoidal waves, grey on black.

    The published best practice, per category: 200 to 999 vertices, 1 to 199 lines, start radius 10 to
    59 pixels, oval factors U(1, 2), wave numbers 0 to 19 that differ (or start with 0), noise and
    growth coefficient U(0, 4), further growth U(0, 0.1). Per sample: centre anywhere, noise,
    greys 0 to 254.
    """

    kind = "picture"
    family = "contour"
    citation = "Takashima et al. 2023, CVPR; arXiv 2303.01112"
    speed = "fast"
    needs = "nothing"
    shade = 0
    greys = 255
    spread = 256

    def draw_categories(self, draws: Draws) -> dict[str, Tensor]:
        """Factors ``(P,)``; oval and waves ``(P, 2)``."""
        roughness = draws.uniform("category/roughness", 0.0, 4.0)
        return {
            "vertices": draws.integers("category/vertices", 200, 999),
            "lines": draws.integers("category/lines", 1, MOST_LINES),
            "radius": draws.integers("category/radius", 10, 59),
            "oval": draws.uniform("category/oval", 1.0, 2.0, 2),
            "roughness": roughness,
            "drift": roughness + draws.uniform("category/drift", 0.0, 0.1),
            "waves": wave_numbers(draws),
        }


def wave_numbers(draws: Draws) -> Tensor:
    """Pairs ``(P, 2)`` from 0 to 19, uniform over those that differ or start with 0."""
    wide = MOST_WAVES + 1
    # pairs that start with 0 come first, then those with 1, ...: each of these lacks its own number
    number = draws.integers("category/waves", 0, wide + MOST_WAVES * MOST_WAVES - 1)
    rest = number - wide
    first = torch.where(rest < 0, 0, 1 + rest.div(MOST_WAVES, rounding_mode="floor"))
    second = torch.where(rest < 0, number, rest.remainder(MOST_WAVES))
    return torch.stack([first, second + ((rest >= 0) & (second >= first))], dim=1)
