"""Power-law spectra: the clouds' statistics, imposed on noise by its phases.

After the spectrum model of Baradad et al. (2021), section 3.3. ``P`` counts pictures times channels;
half spectra are ``(P, H, W')`` with ``W' = W // 2 + 1``, as a transform of real numbers has them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..base import white_noise


def power_law(slopes: Tensor, height: int, width: int) -> Tensor:
    """Amplitudes 1 / (|f_y|^a + |f_x|^b), 0 at f = 0: float32 ``(B, H, W')``; slopes ``(B, 2)``.

    A *sum* of powers, hence the cross: f_y and f_x are in cycles per pixel.
    """
    fy = torch.fft.fftfreq(height, dtype=torch.float64, device=slopes.device).abs()
    fx = torch.fft.rfftfreq(width, dtype=torch.float64, device=slopes.device)
    rows, columns = fy ** slopes[:, :1], fx ** slopes[:, 1:]
    magnitude = (rows[:, :, None] + columns[:, None, :] + 1e-16).float().reciprocal_()
    magnitude[:, 0, 0] = 0.0
    return magnitude


def impose_spectrum(spectrum: Tensor, magnitude: Tensor, width: int) -> Tensor:
    """Half spectra ``(P, H, W')`` with a given magnitude; phases, means and variances are kept."""
    power = (spectrum * spectrum.conj()).real
    variance = _sum_both_halves(power, width) - power[:, 0, 0]
    scale = (variance / _sum_both_halves(magnitude.square(), width)).sqrt()
    gain = magnitude * scale[:, None, None] * power.clamp_min_(torch.finfo(torch.float32).tiny).rsqrt()
    gain[:, 0, 0] = 1.0
    return spectrum * gain


def random_phases(keys: Tensor, magnitude: Tensor, width: int, mean: float, spread: float) -> Tensor:
    """Channels ``(P, H, W)`` of a mean and standard deviation, and a given spectrum ``(P, H, W')``.

    What imposing a spectrum on uniform noise gives, however often: the noise's phases are kept, and
    they are independent and uniform. So they are drawn as such; ``keys`` are one a picture ``(B,)``.
    """
    channels, height, columns = magnitude.shape
    count = channels * height * columns // len(keys)
    phase = white_noise(keys, count, keys.device).mul_(math.pi).reshape(magnitude.shape)
    half = height // 2
    for column in {0, width // 2} if width % 2 == 0 else {0}:  # where a real picture's half overlaps
        above = phase[:, 1 : (height + 1) // 2, column]
        phase[:, height - above.shape[1] :, column] = -above.flip(1)
        for row in {0, half} if height % 2 == 0 else {0}:
            phase[:, row, column] = (phase[:, row, column] > 0.0) * math.pi
    variance = _sum_both_halves(magnitude.square(), width) / (height * width) ** 2
    magnitude = magnitude * (spread / variance.sqrt())[:, None, None]
    spectrum = torch.complex(phase.cos().mul_(magnitude), phase.sin().mul_(magnitude))
    spectrum[:, 0, 0] = mean * height * width
    return torch.fft.irfft2(spectrum, s=(height, width))


def _sum_both_halves(power: Tensor, width: int) -> Tensor:
    """Sum over all frequencies ``(P,)`` of an even power given on a half ``(P, H, W')``."""
    once = power[:, :, 0].sum(dim=1)
    if width % 2 == 0:
        once = once + power[:, :, -1].sum(dim=1)
    return 2.0 * power.sum(dim=(1, 2)) - once
