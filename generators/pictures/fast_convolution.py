"""3 x 3 convolutions with few multiplications: Toom-Cook tiles for the large layers of a CPU.

Convolutions with random dense kernels are nearly all of an untrained StyleGAN's cost. Winograd's
minimal filtering (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016) makes a
4 x 4 tile of outputs with 36 products a pair of channels instead of 144, as 36 matrix products. One
picture at a time, channels last ``(H, W, C)``: every transform is a product over contiguous rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

TILE = 4  # outputs a side of a tile
TILE_UP = 4  # input positions a side of a tile, transposed convolution
TILES_AT_ONCE = 128  # few enough that a strip stays in a core's cache, enough to use the weights
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)


@lru_cache(maxsize=4)
def toom_cook(outputs: int, taps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Matrices A ``(outputs, n)``, G ``(n, taps)``, B ``(n, n)`` of minimal filtering, float64.

    With n = outputs + taps - 1, the correlation of n inputs d with ``taps`` weights g is
    A ((G g) * (B d)): polynomials are multiplied by their values at n points, of which the last is
    infinity, and a correlation is the transpose of that.
    """
    count = outputs + taps - 1

    def values(length: int) -> Tensor:
        rows = [[point**power for power in range(length)] for point in POINTS[: count - 1]]
        return torch.tensor([*rows, [0.0] * (length - 1) + [1.0]], dtype=torch.float64)

    return values(outputs).T, values(taps), torch.linalg.inv(values(count)).T


def along_both(rows: Tensor, columns: Tensor) -> Tensor:
    """One float32 matrix that applies ``rows`` and ``columns`` to the axes of flattened tiles."""
    return torch.kron(rows, columns).float()


def framed(picture: Tensor, scale: Tensor, height: int, width: int) -> Tensor:
    """``(H, W, C)`` times ``scale`` at row and column 1 of zeros ``(height, width, C)``."""
    rows, columns, channels = picture.shape
    canvas = picture.new_empty(height, width, channels)
    torch.mul(picture, scale, out=canvas[1 : rows + 1, 1 : columns + 1])
    for border in (canvas[:1], canvas[rows + 1 :], canvas[:, :1], canvas[:, columns + 1 :]):
        border.zero_()
    return canvas


def strips(
    padded: Tensor, side: int, step: int, tiles: tuple[int, int]
) -> Iterator[tuple[int, Tensor]]:
    """Patches of ``side`` x ``side`` every ``step``: (first tile row, ``(side * side, n * C)``)."""
    down, across = tiles
    at_once = max(1, TILES_AT_ONCE // across)
    channels = padded.shape[2]
    line, column, _ = padded.stride()
    for first in range(0, down, at_once):
        rows = min(at_once, down - first)
        patches = padded.as_strided(
            (side, side, rows, across, channels),
            (line, column, step * line, step * column, 1),
            padded.storage_offset() + first * step * line,
        )
        yield first, patches.reshape(side * side, -1)


# ---------------------------------------------------------------------------------------------------
# Convolution, stride 1


def transform_weights(weights: Tensor) -> Tensor:
    """Kernels ``(O, C, 3, 3)`` made ready for :func:`convolve`: ``(36, C, O)``."""
    gain = toom_cook(TILE, 3)[1]
    flat = weights.permute(2, 3, 1, 0).reshape(9, -1)
    return (along_both(gain, gain) @ flat).view(-1, weights.shape[1], weights.shape[0])


def convolve(picture: Tensor, scale: Tensor, transformed: Tensor, gain: Tensor) -> Tensor:
    """Correlation of ``(H, W, C)``, zeros outside: ``(H, W, O)``.

    Input channels are multiplied by ``scale`` ``(C,)``, output channels by ``gain`` ``(O,)``.
    """
    height, width, channels = picture.shape
    down, across = -(-height // TILE), -(-width // TILE)
    side, outputs = TILE + 2, transformed.shape[2]
    padded = framed(picture, scale, down * TILE + 2, across * TILE + 2)
    after, _, before = toom_cook(TILE, 3)
    before, after = along_both(before, before), along_both(after, after)
    out = picture.new_empty(down, TILE, across, TILE, outputs)
    for first, patches in strips(padded, side, TILE, (down, across)):
        values = (before @ patches).view(side * side, -1, channels)  # (36, n, C)
        products = torch.bmm(values, transformed).view(side * side, -1)
        made = (after @ products).view(TILE, TILE, -1, across, outputs)
        strip = out[first : first + made.shape[2]]
        torch.mul(made.permute(2, 0, 3, 1, 4), gain, out=strip)
    return out.view(down * TILE, across * TILE, outputs)[:height, :width]


# ---------------------------------------------------------------------------------------------------
# Transposed convolution, stride 2


class TransposedWeights(NamedTuple):
    """Kernels made ready, by the parity of the output's row and column.

    An even output position sees two taps, an odd one a single tap, which needs no transform.
    """

    even_even: Tensor  # (25, C, O)
    even_odd: Tensor  # (5, C, O)
    odd_even: Tensor  # (5, C, O)
    odd_odd: Tensor  # (C, O)


def transform_transposed(weights: Tensor) -> TransposedWeights:
    """Kernels ``(O, C, 3, 3)`` made ready for :func:`convolve_transposed`."""
    gain = toom_cook(TILE_UP, 2)[1]
    taps = weights.permute(2, 3, 1, 0).contiguous()  # (3, 3, C, O)
    two = taps[[2, 0]]  # position m sees input m - 1 by the last tap and input m by the first

    def ready(matrix: Tensor, kernels: Tensor) -> Tensor:
        return (matrix @ kernels.reshape(matrix.shape[1], -1)).view(-1, *taps.shape[2:])

    return TransposedWeights(
        ready(along_both(gain, gain), two[:, [2, 0]]),
        ready(gain.float(), two[:, 1]),
        ready(gain.float(), taps[1, [2, 0]]),
        taps[1, 1].contiguous(),
    )


def convolve_transposed(picture: Tensor, scale: Tensor, weights: TransposedWeights) -> Tensor:
    """Transposed convolution of ``(H, W, C)``, channels scaled by ``scale`` ``(C,)``.

    Its ``(2 H + 1, 2 W + 1, O)``, and zeros below and to the right up to whole tiles.
    """
    height, width, channels = picture.shape
    tile, side = TILE_UP, TILE_UP + 1
    down, across = -(-(height + 1) // tile), -(-(width + 1) // tile)
    outputs = weights.odd_odd.shape[1]
    padded = framed(picture, scale, down * tile + 1, across * tile + 1)
    after, _, before = toom_cook(tile, 2)
    here = torch.eye(side, dtype=torch.float64)[1:]  # an odd position m sees input m only
    # rows: 25 of even-even, 5 x 4 even-odd, 5 x 4 odd-even with the point first, 16 odd-odd
    odd_even = torch.kron(here, before).view(tile, side, -1).transpose(0, 1).reshape(tile * side, -1)
    matrix = torch.cat([torch.kron(before, before), torch.kron(before, here), odd_even])
    matrix = torch.cat([matrix, torch.kron(here, here)]).float()
    both, one = along_both(after, after), after.float()
    out = picture.new_empty(down, tile, 2, across, tile, 2, outputs)
    for first, patches in strips(padded, side, tile, (down, across)):
        parts = (matrix @ patches).split([side * side, side * tile, side * tile, tile * tile])
        strip = out[first : first + patches.shape[1] // (across * channels)]
        even_even = torch.bmm(parts[0].view(side * side, -1, channels), weights.even_even)
        made = (both @ even_even.view(side * side, -1)).view(tile, tile, -1, across, outputs)
        strip[:, :, 0, :, :, 0] = made.permute(2, 0, 3, 1, 4)
        even_odd = torch.bmm(parts[1].view(side, -1, channels), weights.even_odd)
        made = (one @ even_odd.view(side, -1)).view(tile, tile, -1, across, outputs)
        strip[:, :, 0, :, :, 1] = made.permute(2, 0, 3, 1, 4)
        odd_even = torch.bmm(parts[2].view(side, -1, channels), weights.odd_even)
        made = (one @ odd_even.view(side, -1)).view(tile, tile, -1, across, outputs)
        strip[:, :, 1, :, :, 0] = made.permute(2, 1, 3, 0, 4)  # columns come first here
        odd_odd = parts[3].view(-1, channels) @ weights.odd_odd
        strip[:, :, 1, :, :, 1] = odd_odd.view(tile, tile, -1, across, outputs).permute(2, 0, 3, 1, 4)
    return out.view(2 * down * tile, 2 * across * tile, outputs)
