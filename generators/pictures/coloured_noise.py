"""Coloured noise: Gaussian fields whose power falls with frequency as a power law."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..base import Draws, Source
from .fields import (
    GreyField,
    Range,
    check_range,
    check_share,
    frequency_grid,
    log_uniform,
    normal_noise,
    shape_spectrum_2d,
    standardise,
)


@dataclass(kw_only=True)
class ColouredNoise(GreyField, Source, name="coloured_noise"):
    """Gaussian fields with power S(f) = |f|^-alpha: white (0), pink (2), brown (4) and between.

    f is in cycles per pixel. Three laws: isotropic; anisotropic, |f| measured after a stretch that
    makes structures ``elongation`` times longer in one random direction; separable, with a slope of
    its own along frequency and along time, S = |f_F|^-a |f_T|^-b, each |f| at least one cycle per
    canvas. Fields are periodic, without a mean, and scaled to standard deviation ``contrast``.
    """

    kind = "picture"
    family = "texture field"
    citation = "textbook"
    speed = "fast"
    needs = "nothing"

    alpha: Range = (0.0, 4.0)  # slopes of power, of every law
    p_separable: float = 0.25
    p_anisotropic: float = 0.5  # of the fields that are not separable
    elongation: Range = (1.5, 6.0)
    contrast: float = 0.15

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("alpha", self.alpha, -2.0, 8.0)
        check_range("elongation", self.elongation, 1.0, 100.0)
        check_range("contrast", (self.contrast, self.contrast), 0.001, 1.0)
        check_share("p_separable", self.p_separable)
        check_share("p_anisotropic", self.p_anisotropic)

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """The law, its slopes, elongation and direction (radians), and the noise's key: ``(B,)``."""
        draws = Draws(self.seed, indices)
        elongation = log_uniform(draws, "elongation", self.elongation)
        anisotropic = draws.happens("anisotropic", self.p_anisotropic)
        return {
            "separable": draws.happens("separable", self.p_separable),
            "alpha": draws.uniform("alpha", *self.alpha),
            "alpha_frequency": draws.uniform("alpha_frequency", *self.alpha),
            "alpha_time": draws.uniform("alpha_time", *self.alpha),
            "elongation": torch.where(anisotropic, elongation, 1.0),
            "direction": draws.uniform("direction", 0.0, math.pi),
            "noise_key": draws.keys("noise"),
        }

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """White noise under the square root of the power law, ``(B, F, T)``."""
        factors = {
            key: v.float()[:, None, None] for key, v in drawn.items() if v.dtype == torch.float64
        }
        rows, columns = frequency_grid(self.height, self.width, device)
        cosine, sine = factors["direction"].cos(), factors["direction"].sin()
        along, across = columns * cosine + rows * sine, rows * cosine - columns * sine
        square = along.square() * factors["elongation"] + across.square() / factors["elongation"]
        radial = square.clamp_min_(1e-12).log_().mul_(factors["alpha"] / -4.0)
        log_rows = rows.abs().clamp_min(1.0 / self.height).log()
        log_columns = columns.clamp_min(1.0 / self.width).log()
        separable = log_rows * (factors["alpha_frequency"] / -2.0)
        separable = separable + log_columns * (factors["alpha_time"] / -2.0)
        log_gain = torch.where(drawn["separable"][:, None, None], separable, radial)
        white = normal_noise(drawn["noise_key"], self.height * self.width, device)
        field = shape_spectrum_2d(white.view(-1, self.height, self.width), log_gain)
        return standardise(field, self.contrast)

    def tell(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """The law and its slopes; the direction in which structures are long, from the time axis."""
        if drawn["separable"]:
            slopes = {f"power_slope_{axis}": drawn[f"alpha_{axis}"] for axis in ("frequency", "time")}
            return {"law": "separable", **slopes}
        if drawn["elongation"] == 1.0:
            return {"law": "isotropic", "power_slope": drawn["alpha"]}
        return {
            "law": "anisotropic",
            "power_slope": drawn["alpha"],
            "elongation": drawn["elongation"],
            "direction_degrees": math.degrees(drawn["direction"]),
        }
