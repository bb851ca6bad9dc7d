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

    A *sum* of powers, hence the cross: f_y and f_x are in cycles per pixel. Scaled to unit energy over
    the whole plane.
    """
    fy = torch.fft.fftfreq(height, dtype=torch.float64, device=slopes.device).abs()
    fx = torch.fft.rfftfreq(width, dtype=torch.float64, device=slopes.device)
    rows, columns = fy ** slopes[:, :1], fx ** slopes[:, 1:]
    magnitude = (rows[:, :, None] + columns[:, None, :] + 1e-16).float().reciprocal_()
    magnitude[:, 0, 0] = 0.0
    return magnitude.div_(_sum_both_halves(magnitude * magnitude, width).sqrt()[:, None, None])


def impose_spectrum(spectrum: Tensor, magnitude: Tensor, width: int) -> Tensor:
    """Half spectra ``(P, H, W')`` of unit energy's magnitude; phases, mean and variance stay."""
    squares = torch.view_as_real(spectrum).square()
    power = squares[..., 0] + squares[..., 1]
    variance = _sum_both_halves(power, width) - power[:, 0, 0]
    gain = power.clamp_min_(torch.finfo(power.dtype).tiny).rsqrt_().mul_(magnitude)
    gain.mul_(variance.sqrt()[:, None, None])[:, 0, 0] = 1.0
    return spectrum * gain


def random_phases(keys: Tensor, magnitude: Tensor, channels: int, width: int) -> Tensor:
    """Channels ``(B channels, H, W)``, mean 0 and variance 1, of a given spectrum ``(B, H, W')``.

    What imposing a spectrum on noise gives, however often: the noise's phases are kept, and they are
    independent and uniform. So they are drawn as such, by one key a picture ``(B,)``.
    """
    batch, height, columns = magnitude.shape
    count = channels * height * columns
    phase = white_noise(keys, count, keys.device).mul_(math.pi)
    phase = phase.reshape(batch, channels, height, columns)
    # at f_x = 0 and Nyquist a real picture's half spectrum holds both halves: they are conjugate
    edge = phase[..., :: width // 2] if width % 2 == 0 else phase[..., :1]
    above = edge[:, :, 1 : (height + 1) // 2]
    edge[:, :, height - above.shape[2] :] = -above.flip(2)
    corner = edge[:, :, :: height // 2] if height % 2 == 0 else edge[:, :, :1]
    corner.copy_((corner > 0.0) * math.pi)
    magnitude = (magnitude * (height * width)).repeat_interleave(channels, dim=0)
    phase = phase.flatten(0, 1)
    spectrum = torch.complex(phase.cos().mul_(magnitude), phase.sin().mul_(magnitude))
    return torch.fft.irfft2(spectrum, s=(height, width))


def _sum_both_halves(power: Tensor, width: int) -> Tensor:
    """Sum over all frequencies ``(P,)`` of an even power given on a half ``(P, H, W')``."""
    once = power[:, :, 0].sum(dim=1)
    if width % 2 == 0:
        once = once + power[:, :, -1].sum(dim=1)
    return 2.0 * power.sum(dim=(1, 2)) - once
