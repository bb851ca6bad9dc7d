"""Wallpaper groups: their lattices, their rotations and mirrors, and random fields that obey them.

Lattice coordinates (u, v) of a point are its position u a + v b in the lattice's basis. A group's
translations are all whole (u, v); its other elements are whole-number matrices acting on (u, v), about
the origin. ``B`` counts samples, ``G`` elements (at most 6), ``K`` harmonics.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Group = Literal["p1", "p2", "pmm", "p4", "p6"]
Matrix = tuple[tuple[int, int], tuple[int, int]]

GROUPS: tuple[Group, ...] = ("p1", "p2", "pmm", "p4", "p6")
ELEMENTS: dict[Group, tuple[Matrix, ...]] = {
    "p1": (((1, 0), (0, 1)),),
    "p2": (((1, 0), (0, 1)), ((-1, 0), (0, -1))),
    "pmm": (((1, 0), (0, 1)), ((-1, 0), (0, -1)), ((-1, 0), (0, 1)), ((1, 0), (0, -1))),
    "p4": (((1, 0), (0, 1)), ((0, -1), (1, 0)), ((-1, 0), (0, -1)), ((0, 1), (-1, 0))),
    "p6": (  # a turn of 60 degrees takes a to b and b to b - a
        *(((1, 0), (0, 1)), ((0, -1), (1, 1)), ((-1, -1), (1, 0))),
        *(((-1, 0), (0, -1)), ((0, 1), (-1, -1)), ((1, 1), (-1, 0))),
    ),
}
REACH = 2  # harmonics up to this order along each lattice axis
HARMONICS = tuple(  # one of each pair (m, n), (-m, -n), without (0, 0)
    (m, n) for m in range(REACH + 1) for n in range(-REACH, REACH + 1) if m > 0 or n > 0
)


def element_table(group: Tensor) -> tuple[Tensor, Tensor]:
    """Elements of groups (B,), by number: float64 ``(B, G, 2, 2)``, the identity where there are
    fewer than 6, and their weights ``(B, G)``, 1 over the root of the number of elements, else 0.
    """
    most = max(map(len, ELEMENTS.values()))
    matrices = torch.eye(2, dtype=torch.float64).repeat(len(GROUPS), most, 1, 1)
    weights = torch.zeros(len(GROUPS), most, dtype=torch.float64)
    for number, name in enumerate(GROUPS):
        count = len(ELEMENTS[name])
        matrices[number, :count] = torch.tensor(ELEMENTS[name], dtype=torch.float64)
        weights[number, :count] = 1.0 / math.sqrt(count)
    return matrices.to(group.device)[group], weights.to(group.device)[group]


def symmetric_waves(group: Tensor, amplitudes: Tensor) -> tuple[Tensor, Tensor]:
    """Plane waves of a random field that obeys its group.

    ``amplitudes`` (B, K, 3, 2): cosine and sine of each harmonic, of the two components of a
    displacement and of one scalar. Averaging over the elements M, d(x) = sum M^-1 d0(M x), makes the
    displacement turn with the pattern, d(M x) = M d(x), and leaves the scalar unchanged by M.

    Returns wave vectors in cycles per lattice step, float64 ``(B, G * K, 2)``, and amplitudes
    ``(B, G * K, 3, 2)``.
    """
    matrices, weights = element_table(group)
    harmonics = torch.tensor(HARMONICS, dtype=torch.float64, device=group.device)  # (K, 2)
    vectors = torch.einsum("kj,bgji->bgki", harmonics, matrices)
    turned = torch.einsum("bgij,bkjc->bgkic", torch.linalg.inv(matrices), amplitudes[:, :, :2])
    scalar = amplitudes[:, None, :, 2:].expand(-1, matrices.shape[1], -1, -1, -1)
    both = torch.cat([turned, scalar], dim=3) * weights[..., None, None, None]
    return vectors.flatten(1, 2), both.flatten(1, 2)


def sum_of_waves(
    vectors: Tensor, phases: Tensor, amplitudes: Tensor, canvas: tuple[int, int]
) -> Tensor:
    """Sums of plane waves at the pixels: float32 ``(B, C, F, T)``.

    ``vectors`` (B, K, 2) are in cycles per pixel along time and along frequency, ``phases`` (B, K) in
    cycles at pixel (0, 0), ``amplitudes`` (B, K, C, 2) of cosine and sine. With the phase parted by
    axis, cos(r + c) = cos r cos c - sin r sin c, the sum is one product of matrices.
    """
    height, width = canvas

    def turns(count: int, step: Tensor, start: Tensor | float) -> Tensor:
        number = torch.arange(count, dtype=torch.float64, device=step.device)
        cycles = number[:, None] * step[:, None] + start  # (B, n, K)
        return ((cycles - cycles.floor()) * (2.0 * math.pi)).float()

    row, column = turns(height, vectors[..., 1], phases[:, None]), turns(width, vectors[..., 0], 0.0)
    cosine, sine = amplitudes.float().permute(3, 0, 2, 1)[:, :, :, None]  # (B, C, 1, K) each
    row_cosine, row_sine = row.cos()[:, None], row.sin()[:, None]
    left = torch.cat(  # (B, C, F, 2K)
        [cosine * row_cosine + sine * row_sine, sine * row_cosine - cosine * row_sine], dim=3
    )
    right = torch.cat([column.cos(), column.sin()], dim=2)  # (B, T, 2K)
    summed = left.flatten(1, 2) @ right.transpose(1, 2)
    return summed.view(len(row), -1, height, width)
