"""Wavelet marginals: give the bands of a steerable pyramid the heavy tails of natural pictures.

Pyramid: Simoncelli and Freeman (1995), four orientations, in the frequency domain, self-inverting.
Model: Baradad et al. (2021), section 3.3 (WMM). ``P`` counts pictures times channels, ``(h, w)`` is the
size of a level, ``w' = w // 2 + 1``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .marginals import impose_marginals, quantile_table

ORIENTATIONS = 4
EXPONENTS = 64  # steps of the targets' library
HIGHEST = 200.0  # the model's densities live on [-200, 200] in steps of 1/2


@dataclass(frozen=True)
class Pyramid:
    """Frequency responses of a pyramid for pictures of one size, on one device.

    ``bands[l]`` is complex ``(bands, h, w')``: four orientations at half the size of level l - 1, and
    in level 0 the high-pass residual before them; ``adjoint`` has their conjugates. ``low`` ``(H, W')``
    is the power response of what no band holds.
    """

    bands: tuple[Tensor, ...]
    adjoint: tuple[Tensor, ...]
    low: Tensor


@lru_cache(maxsize=4)
def build_pyramid(height: int, width: int, levels: int, device: torch.device) -> Pyramid:
    """The pyramid of pictures whose sides are multiples of ``2 ** levels``."""
    fy = torch.fft.fftfreq(height, dtype=torch.float64)[:, None] * 2.0  # 1 is the Nyquist frequency
    fx = torch.fft.rfftfreq(width, dtype=torch.float64)[None, :] * 2.0
    octave = torch.log2(torch.hypot(fy, fx).clamp_min(1e-12))
    angle = torch.atan2(fy, fx)

    def high(shift: int) -> Tensor:  # raised cosine, one octave wide, 1 above 2^-shift
        return torch.cos(math.pi / 2.0 * (-(octave + shift)).clamp(0.0, 1.0))

    def low(shift: int) -> Tensor:
        return (1.0 - high(shift).square()).clamp_min(0.0).sqrt()

    gain = math.sqrt(2.0**6 * math.factorial(3) ** 2 / (ORIENTATIONS * math.factorial(6)))
    passed, bands = low(0), []
    for level in range(levels):
        turns = [angle - math.pi * k / ORIENTATIONS for k in range(ORIENTATIONS)]
        response = torch.stack([high(level + 1) * passed * gain * turn.cos() ** 3 for turn in turns])
        oriented = torch.complex(torch.zeros_like(response), response)  # (-i)^3 = i: real, odd bands
        if level == 0:
            oriented = torch.cat([high(0).to(oriented.dtype)[None], oriented])
        size = (height >> level, width >> level)
        bands.append(cut(oriented, *size).to(torch.complex64).contiguous().to(device))
        passed = passed * low(level + 1)
    adjoint = tuple(response.conj().resolve_conj() for response in bands)
    return Pyramid(tuple(bands), adjoint, passed.square().float().to(device))


def cut(spectrum: Tensor, height: int, width: int) -> Tensor:
    """The lowest frequencies ``(..., h, w')`` of a half spectrum ``(..., H, W')``."""
    if spectrum.shape[-2] == height:
        return spectrum
    top, bottom = spectrum[..., : height // 2, : width // 2 + 1], spectrum[..., -(height // 2) :, :]
    return torch.cat([top, bottom[..., : width // 2 + 1]], dim=-2)


def by_level(values: Tensor, levels: int) -> Tensor:
    """Values ``(P, bands)`` as rows ``(P bands,)``, level by level; level 0 has the high-pass band."""
    sizes = [1 + ORIENTATIONS, *[ORIENTATIONS] * (levels - 1)]
    return torch.cat([part.flatten() for part in values.split(sizes, dim=1)])


def marginal_targets(
    exponents: Tensor, levels: int, tail: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Quantiles ``(P bands, table)`` and standard deviations ``(P bands,)`` of the bands' targets.

    The density of a band of relative scale z = 1, 2, 4, ... is exp(-|x / 4^z|^r); the exponents r are
    float64 ``(P, bands)`` within ``tail``. Rows are in the order of :func:`by_level`.
    """
    table, spread = marginal_library(levels, *tail, exponents.device)
    level = torch.tensor([0] + [number for number in range(levels) for _ in range(ORIENTATIONS)])
    level = by_level(level.to(exponents.device).expand_as(exponents), levels)
    place = by_level(exponents, levels).sub(tail[0]).mul(EXPONENTS / max(tail[1] - tail[0], 1e-9))
    below = place.long().clamp_(0, EXPONENTS - 1)
    weight = (place - below).float()
    first = level * (EXPONENTS + 1) + below
    quantiles = torch.lerp(table[first], table[first + 1], weight[:, None])
    return quantiles, torch.lerp(spread[first], spread[first + 1], weight)


@lru_cache(maxsize=4)
def marginal_library(
    levels: int, lowest: float, highest: float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Targets at 65 exponents, level by level: quantiles ``(levels 65, table)``, deviations.

    What lies between two exponents is interpolated, with an error of under 0.1 % of the deviation.
    """
    exponent = torch.linspace(lowest, highest, EXPONENTS + 1, dtype=torch.float64).repeat(levels)
    scale = 2.0 ** torch.arange(levels, dtype=torch.float64).repeat_interleave(EXPONENTS + 1)
    x = torch.linspace(0.0, HIGHEST, round(2 * HIGHEST) + 1, dtype=torch.float64)
    density = torch.exp(-((x * 4.0 ** -scale[:, None]) ** exponent[:, None]))  # the right half
    density[:, 0] /= 2.0
    density /= 2.0 * density.sum(dim=1, keepdim=True)
    spread = (2.0 * density * x.square()).sum(dim=1).sqrt().float()
    left = density.flip(1).cumsum(dim=1)  # up to 1/2
    return quantile_table(left, -x.flip(0), mirrored=True).to(device), spread.to(device)


def impose_wavelet_marginals(
    spectrum: Tensor, width: int, pyramid: Pyramid, table: Tensor, spread: Tensor
) -> Tensor:
    """Spectra ``(P, H, W')`` of pictures of the given width, their bands having the target marginals.

    One step: analyse, match every band, synthesise; the bands overlap, so that it has to be repeated.
    A level's band is not rescaled by its smaller number of pixels: a contrast of 1 in the picture is
    one of 4^l in a band of level l, as in the transform that the model was made with.
    """
    pictures, height = spectrum.shape[:2]
    bands = []
    for level, responses in enumerate(pyramid.bands):
        size = (height >> level, width >> level)
        analysed = cut(spectrum, *size)[:, None] * responses  # (P, bands, h, w')
        bands.append(torch.fft.irfft2(analysed, s=size).flatten(2).flatten(0, 1))
    out = spectrum * pyramid.low
    matched = impose_marginals(bands, table, spread)
    for level, (values, responses) in enumerate(zip(matched, pyramid.adjoint, strict=True)):
        size = (height >> level, width >> level)
        parts = torch.fft.rfft2(values.reshape(pictures, len(responses), *size))
        parts = parts.mul_(responses).sum(dim=1)  # (P, h, w')
        half, kept = size[0] // 2, size[1] // 2 + 1
        out[:, :half, :kept] += parts[:, :half]
        out[:, -half:, :kept] += parts[:, half:]
    return out
