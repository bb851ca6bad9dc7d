"""Diamond-square: fractal clouds by displacing midpoints, ever less at ever finer scales."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..base import Draws, Source, white_noise
from ..dsp import in_chunks
from .fields import GreyField, Range, check_range, stretch


@dataclass(kw_only=True)
class DiamondSquare(GreyField, Source, name="diamond_square"):
    """Midpoint displacement on squares (Fournier, Fussell, Carpenter 1982).

    Displacements of level k = 1, 2, ... are uniform within 0.5 exp(decay (1 - k)), corners uniform
    within [0, 1): the law of the backgrounds of Anderson and Farrell (WACV 2022). With H = decay /
    ln 2 power falls about as f^-(2 H + 2). The coarsest squares have the smallest power of two that
    is at least the canvas's shorter side; as many as the longer side needs lie side by side. A random
    window is shown, from its smallest value (0) to its largest (1).
    """

    kind = "picture"
    family = "texture field"
    citation = "Fournier, Fussell, Carpenter 1982, Communications of the ACM 25(6)"
    speed = "fast"
    needs = "nothing"

    decay: Range = (0.4, 0.8)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("decay", self.decay, 0.0, 5.0)

    @property
    def square(self) -> int:
        """Side of the coarsest squares in pixels, a power of two."""
        return 1 << math.ceil(math.log2(min(self.height, self.width)))

    @property
    def squares(self) -> tuple[int, int]:
        """Coarsest squares along frequency and along time."""
        return math.ceil(self.height / self.square), math.ceil(self.width / self.square)

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """The decay, the window's first row and column in pixels, the key of the noise: ``(B,)``."""
        draws, (rows, columns) = Draws(self.seed, indices), self.squares
        return {
            "decay": draws.uniform("decay", *self.decay),
            "row": draws.integers("row", 0, rows * self.square + 1 - self.height),
            "column": draws.integers("column", 0, columns * self.square + 1 - self.width),
            "noise_key": draws.keys("noise"),
        }

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Pictures ``(B, F, T)`` in [0, 1], float32 on ``device``."""
        rows, columns = (count * self.square + 1 for count in self.squares)

        def grow(drawn: dict[str, Tensor]) -> Tensor:
            noise = white_noise(drawn["noise_key"].to(device), rows * columns, device)
            return displace(noise, drawn["decay"].to(device), self.squares, self.square)

        # single products and sums only, so a batch on a CPU rounds as one sample does
        grid = in_chunks(grow, parameters, device, on_cpu=8)
        return super().render({**parameters, "grid": grid}, device)

    def paint(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """Windows ``(B, F, T)`` of the displaced grids."""
        corners = zip(drawn["grid"], drawn["row"].tolist(), drawn["column"].tolist(), strict=True)
        windows = [grid[row:, column:][: self.height, : self.width] for grid, row, column in corners]
        return stretch(torch.stack(windows))

    def tell(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """Decay per level, the Hurst exponent it means, and the window's place in pixels."""
        return {
            "decay_per_level": drawn["decay"],
            "hurst_exponent": drawn["decay"] / math.log(2.0),
            "window_row_px": drawn["row"],
            "window_column_px": drawn["column"],
        }


def displace(noise: Tensor, decay: Tensor, squares: tuple[int, int], side: int) -> Tensor:
    """Grids ``(B, rows * side + 1, columns * side + 1)``, float32, of ``squares`` (rows, columns).

    ``noise`` (B, points of the grid), uniform on [-1, 1), is used up from the left: corners, then the
    centres, the midpoints of level edges and those of upright edges of each level. ``decay`` (B,) is
    per level. A midpoint on the border has three neighbours, any other four.
    """
    rows, columns = squares
    grid = noise.new_zeros(len(noise), rows * side + 1, columns * side + 1)
    used = 0

    def take(height: int, width: int) -> Tensor:
        nonlocal used
        used += height * width
        return noise[:, used - height * width : used].view(-1, height, width)

    def midpoints(ends: Tensor, centres: Tensor, axis: int) -> Tensor:
        # ends: sums of two along the edge; centres lie on both sides of an edge, but at the border
        total = ends.clone()
        inner = total.shape[axis] - 1
        total.narrow(axis, 0, inner).add_(centres)
        total.narrow(axis, 1, inner).add_(centres)
        total.narrow(axis, 1, inner - 1).mul_(0.25)
        for border in (0, inner):
            total.narrow(axis, border, 1).div_(3.0)
        return total

    grid[:, ::side, ::side] = take(rows + 1, columns + 1) * 0.5 + 0.5
    step, level = side, 1
    while step > 1:
        half = step // 2
        amplitude = (0.5 * torch.exp(decay * (1 - level))).float()[:, None, None]
        corner = grid[:, ::step, ::step]
        pairs = corner[:, :, 1:] + corner[:, :, :-1]  # (B, rows + 1, columns)
        stacks = corner[:, 1:] + corner[:, :-1]
        centre = (pairs[:, 1:] + pairs[:, :-1]).mul_(0.25).add_(take(rows, columns) * amplitude)
        level_edges = midpoints(pairs, centre, 1).add_(take(rows + 1, columns) * amplitude)
        upright_edges = midpoints(stacks, centre, 2).add_(take(rows, columns + 1) * amplitude)
        grid[:, half::step, half::step] = centre
        grid[:, ::step, half::step] = level_edges
        grid[:, half::step, ::step] = upright_edges
        rows, columns, step, level = 2 * rows, 2 * columns, half, level + 1
    return grid
