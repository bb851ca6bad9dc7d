"""What an untrained StyleGAN of wavelets is made of: 3 x 3 kernels, pink noise, envelopes."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

DRAWING = 11  # side of the step and line images that are rotated


def rotated_centre(image: Tensor, degrees: float) -> Tensor:
    """The central 3 x 3 of a square image turned about its centre, bilinear, float64."""
    side = image.shape[0]
    middle = (side - 1) / 2.0
    offset = torch.arange(-1.0, 2.0, dtype=torch.float64)
    y, x = torch.meshgrid(offset, offset, indexing="ij")
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    places = torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=-1) / middle
    return F.grid_sample(image[None, None], places[None], align_corners=True)[0, 0]


@lru_cache(maxsize=2)
def wavelet_bank(signed: bool) -> Tensor:
    """Forty 3 x 3 wavelets, float32 ``(40, 3, 3)`` (spec 5.3).

    ``signed``: the signs of edges at 16 orientations over the full turn; else edges at 8 orientations
    over the half turn and their negatives. Both: lines at 8 orientations, a point, a centre against its
    surround, a plus, a plus with negative corners, and the negatives of these. Edges have no mean by
    their symmetry. The others keep theirs: without it every layer loses what it saw of low frequencies,
    and pictures are half as steep in spectrum as the reference's (spec 8.2).
    """
    column = torch.arange(DRAWING, dtype=torch.float64) - DRAWING // 2
    step = (-column.sign()).expand(DRAWING, DRAWING)
    line = torch.where(column == 0.0, -1.0, 1.0).double().expand(DRAWING, DRAWING)
    lines = torch.stack([rotated_centre(line, 180.0 * i / 8) for i in range(8)])
    point = torch.zeros(3, 3, dtype=torch.float64)
    point[1, 1] = 1.0
    plus = torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    others = torch.cat([lines, torch.stack([point, 2.0 * point - 1.0, plus, 2.0 * plus - 1.0])])
    if signed:
        edges = torch.stack([rotated_centre(step, 360.0 * i / 16) for i in range(16)])
        # rounded first: the middle of a turned edge is zero up to the rounding of a sine
        return torch.cat([edges.round(decimals=9).sign(), others, -others]).float()
    half = torch.cat([torch.stack([rotated_centre(step, 180.0 * i / 8) for i in range(8)]), others])
    return torch.cat([half, -half]).float()


@lru_cache(maxsize=32)
def log_radii(height: int, width: int) -> tuple[Tensor, Tensor]:
    """ln r of frequencies k and -k, float32 ``(H, W // 2 + 1)`` each; see :func:`pink_maps`."""
    down = 2.0 * height * torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    across = 2.0 * width * torch.fft.rfftfreq(width, dtype=torch.float64)
    near, far = (
        torch.hypot((down + side) / max(1, height - 1), (across + side) / max(1, width - 1))
        for side in (1.0, -1.0)
    )
    return near.log().float(), far.log().float()


def pink_maps(white: Tensor, exponent: Tensor) -> Tensor:
    """Noise of magnitude 1 / r^exponent, mean 0 and deviation 1: ``(B, H, W)`` of white.

    ``exponent`` is ``(B,)``. r is measured on a grid from -1 to 1 with both ends (spec 5.3), which has
    no zero for an even side: frequency k lies at 2 k + 1. Making the spectrum Hermitian then mixes k
    with -k, so their powers are averaged here.
    """
    height, width = white.shape[-2:]
    near, far = (log.to(white.device) for log in log_radii(height, width))
    slope = -2.0 * exponent.to(white)[:, None, None]
    gain = torch.exp_(slope * near).add_(torch.exp_(slope * far)).sqrt_()
    maps: Tensor = torch.fft.irfft2(torch.fft.rfft2(white) * gain, s=(height, width))
    deviation, mean = torch.std_mean(maps, dim=(1, 2), correction=0, keepdim=True)
    return maps.sub_(mean).div_(deviation.clamp_min(torch.finfo(maps.dtype).tiny))


@lru_cache(maxsize=32)
def lanczos(source: int, target: int) -> Tensor:
    """Weights ``(target, source)``, float32, of an enlargement by the Lanczos kernel of three lobes."""
    centre = (torch.arange(target, dtype=torch.float64) + 0.5) * (source / target) - 0.5
    distance = centre[:, None] - torch.arange(source, dtype=torch.float64)
    weight = torch.sinc(distance) * torch.sinc(distance / 3.0) * (distance.abs() < 3.0)
    return (weight / weight.sum(dim=1, keepdim=True)).float()


def enlarge(coarse: Tensor, height: int, width: int) -> Tensor:
    """``(B, h, w)`` enlarged to ``(B, height, width)`` by :func:`lanczos`."""
    down = lanczos(coarse.shape[-2], height).to(coarse.device)
    across = lanczos(coarse.shape[-1], width).to(coarse.device)
    return down @ coarse @ across.T


def to_peak_one(envelopes: Tensor) -> Tensor:
    """Envelopes ``(B, height, width)``, each over its largest magnitude."""
    return envelopes / envelopes.abs().amax(dim=(1, 2), keepdim=True)


def laplace(uniform: Tensor) -> Tensor:
    """Laplace(0, 1) of U(0, 1), by the inverse of its distribution; float32 of the same shape."""
    centred = uniform.double() - 0.5
    return (-centred.sign() * torch.log1p(-2.0 * centred.abs())).float()
