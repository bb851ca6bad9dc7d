"""Shapes of leaves: four integer corners, or a radius, and the interval each covers on a pixel row.

``L`` counts leaves of all pictures of a batch, ``R`` pairs (leaf, pixel row). Coverage rule: on each
row a shape covers the columns between its leftmost and rightmost crossing, rounded to the nearest
pixel (halves outwards), both ends included.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SHAPES = ("circle", "square", "oriented_square", "rectangle", "triangle", "quadrilateral")
CIRCLE, SQUARE, ORIENTED, RECTANGLE, TRIANGLE, QUADRILATERAL = range(6)


def corners(leaves: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Integer corners x and y relative to the centre, each float32 ``(4, L)``; unused for circles.

    A triangle repeats its last corner. Truncation is towards zero, of the offset for axis-parallel
    squares and of centre + offset for all others.
    """
    kind, radius = leaves["kind"], leaves["radius"].double()
    half = (radius * math.sqrt(0.5)).trunc().float()
    if "angles" not in leaves:
        return torch.stack([-half, half, half, -half]), torch.stack([-half, -half, half, half])
    turn = leaves["angles"]  # (L, 1 or 4) in turns
    if turn.shape[1] == 1:
        angle = torch.stack([turn[:, 0] + quarter for quarter in (0.125, 0.375, 0.625, 0.875)])
    else:
        angle = _mixed_angles(kind, turn)
    angle = angle * (2.0 * math.pi)
    x = ((angle.cos() * radius + leaves["x"]).trunc() - leaves["x"]).float()
    y = ((angle.sin() * radius + leaves["y"]).trunc() - leaves["y"]).float()
    if turn.shape[1] == 4:
        square = kind == SQUARE
        x = torch.where(square, torch.stack([-half, half, half, -half]), x)
        y = torch.where(square, torch.stack([-half, -half, half, half]), y)
    return x, y


def _mixed_angles(kind: Tensor, turn: Tensor) -> Tensor:
    """Directions of the corners of each kind, in turns: float64 ``(4, L)`` from ``(L, 4)`` uniforms."""
    a, b, c, d = turn.unbind(1)
    oriented = torch.stack([a + 0.125, a + 0.375, a + 0.625, a + 0.875])
    rectangle = torch.stack([a / 4.0, 0.5 - a / 4.0, 0.5 + a / 4.0, 1.0 - a / 4.0])
    triangle = torch.stack([a, b, c, c])  # three points on a circle need no order
    low_1, high_1 = torch.minimum(a, b), torch.maximum(a, b)
    low_2, high_2 = torch.minimum(c, d), torch.maximum(c, d)
    first, second = torch.minimum(low_1, low_2), torch.maximum(low_1, low_2)
    third, last = torch.minimum(high_1, high_2), torch.maximum(high_1, high_2)
    sorted_four = torch.stack([first, torch.minimum(second, third), torch.maximum(second, third), last])
    angle = torch.where(kind == RECTANGLE, rectangle, oriented)
    angle = torch.where(kind == TRIANGLE, triangle, angle)
    return torch.where(kind == QUADRILATERAL, sorted_four, angle)


def with_corners(drawn: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leaves ``(B, n)`` with their ``corner_x`` and ``corner_y`` ``(B, n, 4)``.

    On the CPU each picture on its own: a sine may round differently in a longer row of them.
    """
    groups = torch.arange(len(drawn["x"])).split(1)
    if "angles" not in drawn or drawn["x"].device.type != "cpu":
        groups = (torch.arange(len(drawn["x"])),)
    turned = []
    for group in groups:
        part = {key: value[group.to(value.device)].flatten(0, 1) for key, value in drawn.items()}
        turned.append(torch.stack(corners(part), dim=-1))  # (4, leaves, 2)
    x, y = torch.cat(turned, dim=1).unbind(-1)
    shape = (*drawn["x"].shape, 4)
    return drawn | {"corner_x": x.T.reshape(shape), "corner_y": y.T.reshape(shape)}


def pick(values: Tensor, positions: Tensor) -> Tensor:
    """``values[positions]`` of one-dimensional tensors, by the operation that is fast on a CPU."""
    return values.index_select(0, positions)


def spans(leaves: dict[str, Tensor], height: int, width: int) -> tuple[Tensor, ...]:
    """All intervals of all leaves ``(L,)`` on the canvas: int64 ``(R,)`` leaf, row, first column, end.

    The leaves carry their corners ``corner_x`` and ``corner_y`` ``(L, 4)`` (:func:`with_corners`).
    The end is one past the last column; an interval may be empty (end <= first).
    """
    kind, radius, x, y = (leaves[key] for key in ("kind", "radius", "x", "y"))
    corner_x, corner_y = (leaves[key].T.contiguous() for key in ("corner_x", "corner_y"))
    top, bottom = corner_y.amin(0).long(), corner_y.amax(0).long()
    circle = kind == CIRCLE
    top, bottom = torch.where(circle, -radius, top), torch.where(circle, radius, bottom)
    first = (y + top).clamp_min(0)
    rows = ((y + bottom).clamp_max(height - 1) - first + 1).clamp_min(0)
    owner = torch.repeat_interleave(torch.arange(len(x), device=x.device), rows)  # (R,)
    start = first - rows.cumsum(0) + rows
    row = torch.arange(len(owner), device=x.device) + pick(start, owner)
    if "angles" not in leaves:  # axis-parallel squares: corner 0 is top left, corner 2 bottom right
        left, right = corner_x[0].long(), corner_x[2].long()
        return (
            owner,
            row,
            pick((x + left).clamp(0, width), owner),
            pick((x + right + 1).clamp(0, width), owner),
        )
    left, right = crossings(corner_x, corner_y, owner, (row - pick(y, owner)).float())
    if bool(circle.any()):
        square_of_radius = pick((radius * radius).float(), owner)
        chord = (square_of_radius - (row - pick(y, owner)).float() ** 2).sqrt()
        left = torch.where(pick(circle, owner), -chord, left)
        right = torch.where(pick(circle, owner), chord, right)
    centre = pick(x, owner)
    left, right = (left - 0.5).ceil().long() + centre, (right + 0.5).floor().long() + centre + 1
    return owner, row, left.clamp_(0, width), right.clamp_(0, width)


def crossings(corner_x: Tensor, corner_y: Tensor, owner: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Leftmost and rightmost crossing of polygons ``(4, L)`` with rows ``y`` (R,): float32 ``(R,)``.

    Products are of small integers, so every crossing is correctly rounded and ties at half a pixel are
    exact. A level edge contributes its first corner; its neighbours contribute the other.
    """
    along, rise = corner_x.roll(-1, 0) - corner_x, corner_y.roll(-1, 0) - corner_y
    rise = torch.where(rise == 0.0, 1e-3, rise)
    left = torch.full_like(y, 1e6)
    right = -left
    for edge in range(4):
        since = y - pick(corner_y[edge], owner)
        slope = pick(rise[edge], owner)
        share = since / slope
        crossing = since.mul_(pick(along[edge], owner)).div_(slope).add_(pick(corner_x[edge], owner))
        missed = (share < 0.0) | (share > 1.0)
        left = torch.minimum(left, crossing.masked_fill(missed, 1e6))
        right = torch.maximum(right, crossing.masked_fill_(missed, -1e6))
    return left, right
