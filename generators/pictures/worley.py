"""Worley noise: distances from every pixel to the nearest of randomly scattered points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..base import Draws, Source
from ..drawer import UsageError
from .fields import GreyField, Range, check_range, check_share, log_uniform, stretch

Feature = Literal["f1", "f2", "f2_minus_f1"]
Metric = Literal["euclidean", "manhattan", "chebyshev"]
FEATURES: tuple[Feature, ...] = ("f1", "f2", "f2_minus_f1")
METRICS: tuple[Metric, ...] = ("euclidean", "manhattan", "chebyshev")
MARGIN = 1.5  # points are scattered this many spacings beyond the canvas, so that it has no border
FAR = 1e9  # where unused points lie, in pixels


@dataclass(kw_only=True)
class Worley(GreyField, Source, name="worley"):
    """Cellular noise (Worley 1996): distance to the nearest point, to the second, or the difference.

    Points are uniform on the canvas and a margin, one per ``spacing_px``^2 pixels (log-uniform), in
    a plane where time is ``aspect`` times as long (log-uniform). Values run from the picture's
    smallest distance (0) to its largest (1), or the other way. Repeat a name in ``features`` or
    ``metrics`` to weight it.
    """

    kind = "picture"
    family = "texture field"
    citation = "Worley 1996, SIGGRAPH"
    speed = "fast"
    needs = "nothing"

    spacing_px: Range = (8.0, 40.0)
    aspect: Range = (0.5, 2.0)
    features: tuple[Feature, ...] = FEATURES
    metrics: tuple[Metric, ...] = METRICS
    p_invert: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("spacing_px", self.spacing_px, 2.0)
        check_range("aspect", self.aspect, 0.01, 100.0)
        check_share("p_invert", self.p_invert)
        for key, known in (("features", FEATURES), ("metrics", METRICS)):
            if not getattr(self, key):
                raise UsageError(
                    f"source.{key} is empty: expected one or more of {', '.join(known)}. "
                    f"Type for example 'source.{key}=[{known[0]}]'."
                )

    def count(self, spacing: Tensor, aspect: Tensor) -> Tensor:
        """Points for a spacing in pixels and an aspect, int64: at least 4."""
        rows = self.height + 2.0 * MARGIN * spacing
        columns = self.width / aspect + 2.0 * MARGIN * spacing
        return (rows * columns / spacing.square()).round().long().clamp_min(4)

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Spacing, aspect, number of points, feature, metric and direction ``(B,)``; places (B, P, 2).

        Places are shares of the canvas and its margin, in [0, 1).
        """
        draws = Draws(self.seed, indices)
        smallest = [
            torch.tensor(pair[0], dtype=torch.float64) for pair in (self.spacing_px, self.aspect)
        ]
        spacing = log_uniform(draws, "spacing", self.spacing_px)
        aspect = log_uniform(draws, "aspect", self.aspect)
        features = torch.tensor([FEATURES.index(feature) for feature in self.features])
        metrics = torch.tensor([METRICS.index(metric) for metric in self.metrics])
        return {
            "spacing": spacing,
            "aspect": aspect,
            "points": self.count(spacing, aspect),
            "feature": features[draws.integers("feature", 0, len(features) - 1)],
            "metric": metrics[draws.integers("metric", 0, len(metrics) - 1)],
            "inverted": draws.happens("inverted", self.p_invert),
            "places": draws.uniform("places", 0.0, 1.0, int(self.count(*smallest)), 2),
        }

    def points(self, drawn: dict[str, Tensor]) -> Tensor:
        """Points ``(B, P, 2)`` in pixels (F, T), float64; those beyond the number drawn lie far off."""
        margin = MARGIN * drawn["spacing"]
        margins = torch.stack([margin, margin * drawn["aspect"]], dim=1)[:, None]  # (B, 1, 2)
        canvas = torch.tensor([self.height, self.width], device=margin.device)
        places = drawn["places"] * (canvas + 2.0 * margins) - margins
        number = torch.arange(places.shape[1], device=margin.device)
        return torch.where((number < drawn["points"][:, None])[..., None], places, FAR)

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """The drawn feature of the drawn metric, ``(B, F, T)``."""
        places = self.points(drawn)
        pixels = [torch.arange(n, device=device) + 0.5 for n in (self.height, self.width)]
        rows = (pixels[0] - places[..., 0, None]).abs().float()  # (B, P, F)
        columns = (pixels[1] - places[..., 1, None]).abs() / drawn["aspect"][:, None, None]
        nearest = rows.new_empty(2, len(rows), self.height, self.width)
        for metric, name in enumerate(METRICS):
            chosen = (drawn["metric"] == metric).nonzero()[:, 0]
            if len(chosen):
                most = int(drawn["points"][chosen].max())
                near = two_nearest(rows[chosen, :most], columns[chosen, :most].float(), name)
                nearest[:, chosen] = near
        feature = drawn["feature"][:, None, None]
        field = torch.where(feature == 0, nearest[0], nearest[1])
        field = stretch(torch.where(feature == 2, nearest[1] - nearest[0], field))
        return torch.where(drawn["inverted"][:, None, None], 1.0 - field, field)

    def tell(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """Feature, metric, number of points (margin included) and their spacing in pixels."""
        return {
            "feature": FEATURES[drawn["feature"]],
            "metric": METRICS[drawn["metric"]],
            "points": drawn["points"],
            "spacing_frequency_px": drawn["spacing"],
            "spacing_time_px": drawn["spacing"] * drawn["aspect"],
            "bright": "near" if drawn["inverted"] else "far",
        }


def two_nearest(rows: Tensor, columns: Tensor, metric: Metric) -> Tensor:
    """Distances to the nearest and second nearest point, ``(2, B, F, T)`` float32.

    ``rows`` (B, P, F) and ``columns`` (B, P, T) are distances along each axis.
    """
    if metric == "euclidean":
        rows, columns = rows.square(), columns.square()
    batch, count, height = rows.shape
    first = torch.full((batch, height, columns.shape[2]), math.inf, device=rows.device)
    second, distance = first.clone(), torch.empty_like(first)
    combine = torch.maximum if metric == "chebyshev" else torch.add
    for point in range(count):
        combine(rows[:, point, :, None], columns[:, point, None, :], out=distance)
        torch.minimum(second, torch.maximum(first, distance), out=second)
        torch.minimum(first, distance, out=first)
    both = torch.stack([first, second])
    return both.sqrt_() if metric == "euclidean" else both
