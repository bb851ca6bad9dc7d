"""Signal pieces that waveform sources share: sums of sinusoids, phases, ramps, filters, noise spectra.

``B`` is the batch, ``K`` the number of partials, ``n`` the number of samples. Everything is vectorised
torch on any device. Phases are accumulated and wrapped in float64, and only then become float32.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

ROW = 512  # a signal is treated as rows of 512 samples: time = coarse (row) + fine (position in row)
STATE_BLOCK = 64  # length of the blocks of the recursive filters


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
    chunk_on_accelerator: int = 64,
) -> Tensor:
    """Render a batch piece by piece: one sample at a time on the CPU, ``chunk_on_accelerator`` elsewhere.

    On a CPU one clip fits the cache, which is faster than a batch, and a sample's bits cannot depend on
    its neighbours, because every matrix product and transform sees one fixed shape.
    """
    size = len(next(iter(parameters.values())))
    chunk = 1 if device.type == "cpu" else chunk_on_accelerator
    pieces = [
        render({key: value[start : start + chunk] for key, value in parameters.items()})
        for start in range(0, size, chunk)
    ]
    return torch.cat(pieces)


def split_phase(cycles_per_sample: Tensor, offset: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Wrapped phases in cycles, float32: coarse ``(..., rows)`` at each row's start and fine ``(..., 512)``.

    ``cycles_per_sample`` (frequency / sample rate) and ``offset`` (cycles) are float64 ``(...)``; the
    phase of sample ``512 r + i`` is coarse[r] + fine[i], modulo 1.
    """
    step = torch.arange(rows, dtype=torch.float64, device=offset.device)
    coarse = (cycles_per_sample * ROW)[..., None] * step + offset[..., None]
    step = torch.arange(ROW, dtype=torch.float64, device=offset.device)
    fine = cycles_per_sample[..., None] * step
    return (coarse - coarse.floor()).float(), (fine - fine.floor()).float()


def phase(cycles_per_sample: Tensor, rows: int) -> Tensor:
    """Phase of a constant frequency ``(B,)`` from 0, in cycles within [0, 2): float32 ``(B, rows, 512)``."""
    coarse, fine = split_phase(cycles_per_sample, torch.zeros_like(cycles_per_sample), rows)
    return coarse[:, :, None] + fine[:, None, :]


def sum_of_sines(cycles_per_sample: Tensor, amplitude: Tensor, offset: Tensor, rows: int) -> Tensor:
    """Sum over K of amplitude * sin(2 pi (f t + offset)): float32 ``(B, rows, 512)``.

    All arguments are float64 ``(B, K)``; offsets are in cycles. One matrix product per clip: with
    t = coarse + fine, sin(a + b) = sin a cos b + cos a sin b, so (rows x 2K) times (2K x 512).
    """
    coarse, fine = split_phase(cycles_per_sample, offset, rows)
    coarse, fine = coarse * (2.0 * math.pi), fine * (2.0 * math.pi)
    scale = amplitude.float()[..., None]
    left = torch.cat([coarse.sin() * scale, coarse.cos() * scale], dim=1)  # (B, 2K, rows)
    right = torch.cat([fine.cos(), fine.sin()], dim=1)  # (B, 2K, 512)
    return torch.bmm(left.transpose(1, 2), right)


def frequency_modulation(carrier: Tensor, modulator: Tensor, index: Tensor, rows: int) -> Tensor:
    """sin(2 pi f t + index sin(2 pi m t)), float32 ``(B, rows, 512)``; f and m in cycles per sample."""
    swing = phase(modulator, rows).mul_(2.0 * math.pi).sin_()
    swing.mul_((index / (2.0 * math.pi)).float()[:, None, None])
    return phase(carrier, rows).add_(swing).mul_(2.0 * math.pi).sin_()


def naive_saw(cycles_per_sample: Tensor, rows: int) -> Tensor:
    """2 (t f - floor(t f + 1/2)) in [-1, 1), aliased, float32 ``(B, rows, 512)``."""
    cycles = phase(cycles_per_sample, rows)
    return cycles.sub_((cycles + 0.5).floor_()).mul_(2.0)


def naive_square(cycles_per_sample: Tensor, rows: int) -> Tensor:
    """sgn(sin 2 pi f t), aliased, float32 ``(B, rows, 512)``: the sign of the sawtooth, 0 at t = 0."""
    return naive_saw(cycles_per_sample, rows).sign_()


def ramp(time: Tensor, start: Tensor, length: Tensor) -> Tensor:
    """0 until ``start``, a line to 1 at ``start + length - 1``, then 1 (both ends included)."""
    slope = 1.0 / (length - 1).clamp_min(1).float()
    return (time - start.float()).mul_(slope).clamp_(0.0, 1.0)


# ---------------------------------------------------------------------------------------------------
# Biquads, exactly, as matrix products: a filter in state-space form is run block by block.


def lowpass_biquad(cycles_per_sample: Tensor, quality: float) -> tuple[Tensor, Tensor]:
    """Robert Bristow-Johnson's low-pass: (b0, b1, b2) and (a1, a2) with a0 = 1, float64 ``(B, 3|2)``."""
    angle = 2.0 * math.pi * cycles_per_sample
    alpha, cosine = angle.sin() / (2.0 * quality), angle.cos()
    b = torch.stack([(1.0 - cosine) / 2.0, 1.0 - cosine, (1.0 - cosine) / 2.0], dim=1)
    a = torch.stack([-2.0 * cosine, 1.0 - alpha], dim=1)
    norm = (1.0 + alpha)[:, None]
    return b / norm, a / norm


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Product of 2 x 2 matrices ``(..., 2, 2)``, element by element."""
    return (left[..., :, :, None] * right[..., None, :, :]).sum(dim=-2)


def _powers(matrix: Tensor, count: int) -> Tensor:
    """matrix^0 ... matrix^(count - 1) of 2 x 2 matrices ``(B, 2, 2)``, by doubling: ``(B, count, 2, 2)``."""
    powers = torch.eye(2, dtype=matrix.dtype, device=matrix.device).expand_as(matrix)[:, None]
    top = matrix[:, None]
    while powers.shape[1] < count:
        powers = torch.cat([powers, _product(powers, top)], dim=1)
        top = _product(top, top)
    return powers[:, :count]


def _lower_toeplitz(first: Tensor) -> Tensor:
    """Block lower-triangular Toeplitz of blocks ``(B, m, 2, 2)`` acting on rows from the right: ``(B, 2m, 2m)``."""
    count = first.shape[1]
    step = torch.arange(count, device=first.device)
    lag = step[None, :] - step[:, None]  # (input, output)
    blocks = first[:, lag.clamp_min(0)] * (lag >= 0)[None, :, :, None, None]
    return blocks.permute(0, 1, 4, 2, 3).reshape(len(first), 2 * count, 2 * count)


def _scan(inputs: Tensor, matrix: Tensor) -> Tensor:
    """States s_k = matrix s_(k-1) + inputs_k from s_(-1) = 0: ``(B, m, 2)`` from ``(B, m, 2)`` and ``(B, 2, 2)``."""
    batch, count, _ = inputs.shape
    if count <= STATE_BLOCK:
        toeplitz = _lower_toeplitz(_powers(matrix, count)).float()
        return torch.bmm(inputs.reshape(batch, 1, 2 * count), toeplitz).reshape(batch, count, 2)
    groups = -(-count // STATE_BLOCK)
    padded = torch.nn.functional.pad(inputs, (0, 0, 0, groups * STATE_BLOCK - count))
    powers = _powers(matrix, STATE_BLOCK + 1)
    toeplitz = _lower_toeplitz(powers[:, :-1]).float()
    local = torch.bmm(padded.reshape(batch, groups, 2 * STATE_BLOCK), toeplitz)
    carried = _scan(local[:, :, -2:], powers[:, -1])  # state at the end of each group
    decay = powers[:, 1:].permute(0, 3, 1, 2).reshape(batch, 2, 2 * STATE_BLOCK).float()
    local[:, 1:] += torch.bmm(carried[:, :-1], decay)
    return local.reshape(batch, groups * STATE_BLOCK, 2)[:, :count]


def filter_biquad(waveform: Tensor, b: Tensor, a: Tensor) -> Tensor:
    """Run ``waveform`` (float32 ``(B, n)``) through y = b x - a y from rest; exact, not truncated.

    Blocks of 64 samples: the response to the block itself is a triangular Toeplitz product, the two
    states at the block's end follow a linear recurrence that is itself solved in blocks. Tables are
    computed in float64; works for any poles, real or complex, and for slow decays.
    """
    batch, samples = waveform.shape
    blocks = -(-samples // STATE_BLOCK)
    # transposed direct form II: s' = A s + B x, y = s_0 + b0 x
    matrix = torch.stack(
        [torch.stack([-a[:, 0], torch.ones_like(a[:, 0])], 1), torch.stack([-a[:, 1], 0 * a[:, 1]], 1)],
        1,
    )
    drive = b[:, 1:] - a * b[:, :1]  # (B, 2)
    powers = _powers(matrix, STATE_BLOCK + 1)
    response = (powers @ drive[:, None, :, None])[..., 0]  # (B, 65, 2): state after k + 1 samples
    impulse = torch.cat([b[:, :1], response[:, : STATE_BLOCK - 1, 0]], dim=1)  # (B, 64)
    step = torch.arange(STATE_BLOCK, device=waveform.device)
    lag = step[None, :] - step[:, None]
    within = impulse[:, lag.clamp_min(0)] * (lag >= 0)  # (B, 64 in, 64 out)
    to_state = response[:, :STATE_BLOCK].flip(1)  # (B, 64 in, 2)
    rows = torch.nn.functional.pad(waveform, (0, blocks * STATE_BLOCK - samples))
    rows = rows.reshape(batch, blocks, STATE_BLOCK)
    ends = _scan(torch.bmm(rows, to_state.float()), powers[:, -1])
    filtered = torch.bmm(rows, within.float())
    from_state = powers[:, :STATE_BLOCK, 0, :].transpose(1, 2).float()  # (B, 2, 64)
    filtered[:, 1:] += torch.bmm(ends[:, :-1], from_state)
    return filtered.reshape(batch, blocks * STATE_BLOCK)[:, :samples]


# ---------------------------------------------------------------------------------------------------
# Level and spectrum.


def peak_normalise(waveform: Tensor) -> Tensor:
    """Divide each row of ``(B, n)`` by its largest magnitude; a silent row stays silent."""
    tiny = torch.finfo(waveform.dtype).tiny
    return waveform / waveform.abs().amax(dim=-1, keepdim=True).clamp_min(tiny)


def shape_spectrum(waveform: Tensor, power_slope: float) -> Tensor:
    """Give white noise ``(B, n)`` a power spectrum 1/f^power_slope; the mean (f = 0) is removed."""
    spectrum = torch.fft.rfft(waveform)
    bins = torch.arange(spectrum.shape[-1], dtype=torch.float32, device=waveform.device)
    gain = bins.clamp_min(1.0) ** (-power_slope / 2.0)
    gain[0] = 0.0
    return torch.fft.irfft(spectrum * gain, n=waveform.shape[-1])
