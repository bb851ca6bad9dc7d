"""Perlin noise: smooth random gradients on a lattice, one octave or a sum of several (fBm)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..base import Draws, Source, white_noise
from .fields import GreyField, Range, check_range, check_share, log_uniform, standardise

FINEST = 2.0  # pixels: octaves with a finer lattice are left out, they would only alias


@dataclass(kw_only=True)
class Perlin(GreyField, Source, name="perlin"):
    """Gradient noise (Perlin 1985, fade of 2002) summed over octaves: fractional Brownian motion.

    Lattice cells have independent sizes along frequency and along time, log-uniform in ``cell_px``,
    as PerlinNoiseDB's pairs of frequencies. Each octave halves the cells and scales the amplitude by
    the persistence; octaves whose cells would be under 2 pixels are left out. With ``p_turbulence``
    the octaves' magnitudes are summed (Perlin's turbulence). Standard deviation is ``contrast``.
    """

    kind = "picture"
    family = "texture field"
    citation = "Perlin 1985, SIGGRAPH; Perlin 2002, SIGGRAPH"
    speed = "fast"
    needs = "nothing"

    cell_px: Range = (8.0, 64.0)
    octaves: tuple[int, int] = (1, 5)
    persistence: Range = (0.35, 0.75)
    p_turbulence: float = 0.2
    contrast: float = 0.18

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("cell_px", self.cell_px, FINEST)
        check_range("octaves", self.octaves, 1, 12)
        check_range("persistence", self.persistence, 0.0, 2.0)
        check_range("contrast", (self.contrast, self.contrast), 0.001, 1.0)
        check_share("p_turbulence", self.p_turbulence)

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Cells in pixels and lattice offsets in cells ``(B, 2)`` and ``(B, octaves, 2)``: F, T."""
        draws, most = Draws(self.seed, indices), self.octaves[1]
        return {
            "cell": log_uniform(draws, "cell", self.cell_px, 2),
            "octaves": draws.integers("octaves", *self.octaves),
            "persistence": draws.uniform("persistence", *self.persistence),
            "turbulence": draws.happens("turbulence", self.p_turbulence),
            "offset": draws.uniform("offset", 0.0, 1.0, most, 2),
            "gradient_keys": draws.bits("gradients", most),
        }

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """The octaves' weighted sum ``(B, F, T)``."""
        field = torch.zeros(len(drawn["cell"]), self.height, self.width, device=device)
        turbulence = drawn["turbulence"][:, None, None]
        for octave in range(self.octaves[1]):
            cell = drawn["cell"] / 2.0**octave  # (B, 2)
            heard = (octave < drawn["octaves"]) & (cell.amin(dim=1) >= FINEST)
            if not bool(heard.any()):
                break
            finest = max(self.cell_px[0] / 2.0**octave, FINEST)
            places = [
                torch.arange(size, dtype=torch.float64, device=device)
                / cell[:, axis, None].clamp_min(FINEST)
                + drawn["offset"][:, octave, axis, None]
                for axis, size in enumerate((self.height, self.width))
            ]
            lattice = [math.ceil(size / finest) + 2 for size in (self.height, self.width)]
            noise = gradient_noise(places[0], places[1], drawn["gradient_keys"][:, octave], lattice)
            noise = torch.where(turbulence, noise.abs(), noise)
            amplitude = (drawn["persistence"] ** octave * heard).float()
            field += noise.mul_(amplitude[:, None, None])
        return standardise(field, self.contrast)

    def tell(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """Cell sizes in pixels, octaves asked for and heard, persistence, and the kind of sum."""
        smallest = min(drawn["cell"])
        heard = sum(smallest / 2.0**octave >= FINEST for octave in range(drawn["octaves"]))
        return {
            "cell_frequency_px": drawn["cell"][0],
            "cell_time_px": drawn["cell"][1],
            "octaves": heard,
            "persistence": drawn["persistence"],
            "sum": "turbulence" if drawn["turbulence"] else "fractional Brownian motion",
        }


def gradient_noise(rows: Tensor, columns: Tensor, keys: Tensor, lattice: list[int]) -> Tensor:
    """Perlin noise ``(B, F, T)`` at ``rows`` (B, F) and ``columns`` (B, T), in cells, from 0 on.

    The lattice has ``lattice`` points per axis and at each a unit gradient of random direction. With w
    the weight of a lattice point along an axis and d = w (x - i) the weighted distance, the noise
    sum_ij w_j w_i (g_T (x - i) + g_F (y - j)) is a product of matrices: W_F G_T D_T' + D_F G_F W_T'.
    """
    turns = white_noise(keys, lattice[0] * lattice[1], rows.device).view(-1, *lattice)
    angle = turns * math.pi
    weight_f, distance_f = corner_weights(rows, lattice[0])  # (B, F, lattice F)
    weight_t, distance_t = corner_weights(columns, lattice[1])
    left = torch.cat([weight_f @ angle.cos(), distance_f @ angle.sin()], dim=2)
    right = torch.cat([distance_t, weight_t], dim=2)
    return left @ right.transpose(1, 2)


def corner_weights(places: Tensor, points: int) -> tuple[Tensor, Tensor]:
    """Weights 1 - fade(|x - i|) of lattice points i and the weights times x - i: ``(B, n, points)``.

    ``places`` (B, n) are float64, in cells; fade(t) = 6 t^5 - 15 t^4 + 10 t^3 (Perlin 2002).
    """
    distance = (places[..., None] - torch.arange(points, device=places.device)).float()
    near = distance.abs().clamp_max_(1.0)
    weight = 1.0 - near * near * near * (near * (near * 6.0 - 15.0) + 10.0)
    return weight, weight * distance
