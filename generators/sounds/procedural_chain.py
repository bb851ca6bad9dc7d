"""What AudioPG's procedural audio passes after its events: low-pass, background noise, level, gain.

Waveforms are float32 ``(B, samples)`` and changed in place; factors are drawn on the CPU.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import dsp
from ..base import white_noise
from . import filters
from .procedural_settings import ProceduralSettings


def apply(settings: ProceduralSettings, waveform: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """The whole chain; the result lies in [-1, 1]."""
    waveform = lowpass(settings, waveform, drawn)
    waveform = add_background(settings, waveform, drawn)
    return set_level(settings, waveform, drawn)


def lowpass(settings: ProceduralSettings, waveform: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """The RBJ low-pass on the clips that drew one, cut to [-1, 1] where ``lowpass_clip``."""
    chosen, device = drawn["lowpass"].nonzero()[:, 0], waveform.device
    if len(chosen) == 0:
        return waveform
    cutoff = drawn["lowpass_hz"][chosen] / settings.sample_rate
    b, a = filters.lowpass_biquad(cutoff, settings.lowpass_quality)
    tables = filters.biquad_tables(b.to(device), a.to(device), waveform.shape[1])
    limit = 1.0 if settings.lowpass_clip else math.inf
    first = 0
    for group in dsp.alone(chosen, device):
        here, last = dsp.rows_of(group, device), first + len(group)
        filtered = filters.run_biquad(waveform[here], tables.of(slice(first, last)))
        waveform[here] = filtered.clamp_(-limit, limit)
        first = last
    return waveform


def add_background(settings: ProceduralSettings, waveform: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """White noise at an absolute level, or at a signal-to-noise ratio by RMS over the whole clip.

    A silent clip has no ratio: it gets noise at the absolute level.
    """
    device, samples = waveform.device, waveform.shape[1]
    level = drawn["background_level"]
    if settings.background_scale == "snr":
        unit = 1.0 if settings.background == "gaussian" else 3.0**-0.5  # RMS of the noise at level 1
        ratio = amplitude(-drawn["background_snr_db"]).to(device) / unit
        power = mean_square(waveform)
        level = torch.where(power > 0.0, power.sqrt() * ratio, level.to(device))
    level = (level * drawn["background"].to(level.device)).float().to(device)
    noise = dsp.gaussian_noise if settings.background == "gaussian" else white_noise
    return waveform.addcmul_(noise(drawn["background_key"], samples, device), level[:, None])


def set_level(settings: ProceduralSettings, waveform: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """Peak 1, a drawn RMS, or as it is; never a peak over 1. Then the gain, cut to [-1, 1]."""
    if settings.level == "peak":
        dsp.peak_normalise(waveform)
    else:
        if settings.level == "rms":
            power = mean_square(waveform).clamp_min(torch.finfo(torch.float32).tiny)
            waveform *= (amplitude(drawn["rms_db"]).to(power.device) / power.sqrt()).float()[:, None]
        waveform /= waveform.abs().amax(dim=1, keepdim=True).clamp_min(1.0)
    if settings.p_gain > 0.0:
        waveform.mul_(drawn["gain"].float().to(waveform.device)[:, None]).clamp_(-1.0, 1.0)
    return waveform


def mean_square(waveform: Tensor) -> Tensor:
    """Mean square of each clip, float64 ``(B,)``; one clip at a time, so that its sum has one order."""
    return torch.cat([clip.double().square().mean(dim=1) for clip in waveform.split(1)])


def amplitude(decibels: Tensor) -> Tensor:
    """Factors of ``(B,)`` decibels, float64, one at a time: a vector's power may round otherwise."""
    return torch.tensor([10.0 ** (value / 20.0) for value in decibels.tolist()], dtype=torch.float64)
