"""The primitives of AudioPG's procedural audio: tones and noises over a whole clip.

Every primitive takes the factors of n tones (float64 or int64, ``(n,)`` or ``(n, K)`` on the device)
and gives float32 ``(n, rows, 512)`` from one row before the clip on. ``out`` is memory to write into.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import dsp
from .procedural_settings import KINDS, ProceduralSettings

TONE_FACTORS = (
    *("f0_hz", "partials", "partial_slope", "partial_gain", "partial_phase", "partial_detune"),
    *("fm_index", "fm_ratio", "tone_key"),
)


def render_tones(
    settings: ProceduralSettings, drawn: dict[str, Tensor], heard: Tensor, device: torch.device
) -> Tensor:
    """The tones ``heard`` (bool ``(B, S)``, n of them) from one row before to one after the clip.

    float32 ``(n, rows + 2, 512)``, of any level.
    """
    kinds = drawn["kind"][heard]
    factors = {key: drawn[key][heard].to(device) for key in TONE_FACTORS}
    rows = -(-settings.samples // dsp.ROW) + 2
    out = torch.empty(len(kinds), rows, dsp.ROW, device=device)
    for kind in kinds.unique().tolist():
        for group in dsp.alone((kinds == kind).nonzero()[:, 0], device):
            here = dsp.rows_of(group, device)
            chosen = {key: value[here] for key, value in factors.items()}
            if isinstance(here, slice):
                primitive(settings, KINDS[kind], chosen, rows, out[here])
            else:
                out[here] = primitive(settings, KINDS[kind], chosen, rows, None)
    return out


def primitive(
    settings: ProceduralSettings, kind: str, factors: dict[str, Tensor], rows: int, out: Tensor | None
) -> Tensor:
    """Tones of one kind."""
    if kind.endswith("_noise"):
        return noise(kind, factors["tone_key"], rows, out)
    step = factors["f0_hz"] / settings.sample_rate
    if kind == "harmonic":
        return harmonic(settings, factors, rows, out)
    if kind == "fm":
        modulator = step * factors["fm_ratio"]
        if not settings.aliasing:
            order = math.ceil(settings.fm_index[1] + 6.0 * settings.fm_index[1] ** (1 / 3) + 6.0)
            return fm_sidebands(step, modulator, factors["fm_index"], order, rows, out)
        offsets = (-dsp.ROW * step, -dsp.ROW * modulator)
        return dsp.frequency_modulation(step, modulator, factors["fm_index"], offsets, rows, out)
    if not settings.aliasing:
        return fourier_series(kind, step, rows, out)
    naive = {"saw": dsp.naive_saw, "square": dsp.naive_square, "triangle": dsp.naive_triangle}[kind]
    return naive(step, -dsp.ROW * step, rows, out)


def harmonic(
    settings: ProceduralSettings, factors: dict[str, Tensor], rows: int, out: Tensor | None
) -> Tensor:
    """Detuned partials; those over Nyquist alias, or are left out without ``aliasing``."""
    device = factors["f0_hz"].device
    number = torch.arange(1, settings.partials[1] + 1, dtype=torch.float64, device=device)
    amplitude = number ** -factors["partial_slope"] * factors["partial_gain"]
    amplitude = amplitude * (number <= factors["partials"][:, None])
    step = factors["f0_hz"][:, None] * number * factors["partial_detune"] / settings.sample_rate
    if not settings.aliasing:
        amplitude = amplitude * (step < 0.5)
    return dsp.sum_of_sines(step, amplitude, factors["partial_phase"] - dsp.ROW * step, rows, out)


def fm_sidebands(
    carrier: Tensor, modulator: Tensor, index: Tensor, order: int, rows: int, out: Tensor | None
) -> Tensor:
    """sin(2 pi f t + b sin 2 pi m t) without what lies over Nyquist (Chowning 1973).

    It is the sum over k of J_k(b) sin 2 pi (f + k m) t, here for |k| <= ``order`` and |f + k m| < 1/2
    cycles per sample. J_k is its integral over one turn, which the trapezoid rule gives to rounding.
    """
    k = torch.arange(-order, order + 1, dtype=torch.float64, device=index.device)
    turn = torch.arange(4 * order, dtype=torch.float64, device=index.device) * (math.pi / (2 * order))
    angle = index[:, None, None] * turn.sin() - k[:, None] * turn  # (n, 2 order + 1, 4 order)
    bessel = angle.cos().mean(dim=2)
    step = carrier[:, None] + k * modulator[:, None]
    return dsp.sum_of_sines(step, bessel * (step.abs() < 0.5), -dsp.ROW * step, rows, out)


def fourier_series(kind: str, step: Tensor, rows: int, out: Tensor | None) -> Tensor:
    """Saw, square or triangle as the sum of their partials under Nyquist."""
    count = math.ceil(0.5 / float(step.min()))
    number = torch.arange(1, count + 1, dtype=torch.float64, device=step.device)
    odd, turns = number % 2, 0.0
    if kind == "saw":
        amplitude = (2.0 / math.pi) * (2.0 * odd - 1.0) / number
    elif kind == "square":
        amplitude = (4.0 / math.pi) * odd / number
    else:  # a triangle is made of cosines: a quarter turn ahead
        amplitude, turns = (-8.0 / math.pi**2) * odd / number.square(), 0.25
    partials = step[:, None] * number
    return dsp.sum_of_sines(
        partials, amplitude * (partials < 0.5), turns - dsp.ROW * partials, rows, out
    )


def noise(kind: str, keys: Tensor, rows: int, out: Tensor | None) -> Tensor:
    """White (unit variance), pink or brown noise (peak 1)."""
    make = {
        "white_noise": dsp.gaussian_noise,
        "pink_noise": dsp.voss_noise,
        "brown_noise": dsp.brown_noise,
    }[kind]
    made = make(keys, rows * dsp.ROW, keys.device).view(len(keys), rows, dsp.ROW)
    return made if out is None else out.copy_(made)
