"""Tilings: periodic patterns of perturbed tiles under five wallpaper groups, drawn as outlines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..base import Draws, Source
from ..drawer import UsageError
from .fields import GreyField, Range, check_range, check_share, log_uniform
from .wallpaper import GROUPS, HARMONICS, Group, sum_of_waves, symmetric_waves

# A family of outlines (m, n, c) is where m u + n v + c is whole; each tile's first three are drawn
# at its coarsest level, its last three on every subdivision. Hexagons have a rule of their own.
Family = tuple[float, float, float]
SIDES: tuple[Family, ...] = ((1, 0, 0), (0, 1, 0), (0, 1, 0))
THIRDS: tuple[Family, ...] = ((1, 0, 0), (0, 1, 0), (1, 1, 0))
CROSSES: tuple[Family, ...] = ((1, 1, 0.5), (1, -1, 0.5), (1, -1, 0.5))
STARS: tuple[Family, ...] = ((1, 0, 0.5), (0, 1, 0.5), (1, 1, 0.5))
FANS: tuple[Family, ...] = ((0.5, -0.5, 0), (0.5, 1, 0), (1, 0.5, 0))  # halved: levels double them
TILES = ("quadrilaterals", "triangles", "rhombi", "triangles_and_hexagons", "hexagons")
OUTLINES = (SIDES + SIDES, THIRDS + THIRDS, CROSSES + CROSSES, STARS + STARS, SIDES + FANS)
HEXAGONS = TILES.index("hexagons")
ALLOWED: dict[Group, tuple[str, ...]] = {
    "p1": ("quadrilaterals", "triangles"),
    "p2": ("quadrilaterals", "triangles"),
    "pmm": ("rhombi",),  # sides on mirrors could not be perturbed
    "p4": ("quadrilaterals", "rhombi"),
    "p6": ("triangles", "triangles_and_hexagons", "hexagons"),
}


@dataclass(kw_only=True)
class Tilings(GreyField, Source, name="tilings"):
    """Outlines of tilings under p1, p2, pmm, p4 or p6 whose edges are bent by a symmetric random warp.

    After TileDB (Kataoka et al. 2021), of which only the idea is known to us: tiles that fit, edges
    perturbed consistently with the group, subdivided again and again. Here the plane is displaced by
    a random trigonometric series that obeys the group (standard deviation ``bend`` cells), so every
    edge is bent and the tiles still fit. Each level of subdivision halves the tiles, adds bends of
    half the length and a quarter of the size, and draws thinner lines. With ``p_shading`` the ground
    is shaded by a scalar of the same symmetry. Repeat a name in ``groups`` to weight it.
    """

    kind = "picture"
    family = "texture field"
    citation = "ours, after Kataoka et al. 2021, ICCV workshops (TileDB)"
    speed = "fast"
    needs = "nothing"

    groups: tuple[Group, ...] = GROUPS
    cell_px: Range = (16.0, 64.0)  # length of the first lattice vector
    aspect: Range = (0.6, 1.6)  # of the second, where the group leaves it free
    lean_degrees: Range = (60.0, 120.0)  # between them, where the group leaves it free
    bend: Range = (0.0, 0.05)
    levels: tuple[int, int] = (1, 3)
    line_px: Range = (1.0, 3.5)
    p_shading: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("cell_px", self.cell_px, 4.0)
        check_range("aspect", self.aspect, 0.1, 10.0)
        check_range("lean_degrees", self.lean_degrees, 20.0, 160.0)
        check_range("bend", self.bend, 0.0, 1.0)
        check_range("levels", self.levels, 1, 6)
        check_range("line_px", self.line_px, 0.5, 16.0)
        check_share("p_shading", self.p_shading)
        if not self.groups:
            raise UsageError(
                f"source.groups is empty: expected one or more of {', '.join(GROUPS)}. "
                "Type for example 'source.groups=[p4]'."
            )

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Group, tile, lattice, warp ``(B, levels, K, 3, 2)``, lines and greys; angles in radians."""
        draws, most = Draws(self.seed, indices), self.levels[1]
        numbers = torch.tensor([GROUPS.index(group) for group in self.groups])
        group = numbers[draws.integers("group", 0, len(numbers) - 1)]
        choices = torch.tensor(  # six columns hold one, two or three choices equally often
            [[TILES.index(tile) for tile in ALLOWED[name] * 6][:6] for name in GROUPS]
        )
        free = group <= GROUPS.index("p2")
        lean = draws.uniform("lean", *self.lean_degrees) * (math.pi / 180.0)
        fixed = torch.full_like(lean, math.pi / 2.0)
        fixed[group == GROUPS.index("p6")] = math.pi / 3.0
        aspect = log_uniform(draws, "aspect", self.aspect)
        falling = torch.tensor([1.0 / (m * m + n * n) for m, n in HARMONICS], dtype=torch.float64)
        falling = falling / falling.square().sum().sqrt()  # variances add up to 1
        return {
            "group": group,
            "tile": choices[group, draws.integers("tile", 0, 5)],
            "cell": log_uniform(draws, "cell", self.cell_px),
            "aspect": torch.where(group <= GROUPS.index("pmm"), aspect, 1.0),
            "lean": torch.where(free, lean, fixed),
            "angle": draws.uniform("angle", 0.0, 2.0 * math.pi),
            "origin": draws.uniform("origin", 0.0, 1.0, 2),  # u, v of pixel (0, 0)
            "bend": draws.uniform("bend", *self.bend),
            "warp": draws.normal("warp", most, len(HARMONICS), 3, 2) * falling[:, None, None],
            "levels": draws.integers("levels", *self.levels),
            "line": log_uniform(draws, "line", self.line_px),
            "ground": draws.uniform("ground", 0.0, 0.4),
            "ink": draws.uniform("ink", 0.6, 1.0),
            "shading": draws.uniform("shading", 0.05, 0.2) * draws.happens("shaded", self.p_shading),
            "dark_ink": draws.happens("dark_ink", 0.5),
        }

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Outlines on a plain or shaded ground, ``(B, F, T)``."""
        to_lattice = torch.linalg.inv(basis(drawn))  # (B, 2, 2): pixels (x, y) to (u, v)
        outlines = torch.tensor(OUTLINES, dtype=torch.float64, device=device)[drawn["tile"]]
        place = lattice_place(to_lattice, drawn["origin"], (self.height, self.width))  # (B, 2, F, T)
        lines = torch.zeros(len(place), self.height, self.width, device=device)
        shade = lines
        for level in range(int(drawn["levels"].max())):
            scale = 2.0**level
            vectors, amplitudes = symmetric_waves(drawn["group"], drawn["warp"][:, level])
            phases = (vectors @ drawn["origin"][..., None])[..., 0] * scale
            waves = sum_of_waves(
                vectors @ to_lattice * scale, phases, amplitudes, (self.height, self.width)
            )
            place = place + waves[:, :2] * (drawn["bend"] / scale**2).float()[:, None, None, None]
            if level == 0:
                shade = waves[:, 2] * drawn["shading"].float()[:, None, None]
            family = outlines[:, :3] if level == 0 else outlines[:, 3:]
            distance = outline_distance(place, family, scale, to_lattice)
            if level == 0:
                hexagon = hexagon_distance(place, drawn["cell"].float())
                distance = torch.where((drawn["tile"] == HEXAGONS)[:, None, None], hexagon, distance)
            half = (drawn["line"] * 0.35 * 0.7**level).float()[:, None, None]
            painted = (half + 0.5 - distance).clamp_(0.0, 1.0)  # an edge as soft as one pixel
            painted = painted * (level < drawn["levels"]).float()[:, None, None]
            lines = torch.maximum(lines, painted)
        ground = (drawn["ground"].float()[:, None, None] + shade).clamp_(0.0, 0.5)
        picture = torch.lerp(ground, drawn["ink"].float()[:, None, None].expand_as(ground), lines)
        return torch.where(drawn["dark_ink"][:, None, None], 1.0 - picture, picture)

    def tell(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """Group, tile and lattice; lengths in pixels, angles in degrees, bends in cells."""
        return {
            "group": GROUPS[drawn["group"]],
            "tile": TILES[drawn["tile"]],
            "cell_px": drawn["cell"],
            "aspect": drawn["aspect"],
            "lean_degrees": math.degrees(drawn["lean"]),
            "angle_degrees": math.degrees(drawn["angle"]),
            "bend_cells": drawn["bend"],
            "levels": drawn["levels"],
            "line_px": drawn["line"],
            "shading": drawn["shading"],
            "ink": "dark" if drawn["dark_ink"] else "bright",
        }


def basis(drawn: dict[str, Tensor]) -> Tensor:
    """Lattice vectors a, b as columns (x, y) in pixels, float64 ``(B, 2, 2)``."""
    first, second = drawn["angle"], drawn["angle"] + drawn["lean"]
    long = drawn["cell"] * drawn["aspect"]
    a = torch.stack([first.cos(), first.sin()], dim=1) * drawn["cell"][:, None]
    b = torch.stack([second.cos(), second.sin()], dim=1) * long[:, None]
    return torch.stack([a, b], dim=2)


def lattice_place(to_lattice: Tensor, origin: Tensor, canvas: tuple[int, int]) -> Tensor:
    """Lattice coordinates of every pixel, float32 ``(B, 2, F, T)``."""
    y, x = (torch.arange(n, dtype=torch.float64, device=origin.device) for n in canvas)
    matrix, start = to_lattice[..., None, None], origin[..., None, None]
    return (matrix[:, :, 0] * x + matrix[:, :, 1] * y[:, None] + start).float()


def outline_distance(place: Tensor, families: Tensor, scale: float, to_lattice: Tensor) -> Tensor:
    """Pixels to the nearest outline of ``families`` (B, 3, 3), ``(B, F, T)``, before bending.

    ``place`` (B, 2, F, T) are lattice coordinates, ``scale`` how many times finer the lattice is.
    """
    steps = families[..., :2] @ to_lattice * scale  # (B, 3, 2): change of m u + n v per pixel
    spacing = (1.0 / torch.linalg.vector_norm(steps, dim=2)).float()
    families = families.float()[..., None, None]
    nearest: Tensor | None = None
    for number in range(families.shape[1]):
        m, n, c = families[:, number].unbind(1)
        whole = place[:, 0] * (m * scale) + place[:, 1] * (n * scale) + c
        distance = (whole - whole.round()).abs_().mul_(spacing[:, number, None, None])
        nearest = distance if nearest is None else torch.minimum(nearest, distance)
    assert nearest is not None  # a tile has three families
    return nearest


def hexagon_distance(place: Tensor, cell: Tensor) -> Tensor:
    """Pixels to the nearest side of the hexagons about the points of a p6 lattice, ``(B, F, T)``.

    The hexagon about the origin is where the largest projection on a, b and b - a is half a cell.
    """
    u, v = (place - place.floor()).unbind(1)
    nearest = torch.full_like(u, 1.0)
    for corner_u in (0.0, 1.0):
        for corner_v in (0.0, 1.0):
            du, dv = u - corner_u, v - corner_v
            along = torch.maximum((du + dv / 2.0).abs_(), (du / 2.0 + dv).abs_())
            along = torch.maximum(along, ((dv - du) / 2.0).abs_())
            nearest = torch.minimum(nearest, along)
    return (0.5 - nearest).abs_().mul_(cell[:, None, None])
