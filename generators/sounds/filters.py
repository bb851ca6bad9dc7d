"""Recursive filters, exact and vectorised: a biquad is run block by block as matrix products.

``B`` is the batch, ``n`` the number of samples. Coefficient tables are computed in float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BLOCK = 32  # samples of a block
GROUP = 80  # blocks of a group, groups of a group, ...


def lowpass_biquad(cycles_per_sample: Tensor, quality: float) -> tuple[Tensor, Tensor]:
    """Robert Bristow-Johnson's low-pass: (b0, b1, b2) and (a1, a2) with a0 = 1.

    ``cycles_per_sample`` is cutoff / sample rate, float64 ``(B,)``; so are the results, ``(B, 3)`` and
    ``(B, 2)``.
    """
    angle = 2.0 * math.pi * cycles_per_sample
    alpha, cosine = angle.sin() / (2.0 * quality), angle.cos()
    b = torch.stack([(1.0 - cosine) / 2.0, 1.0 - cosine, (1.0 - cosine) / 2.0], dim=1)
    a = torch.stack([-2.0 * cosine, 1.0 - alpha], dim=1)
    norm = (1.0 + alpha)[:, None]
    return b / norm, a / norm


def filter_biquad(waveform: Tensor, b: Tensor, a: Tensor) -> Tensor:
    """Run ``waveform`` (float32 ``(B, n)``) through y = b x - a y from rest; exact, not truncated.

    The response to a block itself is a triangular Toeplitz product; the two states at the blocks' ends
    follow a linear recurrence, which is solved in groups of blocks the same way. Works for any poles,
    real or complex, however slowly they decay.
    """
    batch, samples = waveform.shape
    blocks = -(-samples // BLOCK)
    # transposed direct form II: state' = A state + B x, y = state_0 + b0 x
    matrix = torch.stack(
        [
            torch.stack([-a[:, 0], torch.ones_like(a[:, 0])], dim=1),
            torch.stack([-a[:, 1], torch.zeros_like(a[:, 0])], dim=1),
        ],
        dim=1,
    )
    drive = b[:, 1:] - a * b[:, :1]  # (B, 2)
    powers = _powers(matrix, BLOCK + 1)  # (B, 33, 2, 2)
    response = (powers[:, :BLOCK] * drive[:, None, None, :]).sum(dim=-1)  # (B, 32, 2) after k samples
    impulse = torch.cat([b[:, :1], response[:, :-1, 0]], dim=1)  # (B, 32)
    # one table (B, 32 in, 32 out + 2 states) gives the block's own output and its last state
    own = _toeplitz(impulse[:, :, None, None])  # (B, 32 in, 32 out)
    table = torch.cat([own, response.flip(1)], dim=2).float()
    if blocks * BLOCK != samples:
        waveform = torch.nn.functional.pad(waveform, (0, blocks * BLOCK - samples))
    out = torch.bmm(waveform.reshape(batch, blocks, BLOCK), table)  # (B, blocks, 34)
    # the state after each block; in float64, since a slow filter integrates rounding errors twice
    ends = _scan(out[:, :, BLOCK:].double(), powers[:, -1]).float()
    from_state = powers[:, :BLOCK, 0, :].transpose(1, 2).float()  # (B, 2, 32)
    filtered = torch.cat([torch.zeros_like(ends[:, :1]), ends[:, :-1]], dim=1) @ from_state
    filtered += out[:, :, :BLOCK]
    return filtered.view(batch, blocks * BLOCK)[:, :samples]


def _powers(matrix: Tensor, count: int) -> Tensor:
    """Powers 0 ... count - 1 of 2 x 2 matrices ``(B, 2, 2)``, by doubling: ``(B, count, 2, 2)``."""
    batch, known = len(matrix), 1
    powers = matrix.new_empty(batch, 2 * count, 2)  # one under the other
    powers[:, :2] = torch.eye(2, dtype=matrix.dtype, device=matrix.device)
    while known < count:
        more = min(known, count - known)
        powers[:, 2 * known : 2 * (known + more)] = torch.bmm(powers[:, : 2 * more], matrix)
        matrix, known = torch.bmm(matrix, matrix), known + more
    return powers.view(batch, count, 2, 2)


def _toeplitz(blocks: Tensor) -> Tensor:
    """Triangular block Toeplitz matrix that acts on rows from the right: ``(B, m q, m p)``.

    ``blocks`` (B, m, p, q) are the responses p to an input q after 0 ... m - 1 steps. Row (i, q) is the
    sequence of blocks from i on, after zeros: a window of one padded sequence.
    """
    batch, count, p, q = blocks.shape
    padded = blocks.new_zeros(batch, q, 2 * count - 1, p)
    padded[:, :, count - 1 :] = blocks.permute(0, 3, 1, 2)
    line = (2 * count - 1) * p
    windows = padded.as_strided((batch, count, q, count * p), (q * line, p, line, 1))
    return windows.flip(1).reshape(batch, count * q, count * p)


def _scan(inputs: Tensor, matrix: Tensor) -> Tensor:
    """States s_k = matrix s_(k-1) + inputs_k from rest: float64 ``(B, m, 2)`` of the same shape."""
    batch, count, _ = inputs.shape
    length = min(count, GROUP)
    groups = -(-count // length)
    if groups * length != count:
        inputs = torch.nn.functional.pad(inputs, (0, 0, 0, groups * length - count))
    powers = _powers(matrix, length + 1)
    table = _toeplitz(powers[:, :-1])  # (B, 2 length, 2 length)
    states = torch.bmm(inputs.reshape(batch, groups, 2 * length), table)
    if groups > 1:
        carried = _scan(states[:, :, -2:], powers[:, -1])  # the state after each group
        decay = powers[:, 1:].permute(0, 3, 1, 2).reshape(batch, 2, 2 * length)
        states[:, 1:] += torch.bmm(carried[:, :-1], decay)
    return states.reshape(batch, groups * length, 2)[:, :count]
