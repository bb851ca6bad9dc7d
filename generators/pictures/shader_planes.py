"""The plane that a procedural shader is drawn on: its coordinates, and how they are bent and folded.

A plane is ``(x, y)``, float32 ``(b, F, T)`` each: y from -1 (low frequencies) to 1, x in the same unit.
Numbers of a sample are ``(b, 1, 1)``. Spec 5.5; bends and folds are the usual ones of shader artists.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Plane = tuple[Tensor, Tensor]
Numbers = dict[str, Tensor]
Bend = Callable[[Tensor, Tensor, Numbers], Plane]

TINY = 1e-4  # keeps logarithms and reciprocals finite in the centre


def canvas(height: int, width: int, place: Numbers, device: torch.device) -> Plane:
    """The canvas zoomed by 2^``zoom``, rotated by ``angle``, moved by ``x``, ``y``, stretched in time.

    ``place`` are float32 ``(b, 1, 1)``; ``stretch`` is the exponent of 2 by which time is longer.
    """
    y = torch.linspace(-1.0, 1.0, height, device=device)[None, :, None]
    x = torch.linspace(-1.0, 1.0, width, device=device)[None, None, :] * (width / height)
    x, y = x * torch.exp2(place["zoom"] - place["stretch"]), y * torch.exp2(place["zoom"])
    cosine, sine = torch.cos(place["angle"]), torch.sin(place["angle"])
    return x * cosine - y * sine + place["x"], x * sine + y * cosine + place["y"]


def straight(x: Tensor, y: Tensor, u: Numbers) -> Plane:
    """The plane as it is."""
    return x, y


def kaleidoscope(x: Tensor, y: Tensor, u: Numbers) -> Plane:
    """Mirror images in 3 to 8 sectors around the centre."""
    sector = math.pi / (3.0 + torch.floor(6.0 * u["first"]))
    radius, angle = torch.hypot(x, y), torch.atan2(y, x)
    angle = (torch.remainder(angle, 2.0 * sector) - sector).abs()
    return radius * torch.cos(angle), radius * torch.sin(angle)


def log_polar(x: Tensor, y: Tensor, u: Numbers) -> Plane:
    """Logarithm of the radius and angle: circles become lines."""
    turns = 1.0 + torch.floor(3.0 * u["first"])
    return torch.log(torch.hypot(x, y) + TINY), torch.atan2(y, x) * turns / math.pi


def inversion_folds(x: Tensor, y: Tensor, u: Numbers) -> Plane:
    """Two folds p <- |p| / (p . p) - c with c from 0.5 to 1.3."""
    c = 0.5 + 0.8 * u["first"]
    for _ in range(2):
        square = x * x + y * y + 0.05
        x, y = x.abs() / square - c, y.abs() / square - c
    return x, y


def swirl(x: Tensor, y: Tensor, u: Numbers) -> Plane:
    """A rotation that grows with the distance from the centre, up to two radians a unit."""
    angle = torch.hypot(x, y) * (4.0 * u["first"] - 2.0)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    return x * cosine - y * sine, x * sine + y * cosine


def mirrored_tiles(x: Tensor, y: Tensor, u: Numbers) -> Plane:
    """Square tiles of side 0.6 to 2, each the mirror image of its neighbours."""
    side = 0.6 + 1.4 * u["first"]
    tiles = [(torch.remainder(axis, 2.0 * side) - side).abs() for axis in (x, y)]
    return tiles[0] - side / 2.0, tiles[1] - side / 2.0


def waves(x: Tensor, y: Tensor, u: Numbers) -> Plane:
    """Each axis displaced by a sine of the other."""
    depth, rate = 0.1 + 0.4 * u["first"], 1.0 + 5.0 * u["second"]
    return x + depth * torch.sin(rate * y), y + depth * torch.sin(rate * x + 1.0)


BENDS: dict[str, Bend] = {
    "straight": straight,
    "kaleidoscope": kaleidoscope,
    "log_polar": log_polar,
    "inversion_folds": inversion_folds,
    "swirl": swirl,
    "mirrored_tiles": mirrored_tiles,
    "waves": waves,
}
