"""RCDB: rough radial contours on white, the radial contour data base."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..base import Draws, Source
from .radial_contours import MOST_LINES, RadialContours

FEWEST, MOST, MEAN = 3, 200, 100.0  # vertices: int(Exp(mean 100)), redrawn unless within 3 to 200


@dataclass(kw_only=True)
class RCDB(RadialContours, Source, name="rcdb"):
    """RCDB (Kataoka et al. 2022): radial contours without waves, grey lines on white.

    Per category: vertices int(Exp(mean 100)) within 3 to 200, 1 to 199 lines, start radius 0 to 99
    pixels, oval factors U(1, 2), growth coefficient U(0, 4) with noise of twice its size, further
    growth U(0, 0.1). Per sample: centre within 200 pixels of the middle, noise, greys 0 to 255.
    """

    kind = "picture"
    family = "contour"
    citation = "Kataoka et al. 2022, CVPR; arXiv 2206.09132"
    speed = "fast"
    needs = "nothing"
    shade = 255
    greys = 256
    spread = 200

    def draw_categories(self, draws: Draws) -> dict[str, Tensor]:
        """Factors ``(P,)``; oval and waves ``(P, 2)``, the latter 0."""
        rate = draws.uniform("category/rate", 0.0, 4.0)
        low, high = (-math.expm1(-end / MEAN) for end in (FEWEST, MOST + 1))
        vertices = -MEAN * torch.log1p(-draws.uniform("category/vertices", low, high))
        return {
            "vertices": vertices.long().clamp(FEWEST, MOST),
            "lines": draws.integers("category/lines", 1, MOST_LINES),
            "radius": draws.integers("category/radius", 0, 99),
            "oval": draws.uniform("category/oval", 1.0, 2.0, 2),
            "roughness": 2.0 * rate,
            "drift": rate + draws.uniform("category/drift", 0.0, 0.1),
            "waves": torch.zeros(len(rate), 2, dtype=torch.int64),
        }
