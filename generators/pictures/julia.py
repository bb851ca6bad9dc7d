"""Julia sets: smooth escape times under z^d + c, with c at the edge of the Mandelbrot set's body."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..base import Draws, Source
from ..drawer import UsageError
from .fields import GreyField, Range, check_range, log_uniform

ESCAPE = 1e4  # |z|^2 beyond which a point is gone: far enough for the shading to be smooth
BURST = 8  # iterations between two looks at which points are left
INVERSE_STEPS = 48  # of inverse iteration: each brings a point closer to the set
NEARNESS = 4.0  # weight of the smallest modulus in the shading
SPAN = 3.0  # of the plane, enough for a whole set


@dataclass(kw_only=True)
class Julia(GreyField, Source, name="julia"):
    """Julia sets of z^d + c (Julia 1918; Mandelbrot 1980), shaded by smooth escape time.

    The degree d is uniform from 2 to ``highest_degree``. The parameter is m (w - w^d), where w has the
    modulus d^(-1 / (d - 1)) and any angle: for m = 1 the edge of the main body of the d-th Mandelbrot
    set. m is uniform in ``distance``, so sets are connected or dust. The picture is centred on a random
    point of the set (by inverse iteration) and turned by a random angle; its longer side spans 3 /
    zoom of the plane. A point that is first beyond |z| = 100 at iteration n has the escape time v = n
    - log_d(ln |z| / ln 100), and the shade (1 + cos(2 pi (bands ln(1 + v) + phase))) / 2. For one
    that stays for ``iterations``, four times its iterates' smallest modulus replaces ln(1 + v).
    """

    kind = "picture"
    family = "fractal"
    citation = "Julia 1918; Mandelbrot 1980"
    speed = "moderate"
    needs = "nothing"
    framed = True

    highest_degree: int = 4
    iterations: int = 96
    distance: Range = (0.95, 1.1)
    zoom: Range = (1.0, 8.0)  # log-uniform
    bands: Range = (0.5, 3.0)  # of light and dark for each e-fold of escape time

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("distance", self.distance, 0.0, 2.0)
        check_range("zoom", self.zoom, 0.1, 1000.0)
        check_range("bands", self.bands, 0.0, 100.0)
        if not 2 <= self.highest_degree <= 8 or self.iterations < 8:
            raise UsageError(
                f"source.highest_degree={self.highest_degree} and source.iterations={self.iterations}: "
                "expected a degree of 2 to 8 and at least 8 iterations. "
                "Type source.highest_degree=4 source.iterations=96."
            )

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Degree, c and centre ``(B, 2)``, angle and phase in turns, zoom, bands: float64 but one."""
        draws = Draws(self.seed, indices)
        degree = draws.integers("degree", 2, self.highest_degree)
        modulus = degree.double() ** (-1.0 / (degree.double() - 1.0))
        turn = 2.0 * math.pi * draws.uniform("c_angle")
        w = torch.polar(modulus, turn)
        c = (w - w**degree) * draws.uniform("distance", *self.distance)
        roots = draws.integers("roots", 0, 5040 - 1, INVERSE_STEPS)  # taken modulo the degree
        return {
            "degree": degree,
            "c": torch.view_as_real(c),
            "centre": torch.view_as_real(point_of_set(c, degree, roots)),
            "angle": draws.uniform("angle"),
            "zoom": log_uniform(draws, "zoom", self.zoom),
            "bands": draws.uniform("bands", *self.bands),
            "phase": draws.uniform("phase"),
        }

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Shades ``(B, F, T)``."""
        pitch = SPAN / (drawn["zoom"] * max(self.height, self.width))  # of a pixel
        across, up = (
            (torch.arange(size, dtype=torch.float64, device=device) - (size - 1) / 2.0)
            for size in (self.width, self.height)
        )
        turn = 2.0 * math.pi * drawn["angle"]
        cosine, sine = ((part * pitch)[:, None, None] for part in (turn.cos(), turn.sin()))
        centre = drawn["centre"][:, :, None, None]
        x = centre[:, 0] + cosine * across - sine * up[:, None]  # (B, F, T)
        y = centre[:, 1] + sine * across + cosine * up[:, None]
        pixels = self.height * self.width
        degree = drawn["degree"].repeat_interleave(pixels)
        c = drawn["c"].float().repeat_interleave(pixels, dim=0)
        time, nearness = iterate(x.float().flatten(), y.float().flatten(), c, degree, self.iterations)
        place = torch.where(time < 0.0, NEARNESS * nearness, torch.log1p(time))
        bands, phase = (drawn[key].float()[:, None, None] for key in ("bands", "phase"))
        turns = bands * place.view(-1, self.height, self.width) + phase
        return (torch.cos((2.0 * math.pi) * turns) + 1.0) / 2.0

    def tell(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """Degree, c and centre as real and imaginary part, turn, zoom, shading."""
        return {
            "degree": drawn["degree"],
            "c": drawn["c"],
            "centre": drawn["centre"],
            "turn_degrees": 360.0 * drawn["angle"],
            "zoom": drawn["zoom"],
            "bands_per_e_fold": drawn["bands"],
            "phase_turns": drawn["phase"],
        }


def point_of_set(c: Tensor, degree: Tensor, roots: Tensor) -> Tensor:
    """A point of each Julia set, complex128 ``(B,)``, by random inverse images of z = 1.

    ``roots`` ``(B, steps)`` choose which of the ``degree`` roots is taken at each step.
    """
    z, order = torch.ones_like(c), degree.double()
    for root in roots.unbind(1):
        moved = z - c
        angle = (moved.angle() + 2.0 * math.pi * (root % degree).double()) / order
        z = torch.polar(moved.abs() ** (1.0 / order), angle)
    return z


def iterate(x: Tensor, y: Tensor, c: Tensor, degree: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Smooth escape times of points x + iy, and how near those that stay come to 0: float32 ``(n,)``.

    The time is -1 for a point that stays, else at least 0; the nearness is the smallest |z| of its
    iterates, and 0 for a point that escapes. ``c`` float32 ``(n, 2)`` and ``degree`` int64 ``(n,)``
    belong to the points.
    """
    time, nearness = torch.full_like(x, -1.0), torch.zeros_like(x)
    left = torch.arange(len(x), device=x.device)  # points that have not escaped
    a, b = c.unbind(1)
    lowest, highest = int(degree.min()), int(degree.max())
    nearest = torch.full_like(x, math.inf)
    for start in range(0, iterations, BURST):
        inside, count = torch.ones_like(left, dtype=torch.bool), torch.zeros_like(x)
        square_x, square_y, last = x.square(), y.square(), torch.zeros_like(x)
        for _ in range(min(BURST, iterations - start)):
            u, v = square_x - square_y, (x * y).mul_(2.0)  # z^2
            for power in range(3, highest + 1):
                s, t = u * x - v * y, u * y + v * x
                if power > lowest:  # some points have a lower degree
                    s, t = torch.where(power <= degree, s, u), torch.where(power <= degree, t, v)
                u, v = s, t
            x, y = u.add_(a), v.add_(b)
            square_x, square_y = x.square(), y.square()
            modulus = square_x + square_y  # |z|^2
            # an escaped point may overflow: what counts is where it was first seen outside
            last = torch.where(inside, modulus, last)
            count += inside
            nearest = torch.minimum(nearest, modulus)
            inside = modulus <= ESCAPE
        gone, stay = (~inside).nonzero()[:, 0], inside.nonzero()[:, 0]
        excess = torch.log(last[gone]) / math.log(ESCAPE)
        smooth = start + count[gone] - torch.log(excess) / torch.log(degree[gone].float())
        time[left[gone]] = smooth.clamp_min_(0.0)
        left, x, y, a, b, degree, nearest = (part[stay] for part in (left, x, y, a, b, degree, nearest))
    nearness[left] = nearest.sqrt_()
    return time, nearness
