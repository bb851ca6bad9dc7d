"""Colour statistics: a random palette's histograms, and axes in which its channels do not covary.

After the colour model of Baradad et al. (2021), section 3.3: stripes of random colours in reading
order, blurred, are the reference picture. All of it is drawn on the CPU for a whole batch ``B``; sums
are of whole numbers, so that they are exact and do not depend on the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..base import Draws
from .conversion import LUMA
from .marginals import quantile_table

FEWEST, MOST = 3, 22  # colours of a palette: 3 + floor(20 U)
WIDEST_BLUR = 10  # pixels
HISTOGRAM = 256
CELLS = 8  # parts of a pixel row that the reference picture is computed in


def draw_palette(draws: Draws, height: int, width: int) -> dict[str, Tensor]:
    """Number of colours, blur ``(B,)``; colours 0 to 255 ``(B, 22, 3)``; ends of stripes ``(B, 22)``.

    A stripe's pixels are multinomial with proportions 0.001 + U; the normal approximation is drawn,
    with the same mean and covariance.
    """
    pixels = height * width
    count = draws.integers("colours", FEWEST, MOST)
    weight = 0.001 + draws.uniform("proportions", 0.0, 1.0, MOST)
    weight = weight * (torch.arange(MOST) < count[:, None])
    share = weight / weight.sum(dim=1, keepdim=True)
    chance = share.sqrt() * draws.normal("stripes", MOST)
    chance = chance - share * chance.sum(dim=1, keepdim=True)
    length = (pixels * share + pixels**0.5 * chance).clamp_min(0.0)
    end = length.cumsum(dim=1) / length.sum(dim=1, keepdim=True) * pixels
    return {
        "colours": count,
        "palette": draws.integers("palette", 0, 255, MOST, 3),
        "stripe_end": end.round().long(),
        "blur": draws.integers("blur", 1, WIDEST_BLUR),  # ceil(10 U)
    }


def reference_colours(drawn: dict[str, Tensor], height: int, width: int) -> Tensor:
    """Colours of the reference picture in whole steps of 0 to 255: float64 ``(B, cells, 3)``.

    A cell is an eighth of a pixel row. The box blur is exact between rows; within a row it would only
    soften the places where a stripe ends inside it, and is left out.
    """
    colour = drawn["palette"].double()
    end = drawn["stripe_end"].double() * CELLS  # so that a cell's border is a whole number
    start = torch.cat([torch.zeros_like(end[:, :1]), end[:, :-1]], dim=1)
    before = torch.zeros_like(colour)  # sum of the colours of all stripes before a stripe
    before[:, 1:] = (colour * (end - start)[..., None]).cumsum(dim=1)[:, :-1]
    border = torch.arange(height * CELLS + 1, dtype=torch.float64) * width
    stripe = torch.searchsorted(end, border.expand(len(end), -1).contiguous())
    stripe.clamp_max_(MOST - 1)
    inside = (border - start.gather(1, stripe))[..., None]
    total = _pick_rows(before, stripe) + _pick_rows(colour, stripe) * inside
    cells = total.diff(dim=1).reshape(len(end), height, CELLS * 3)
    blurred = _blur_rows(cells, drawn["blur"])
    low, high = blurred.flatten(1).amin(dim=1), blurred.flatten(1).amax(dim=1)
    stretched = (blurred - low[:, None, None]) * 255.0 / (high - low).clamp_min(1.0)[:, None, None]
    return stretched.floor().reshape(len(end), height * CELLS, 3)


def _blur_rows(cells: Tensor, sizes: Tensor) -> Tensor:
    """Sums over ``sizes`` ``(B,)`` neighbouring rows of ``(B, rows, C)``; outer rows are repeated."""
    batch, rows, columns = cells.shape
    total = torch.zeros(batch, rows + 1, columns, dtype=cells.dtype)
    torch.cumsum(cells, dim=1, out=total[:, 1:])
    first = torch.arange(rows) - (sizes // 2)[:, None]
    last = first + sizes[:, None]  # one past
    window = _pick_rows(total, last.clamp(0, rows)) - _pick_rows(total, first.clamp(0, rows))
    window += cells[:, :1] * (-first).clamp_min(0)[..., None]
    window += cells[:, -1:] * (last - rows).clamp_min(0)[..., None]
    return window


def _pick_rows(values: Tensor, rows: Tensor) -> Tensor:
    """Rows ``(B, n)`` of ``(B, rows, C)``: ``(B, n, C)``."""
    batch, count, columns = values.shape
    flat = (rows + torch.arange(batch)[:, None] * count).flatten()
    return values.flatten(0, 1).index_select(0, flat).reshape(batch, -1, columns)


def colour_axes(reference: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Rotation ``(B, 3, 3)`` into decorrelated channels, and mean ``(B, 3)``, of ``(B, cells, 3)``.

    The rotation is the matrix whose columns are the eigenvectors of the covariance, *not transposed*,
    as in the released program: orthogonal, though not to principal axes. An eigenvector's sign is
    arbitrary; it is drawn, so that it does not depend on the machine's algebra.
    """
    count = reference.shape[1]
    mean = reference.sum(dim=1) / count
    moment = reference.transpose(1, 2) @ reference / count
    vectors = torch.linalg.eigh(moment - mean[:, :, None] * mean[:, None, :])[1]
    largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))  # (B, 1, 3)
    sign = draws.integers("axis_sign", 0, 1, 1, 3) * 2 - 1
    return vectors * largest.sign() * sign, mean


def decorrelate(reference: Tensor, rotation: Tensor, mean: Tensor) -> Tensor:
    """Decorrelated channels ``(B, 3, cells)`` of colours ``(B, cells, 3)``."""
    centred = (reference - mean[:, None]).transpose(1, 2)[:, None]  # (B, 1, 3, cells)
    return (rotation[..., None] * centred).sum(dim=2)


def luma(reference: Tensor) -> Tensor:
    """One grey channel ``(B, 1, cells)`` of colours ``(B, cells, 3)``."""
    return (reference * torch.tensor(LUMA, dtype=torch.float64)).sum(dim=2)[:, None]


def histogram_table(channels: Tensor) -> Tensor:
    """Quantiles ``(B, C, table)`` of the 256-bin histograms of channels float64 ``(B, C, cells)``."""
    batch, kinds, count = channels.shape
    rows = channels.flatten(0, 1)
    low = rows.amin(dim=1, keepdim=True)
    width = (rows.amax(dim=1, keepdim=True) - low).clamp_min(1e-9)
    bins = ((rows - low) * (HISTOGRAM / width)).long().clamp_max_(HISTOGRAM - 1)
    mass = torch.zeros(batch * kinds, HISTOGRAM, dtype=torch.float64)
    mass.scatter_add_(1, bins, torch.ones_like(rows))
    cumulative = torch.zeros(batch * kinds, HISTOGRAM + 1, dtype=torch.float64)
    torch.cumsum(mass, dim=1, out=cumulative[:, 1:])
    step = torch.arange(HISTOGRAM + 1, dtype=torch.float64) / HISTOGRAM
    return quantile_table(cumulative / count, low + width * step).unflatten(0, (batch, kinds))
