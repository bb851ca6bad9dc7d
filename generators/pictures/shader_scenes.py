"""The families of procedural shaders: what is drawn on a plane, each a field over it.

A family is a function of a :class:`Scene` that gives float32 ``(b, F, T)`` of any range; the names and
ranges of its numbers stand beside it in :data:`FAMILIES`. Definitions are the standard ones of the
demo scene as the specification lists them (5.5); nobody's program was used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .shader_planes import TINY, Numbers, Plane

LATTICE = 64  # side of the table of random numbers in [-1, 1) that noise is read from
POINTS = 16  # random points (four numbers in [0, 1) each) of a scene
EXTENT = 2.0  # points lie within this distance of the centre along each axis


@dataclass(frozen=True)
class Scene:
    """What a family draws from: the plane, the time in seconds, its numbers and random tables."""

    plane: Plane  # x and y (b, F, T)
    time: Tensor  # (b, 1, 1)
    numbers: Numbers  # (b, 1, 1) each
    points: Tensor  # (b, POINTS, 4)
    lattice: Tensor  # (b, LATTICE, LATTICE)

    def moving_points(self, count: int) -> list[Plane]:
        """The first points ``(b, 1, 1)``, each on a small circle of its own."""
        placed = []
        for point in self.points[:, :count].unbind(1):
            x, y, phase, rate = point[:, :, None, None].unbind(1)
            turn = 2.0 * math.pi * phase + (0.3 + rate) * self.time
            x, y = ((2.0 * axis - 1.0) * EXTENT for axis in (x, y))
            placed.append((x + 0.3 * torch.cos(turn), y + 0.3 * torch.sin(turn)))
        return placed

    def cells(self, x: Tensor, y: Tensor) -> Tensor:
        """A random number in [-1, 1) for whole numbers x and y (int64), the lattice repeated."""
        place = (y % LATTICE) * LATTICE + x % LATTICE
        return self.lattice.flatten(1).gather(1, place.flatten(1)).reshape(x.shape)

    def noise(self, x: Tensor, y: Tensor) -> Tensor:
        """Value noise in [-1, 1], smooth, one number a unit."""
        left, below = x.floor(), y.floor()
        u, v = x - left, y - below
        u, v = u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v)
        column, row = left.long(), below.long()
        lower = torch.lerp(self.cells(column, row), self.cells(column + 1, row), u)
        upper = torch.lerp(self.cells(column, row + 1), self.cells(column + 1, row + 1), u)
        return torch.lerp(lower, upper, v)

    def brownian(self, x: Tensor, y: Tensor, octaves: int) -> Tensor:
        """Fractional Brownian motion: octaves of noise, each half as strong as the last."""
        total = self.noise(x, y)
        for octave in range(1, octaves):
            scale = 2.0**octave
            total = total + self.noise(x * scale + 7.3 * octave, y * scale + 3.1 * octave) / scale
        return total


def plasma(scene: Scene) -> Tensor:
    """Sums of sines along, across, diagonal and around."""
    (x, y), t, u = scene.plane, scene.time, scene.numbers
    rate = u["waves_per_unit"] * 2.0 * math.pi
    total = torch.sin(rate * x + t) + torch.sin(rate * u["ratio"] * y - 0.7 * t)
    total += torch.sin(rate * 0.6 * (x + y) + 1.3 * t)
    return total + torch.sin(rate * torch.hypot(x - u["centre"], y) - t)


def warped_noise(scene: Scene) -> Tensor:
    """Brownian noise on a plane that Brownian noise displaces: fbm(p + a fbm(p))."""
    (x, y), t, u = scene.plane, scene.time, scene.numbers
    x, y = x * u["cells_per_unit"] + 0.2 * t, y * u["cells_per_unit"]
    shift = scene.brownian(x, y, 2)
    other = scene.noise(x + 5.2, y + 1.3)
    return scene.brownian(x + u["displacement"] * shift, y + u["displacement"] * other, 4)


def interference(scene: Scene) -> Tensor:
    """Rings around six sources, added."""
    (x, y), t, u = scene.plane, scene.time, scene.numbers
    rate = u["rings_per_unit"] * 2.0 * math.pi
    total = torch.zeros_like(x)
    for left, below in scene.moving_points(6):
        total += torch.sin(rate * torch.hypot(x - left, y - below) - 2.0 * t)
    return total


def tunnel(scene: Scene) -> Tensor:
    """The wall of a tunnel, 1/r deep: stripes around and along it, darker far away."""
    (x, y), t, u = scene.plane, scene.time, scene.numbers
    radius = torch.hypot(x, y) + 0.05
    depth, angle = u["depth"] / radius + t, torch.atan2(y, x)
    wall = torch.sin(2.0 * math.pi * depth) * torch.cos(
        torch.floor(u["ribs"]) * angle + u["twist"] * depth
    )
    return wall * (radius / (radius + 0.4))


def metaballs(scene: Scene) -> Tensor:
    """Contours of the sum of eight fields that fall with the square of the distance."""
    (x, y), u = scene.plane, scene.numbers
    total = torch.zeros_like(x)
    for number, (left, below) in enumerate(scene.moving_points(8)):
        size = u["radius"] * (0.5 + 0.1 * number)
        total += size * size / ((x - left).square() + (y - below).square() + 0.01)
    inside = torch.sigmoid(12.0 * (total - 1.0))
    return inside * torch.tanh(0.5 * total) + u["contours"] * torch.sin(
        4.0 * torch.log(total + TINY)
    ) * (1.0 - inside)


def truchet(scene: Scene) -> Tensor:
    """Tiles of two quarter circles, turned at random, joined to winding bands."""
    (x, y), t, u = scene.plane, scene.time, scene.numbers
    x, y = x * u["tiles_per_unit"] + 0.1 * t, y * u["tiles_per_unit"]
    column, row = x.floor(), y.floor()
    turned = scene.cells(column.long(), row.long()) > 0.0
    u_in, v_in = x - column, y - row
    u_in = torch.where(turned, 1.0 - u_in, u_in)
    near = torch.minimum(torch.hypot(u_in, v_in), torch.hypot(u_in - 1.0, v_in - 1.0))
    return torch.sigmoid(((near - 0.5).abs() - u["half_width"]) * 20.0)


def voronoi(scene: Scene) -> Tensor:
    """Cells around sixteen drifting points: distance to the nearest, or to the border."""
    (x, y), u = scene.plane, scene.numbers
    first = torch.full_like(x, 1e9)
    second = first.clone()
    for left, below in scene.moving_points(POINTS):
        distance = (x - left).square() + (y - below).square()
        second = torch.minimum(second, torch.maximum(first, distance))
        first = torch.minimum(first, distance)
    first, second = first.sqrt(), second.sqrt()
    return torch.where(u["border"] > 0.5, torch.tanh(4.0 * (second - first)), first)


def escape_time(scene: Scene) -> Tensor:
    """Julia sets: smooth number of steps of z <- z^2 + c until |z| > 4, at most 24."""
    (x, y), u = scene.plane, scene.numbers
    turn = u["angle"] + 0.05 * scene.time
    left, below = u["radius"] * torch.cos(turn), u["radius"] * torch.sin(turn)
    steps = torch.zeros_like(x)
    for _ in range(24):
        square_x, square_y = x * x, y * y
        size = square_x + square_y
        steps += torch.clamp(2.0 - torch.log2(size + 1.0) / 4.0, 0.0, 1.0)  # 1 within, 0 far outside
        y = (2.0 * x * y + below).clamp_(-100.0, 100.0)
        x = (square_x - square_y + left).clamp_(-100.0, 100.0)
    return steps


def orbit_folds(scene: Scene) -> Tensor:
    """Folds p <- |p| / (p . p) - c, and how near the orbit comes to itself; seven steps."""
    (x, y), u = scene.plane, scene.numbers
    c = u["offset"] + 0.05 * torch.sin(scene.time)
    total, before = torch.zeros_like(x), torch.zeros_like(x)
    for _ in range(7):
        square = x * x + y * y + 0.01
        x, y = x.abs() / square - c, y.abs() / square - c
        size = torch.sqrt(x * x + y * y)
        total += torch.exp(-u["sharpness"] * (size - before).abs())
        before = size
    return total


def moire(scene: Scene) -> Tensor:
    """The product of two fine gratings, one of circles, one of lines or circles elsewhere."""
    (x, y), t, u = scene.plane, scene.time, scene.numbers
    rate = u["lines_per_unit"] * 2.0 * math.pi
    first = torch.sin(rate * torch.hypot(x - 0.3 * torch.sin(t), y))
    second = torch.hypot(x + u["distance"], y - 0.2)
    second = torch.where(u["circles"] > 0.5, second, 0.8 * x + 0.6 * y)
    return first * torch.sin(rate * u["ratio"] * second)


def network(scene: Scene) -> Tensor:
    """A compositional pattern-producing network (Stanley 2007): two layers of eight smooth units."""
    (x, y), u = scene.plane, scene.numbers
    inputs = torch.stack([x, y, torch.hypot(x, y), torch.sin(0.5 * scene.time).expand_as(x)], dim=1)
    weights = 2.0 * scene.lattice.flatten(1)  # (b, 4096), used once each
    hidden = inputs.flatten(2)  # (b, 4, F * T)
    sizes, start = (4, 8, 8, 1), 0
    for fan_in, fan_out in pairwise(sizes):
        layer = weights[:, start : start + fan_out * fan_in].unflatten(1, (fan_out, fan_in))
        start += fan_out * fan_in
        hidden = (layer * u["gain"]) @ hidden
        if fan_out > 1:
            half = fan_out // 2
            hidden = torch.cat([torch.sin(2.0 * hidden[:, :half]), torch.tanh(hidden[:, half:])], dim=1)
    return hidden.reshape(x.shape)


def solids(scene: Scene) -> Tensor:
    """Spheres, rounded boxes or tori, repeated and marched to in 28 steps, lit by one lamp and fog."""
    (x, y), u = scene.plane, scene.numbers
    scale = torch.rsqrt(x * x + y * y + 2.25)
    ray = (x * scale, y * scale, 1.5 * scale)
    eye, period = 0.6 * scene.time, u["period"]

    def distance(depth: Tensor) -> Tensor:
        a, b = (
            torch.remainder(ray[axis] * depth + shift, period) - period / 2.0
            for axis, shift in ((0, u["shift"]), (1, 0.5 * u["shift"]))
        )
        c = torch.remainder(ray[2] * depth + eye, period) - period / 2.0
        squares = (a * a + b * b, c * c)
        ball = torch.sqrt(squares[0] + squares[1]) - u["radius"]
        box = torch.maximum(torch.maximum(a.abs(), b.abs()), c.abs()) - 0.8 * u["radius"]
        ring = torch.hypot(torch.sqrt(squares[0] + TINY) - u["radius"], c) - 0.35 * u["radius"]
        return torch.where(u["solid"] < 1.0, ball, torch.where(u["solid"] < 2.0, box, ring))

    depth = torch.full_like(x, 0.2)
    for _ in range(28):
        depth = depth + 0.9 * distance(depth)
    lit = (distance(depth - 0.15) - distance(depth)).clamp(
        -0.3, 0.3
    )  # 0.15 where faced, 0 where grazed
    return (0.1 + 5.0 * lit) * torch.exp(-0.12 * depth.clamp(0.0, 40.0))


def shapes(scene: Scene) -> Tensor:
    """Contour lines of the distance to five circles and squares that melt into each other."""
    (x, y), t, u = scene.plane, scene.time, scene.numbers
    total = torch.zeros_like(x)
    for number, (left, below) in enumerate(scene.moving_points(5)):
        a, b = (x - left).abs(), (y - below).abs()
        away = torch.maximum(a, b) if number % 2 else torch.hypot(a, b)
        total += torch.exp(-u["hardness"] * (away - u["radius"]))
    away = -torch.log(total + 1e-12) / u["hardness"]
    lines = torch.cos(2.0 * math.pi * u["lines_per_unit"] * away - t)
    return torch.where(away < 0.0, -1.0, 1.0) * (1.0 - torch.exp(-4.0 * away.abs())) + 0.4 * lines


Family = Callable[[Scene], Tensor]
Ranges = dict[str, tuple[float, float]]

FAMILIES: dict[str, tuple[Family, Ranges]] = {
    "plasma": (plasma, {"waves_per_unit": (0.2, 1.5), "ratio": (0.4, 2.0), "centre": (-1.0, 1.0)}),
    "warped_noise": (warped_noise, {"cells_per_unit": (0.6, 2.5), "displacement": (0.3, 2.0)}),
    "interference": (interference, {"rings_per_unit": (0.5, 3.0)}),
    "tunnel": (tunnel, {"depth": (0.3, 1.5), "ribs": (1.0, 9.0), "twist": (-2.0, 2.0)}),
    "metaballs": (metaballs, {"radius": (0.3, 0.7), "contours": (0.0, 0.5)}),
    "truchet": (truchet, {"tiles_per_unit": (1.5, 5.0), "half_width": (0.05, 0.25)}),
    "voronoi": (voronoi, {"border": (0.0, 1.0)}),
    "escape_time": (escape_time, {"radius": (0.6, 1.0), "angle": (0.0, 2.0 * math.pi)}),
    "orbit_folds": (orbit_folds, {"offset": (0.5, 1.3), "sharpness": (1.0, 6.0)}),
    "moire": (
        moire,
        {
            "lines_per_unit": (3.0, 9.0),
            "ratio": (0.8, 1.2),
            "distance": (0.1, 1.0),
            "circles": (0.0, 1.0),  # above 0.5 both gratings are circles
        },
    ),
    "network": (network, {"gain": (0.6, 1.4)}),
    "solids": (
        solids,
        {
            "period": (1.5, 3.5),
            "radius": (0.25, 0.55),
            "shift": (-0.3, 0.3),
            "solid": (0.0, 3.0),  # below 1 balls, below 2 boxes, else rings
        },
    ),
    "shapes": (shapes, {"radius": (0.2, 0.6), "hardness": (4.0, 16.0), "lines_per_unit": (0.5, 4.0)}),
}
