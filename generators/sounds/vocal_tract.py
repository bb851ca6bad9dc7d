"""The vocal tract as resonances in cascade: formants of vowels, and a filter that moves with them."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

# Corners of the vowel square: F1, F2, F3 in hertz, means of men, Peterson and Barney 1952, table II.
CLOSE_FRONT = (270.0, 2290.0, 3010.0)  # [i]
OPEN_FRONT = (660.0, 1720.0, 2410.0)  # [ae]
CLOSE_BACK = (300.0, 870.0, 2240.0)  # [u]
OPEN_BACK = (730.0, 1090.0, 2440.0)  # [a]
HIGHER = (3500.0, 4500.0)  # F4 and F5 of a tract of 17.5 cm: (2 n - 1) c / 4 L
BANDWIDTH = (60.0, 90.0, 150.0, 200.0, 280.0)  # hertz, after Klatt 1980, table II
BLOCK = 256  # samples filtered with one setting of the tract: 16 ms at 16 kHz
RESPONSE = 1024  # samples kept of a block's response; there a resonance of 50 Hz has fallen by 65 dB


def vowel_hz(openness: Tensor, backness: Tensor) -> Tensor:
    """Five formants of vowels ``(...)`` in hertz, ``(..., 5)``: bilinear in log frequency."""
    corners = torch.tensor(
        [[CLOSE_FRONT, CLOSE_BACK], [OPEN_FRONT, OPEN_BACK]],
        dtype=torch.float64,
        device=openness.device,
    ).log()
    openness, backness = openness[..., None], backness[..., None]
    close = torch.lerp(corners[0, 0], corners[0, 1], backness)
    lower = torch.lerp(close, torch.lerp(corners[1, 0], corners[1, 1], backness), openness).exp()
    higher = torch.tensor(HIGHER, dtype=torch.float64, device=openness.device)
    return torch.cat([lower, higher.expand(*lower.shape[:-1], 2)], dim=-1)


def resonances(hertz: Tensor, bandwidth: Tensor, sample_rate: int) -> Tensor:
    """The frequency response ``(N, 513)`` of formants ``(N, 5)`` in cascade, complex64.

    Klatt's digital resonators (1980, eq. 1), each of gain 1 at 0 Hz; formants are kept below 0.45 of
    the sample rate. The products of their denominators are taken in float64: close to a resonance they
    nearly cancel.
    """
    angle = 2.0 * math.pi * (hertz / sample_rate).clamp_max(0.45)
    radius = torch.exp(-math.pi * bandwidth / sample_rate)
    middle, last = -2.0 * radius * angle.cos(), radius.square()
    polynomial = 1.0 / (1.0 + middle + last).prod(dim=1, keepdim=True)
    for formant in range(hertz.shape[1]):  # product of the denominators 1 + b z^-1 + c z^-2
        shape = (len(hertz), polynomial.shape[1] + 2)
        longer = torch.zeros(shape, dtype=torch.float64, device=hertz.device)
        longer[:, :-2] = polynomial
        longer[:, 1:-1] += polynomial * middle[:, formant, None]
        longer[:, 2:] += polynomial * last[:, formant, None]
        polynomial = longer
    # 1 / D is D's conjugate over its squared magnitude: a division of complex numbers is far slower
    conjugate = (polynomial @ delays(polynomial.shape[1]).to(hertz.device)).float()
    conjugate = conjugate.unflatten(1, (-1, 2))  # (N, 513, 2)
    real, imaginary = conjugate.unbind(dim=2)
    power = real.square().addcmul_(imaginary, imaginary)
    return torch.view_as_complex(conjugate.div_(power[:, :, None]))


@cache
def delays(count: int) -> Tensor:
    """Conjugates of z^-k at the bins of a response, real and imaginary parts: ``(count, 1026)``."""
    power = torch.arange(count, dtype=torch.float64)
    turns = power[:, None] * torch.arange(RESPONSE // 2 + 1) * (2.0 * math.pi / RESPONSE)
    return torch.stack([turns.cos(), turns.sin()], dim=2).flatten(1)


def filter_blocks(blocks: Tensor, hertz: Tensor, bandwidth: Tensor, sample_rate: int) -> Tensor:
    """Responses ``(N, 1024)`` of tracts (N, 5) to blocks of sound ``(N, 256)``, float32.

    Added up at their places, they are the sound through a tract that moves from block to block: a
    response rings on with the setting it began with, so nothing clicks.
    """
    spectrum = torch.fft.rfft(blocks, n=RESPONSE)
    spectrum *= resonances(hertz, bandwidth, sample_rate)
    filtered: Tensor = torch.fft.irfft(spectrum, n=RESPONSE)
    return filtered
