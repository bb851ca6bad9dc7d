"""Signal pieces that waveform sources share: phases, tones, ramps, levels, noise spectra.

``B`` is the batch, ``K`` the number of partials, ``n`` the number of samples. Everything is vectorised
torch on any device. Phases are accumulated and wrapped in float64, and only then become float32.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from .base import white_noise

ROW = 512  # a signal is treated as rows of 512 samples: time = coarse (row) + fine (position in row)


@contextlib.contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Keep matrix products in true float32 on CUDA, whatever precision a trainer asked for."""
    before = torch.backends.cuda.matmul.allow_tf32
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = before


def in_chunks(
    render: Callable[[dict[str, Tensor]], Tensor],
    parameters: dict[str, Tensor],
    device: torch.device,
    *,
    on_cpu: int = 1,
    on_accelerator: int = 64,
) -> Tensor:
    """Render a batch piece by piece, ``on_cpu`` or ``on_accelerator`` samples at a time.

    One clip fits a CPU's cache, which is faster than a batch; and a sample's bits cannot depend on its
    neighbours, because every matrix product and transform sees one fixed shape. Where ``on_cpu`` is
    more than one, ``render`` keeps to that itself (:func:`alone`).
    """
    size = len(next(iter(parameters.values())))
    chunk = on_cpu if device.type == "cpu" else on_accelerator
    if 0 < size <= chunk:
        return render(parameters).contiguous()
    out: Tensor | None = None
    for start in range(0, size, chunk):
        piece = render({key: value[start : start + chunk] for key, value in parameters.items()})
        if out is None:
            out = piece.new_empty(size, *piece.shape[1:])
        out[start : start + chunk] = piece
    if out is None:
        raise ValueError("an empty batch cannot be rendered: ask for at least one index.")
    return out


def alone(chosen: Tensor, device: torch.device) -> Sequence[Tensor]:
    """The samples ``chosen`` (int64 ``(C,)``) in groups to compute together: one each on the CPU.

    Matrix products and transcendental functions may round differently in another batch; integer
    arithmetic and single float operations do not, and need no such care.
    """
    return chosen.split(1) if device.type == "cpu" else [chosen]


def rows_of(group: Tensor, device: torch.device) -> slice | Tensor:
    """Where a group of :func:`alone` lies in a batch on ``device``; a slice on the CPU: no copy."""
    if device.type == "cpu":
        first = int(group)
        return slice(first, first + 1)
    return group.to(device)


def split_phase(cycles_per_sample: Tensor, offset: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Wrapped phases in cycles: coarse ``(..., rows)`` at each row's start, fine ``(..., 512)``.

    ``cycles_per_sample`` (frequency / sample rate) and ``offset`` (cycles) are float64 ``(...)``, the
    results float32 in [0, 1); the phase of sample ``512 r + i`` is coarse[r] + fine[i], modulo 1.
    """
    step = torch.arange(ROW, dtype=torch.float64, device=offset.device)
    fine = cycles_per_sample[..., None] * step
    return coarse_phase(cycles_per_sample, offset, rows), fine.sub_(fine.floor()).float()


def coarse_phase(cycles_per_sample: Tensor, offset: Tensor, rows: int) -> Tensor:
    """Wrapped phases in cycles at each row's start, float32 ``(..., rows)``, as :func:`split_phase`."""
    step = torch.arange(rows, dtype=torch.float64, device=offset.device)
    coarse = ((cycles_per_sample * ROW)[..., None] * step).add_(offset[..., None])
    return coarse.sub_(coarse.floor()).float()


def phase(cycles_per_sample: Tensor, offset: Tensor, rows: int, out: Tensor | None = None) -> Tensor:
    """Phase in cycles within [0, 2], float32 ``(B, rows, 512)``; arguments float64 ``(B,)``.

    This and the tones below write into ``out`` where it is given: fresh memory costs as they do.
    """
    coarse, fine = split_phase(cycles_per_sample, offset, rows)
    return torch.add(coarse[:, :, None], fine[:, None, :], out=out)


def sum_of_sines(
    cycles_per_sample: Tensor,
    amplitude: Tensor,
    offset: Tensor,
    rows: int,
    out: Tensor | None = None,
) -> Tensor:
    """Sum over K of amplitude * sin(2 pi (f t + offset)): float32 ``(B, rows, 512)``.

    All arguments are float64 ``(B, K)``; offsets are in cycles. One matrix product per clip: with
    t = coarse + fine, sin(a + b) = sin a cos b + cos a sin b, so (rows x 2K) times (2K x 512).
    """
    coarse, fine = split_phase(cycles_per_sample, offset, rows)
    coarse, fine = coarse.mul_(2.0 * math.pi), fine.mul_(2.0 * math.pi)
    left = on_circle(coarse, (torch.sin, torch.cos), amplitude.float()[..., None])
    right = on_circle(fine, (torch.cos, torch.sin))
    return torch.bmm(left.transpose(1, 2), right, out=out)


def on_circle(
    angles: Tensor, order: tuple[Callable[..., Tensor], ...], gain: Tensor | None = None
) -> Tensor:
    """Sine and cosine (or the other ``order``) of angles ``(B, K, n)`` in radians, times ``gain``.

    Returns ``(B, 2K, n)``: the two of an angle follow each other.
    """
    both = angles.new_empty(*angles.shape[:2], len(order), angles.shape[2])
    for function, half in zip(order, both.unbind(dim=2), strict=True):
        function(angles, out=half)
        if gain is not None:
            half.mul_(gain)
    return both.flatten(1, 2)


def frequency_modulation(
    carrier: Tensor,
    modulator: Tensor,
    index: Tensor,
    offsets: tuple[Tensor, Tensor],
    rows: int,
    out: Tensor | None = None,
) -> Tensor:
    """sin(2 pi f t + index sin(2 pi m t)), float32 ``(B, rows, 512)``.

    f and m are in cycles per sample, ``offsets`` their phases at the first sample in cycles; all
    float64 ``(B,)``.
    """
    swing = phase(modulator, offsets[1], rows).mul_(2.0 * math.pi).sin_()
    swing.mul_((index / (2.0 * math.pi)).float()[:, None, None])
    return phase(carrier, offsets[0], rows, out).add_(swing).mul_(2.0 * math.pi).sin_()


def naive_saw(
    cycles_per_sample: Tensor, offset: Tensor, rows: int, out: Tensor | None = None
) -> Tensor:
    """2 (c - floor(c + 1/2)) of the phase c, in [-1, 1), aliased, float32 ``(B, rows, 512)``."""
    return phase(cycles_per_sample, offset + 0.5, rows, out).frac_().sub_(0.5).mul_(2.0)


def naive_square(
    cycles_per_sample: Tensor, offset: Tensor, rows: int, out: Tensor | None = None
) -> Tensor:
    """sgn(sin 2 pi c) of the phase c, aliased, float32 ``(B, rows, 512)``: the saw's sign."""
    return phase(cycles_per_sample, offset + 0.5, rows, out).frac_().sub_(0.5).sign_()


def naive_triangle(
    cycles_per_sample: Tensor, offset: Tensor, rows: int, out: Tensor | None = None
) -> Tensor:
    """2 |saw| - 1: -1 at phase 0 and 1 at phase 1/2, aliased, float32 ``(B, rows, 512)``."""
    return naive_saw(cycles_per_sample, offset, rows, out).abs_().mul_(2.0).sub_(1.0)


def ramp(time: Tensor, start: Tensor, length: Tensor) -> Tensor:
    """0 until ``start``, a line to 1 at ``start + length - 1``, then 1 (both ends included).

    A length of 0 is a step: 1 from ``start`` on. Integer samples in, float64 out, all of one shape.
    """
    slope = 1.0 / (length - 1).clamp_min(1).double()
    return (time - start + (length < 1)).double().mul_(slope).clamp_(0.0, 1.0)


# ---------------------------------------------------------------------------------------------------
# Level and spectrum.


def peak_normalise(waveform: Tensor) -> Tensor:
    """Divide each row of ``(B, n)`` by its largest magnitude, in place; a silent row stays silent."""
    high, low = waveform.amax(dim=-1, keepdim=True), waveform.amin(dim=-1, keepdim=True)
    peak = torch.maximum(high, -low).clamp_min_(torch.finfo(waveform.dtype).tiny)
    return waveform.div_(peak)


def shape_spectrum(waveform: Tensor, power_slope: float) -> Tensor:
    """Give white noise ``(B, n)`` a power spectrum 1/f^power_slope; the mean (f = 0) is removed."""
    spectrum = torch.fft.rfft(waveform)
    bins = torch.arange(spectrum.shape[-1], dtype=torch.float32, device=waveform.device)
    gain = bins.clamp_min(1.0) ** (-power_slope / 2.0)
    gain[0] = 0.0
    shaped: Tensor = torch.fft.irfft(spectrum.mul_(gain), n=waveform.shape[-1])
    return shaped


# ---------------------------------------------------------------------------------------------------
# Noise in the time domain.


def gaussian_noise(keys: Tensor, samples: int, device: torch.device) -> Tensor:
    """N(0, 1) white noise, float32 ``(B, samples)``, from keys int64 ``(B,)``, by Box and Muller.

    Radius and angle have 65536 values each; magnitudes reach 4.9.
    """
    if device.type == "cpu" and len(keys) > 1:  # see alone
        return torch.cat([gaussian_noise(key, samples, device) for key in keys.split(1)])
    half = -(-samples // 2)
    uniform = white_noise(keys, 2 * half, device)  # multiples of 2^-15 in [-1, 1)
    radius = uniform[:, :half].add(1.0 + 2.0**-16).mul_(0.5).log_().mul_(-2.0).sqrt_()
    angle = uniform[:, half:].mul(math.pi)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :samples]


def voss_noise(keys: Tensor, samples: int, device: torch.device, rows: int = 20) -> Tensor:
    """Pink noise by Voss and McCartney, peak 1, float32 ``(B, samples)``.

    The sum of ``rows`` rows of N(0, 1); row i holds each of its numbers for 2^i samples. About
    -3 dB per octave down to sample rate / 2^rows.
    """
    lengths = [-(-samples // 2**row) for row in range(rows)]
    numbers = gaussian_noise(keys, sum(lengths), device).split(lengths, dim=1)
    total = numbers[-1]
    for row in reversed(numbers[:-1]):  # from the slowest to the fastest
        total = total.repeat_interleave(2, dim=1)[:, : row.shape[1]] + row
    return peak_normalise(total)


def brown_noise(keys: Tensor, samples: int, device: torch.device) -> Tensor:
    """The running sum of N(0, 1) white noise, summed in float64, peak 1: float32 ``(B, samples)``."""
    return peak_normalise(gaussian_noise(keys, samples, device).cumsum(1, dtype=torch.float64).float())
