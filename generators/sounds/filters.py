"""Recursive filters, exact and vectorised: a biquad is run block by block as matrix products.

``B`` is the batch, ``n`` the number of samples. Coefficient tables are computed in float64, for a whole
batch at once, of single products and sums: they do not depend on the batch, nor on the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 32  # samples of a block
GROUP = 32  # blocks of a group, groups of a group, ...


def lowpass_biquad(cycles_per_sample: Tensor, quality: float) -> tuple[Tensor, Tensor]:
    """Robert Bristow-Johnson's low-pass: (b0, b1, b2) and (a1, a2) with a0 = 1.

    ``cycles_per_sample`` is cutoff / sample rate, float64 ``(B,)`` on the CPU; so are the results,
    ``(B, 3)`` and ``(B, 2)``.
    """
    angles = (2.0 * math.pi * cycles_per_sample).tolist()  # a vector's sine may round otherwise
    alpha = torch.tensor([math.sin(angle) for angle in angles], dtype=torch.float64) / (2.0 * quality)
    cosine = torch.tensor([math.cos(angle) for angle in angles], dtype=torch.float64)
    b = torch.stack([(1.0 - cosine) / 2.0, 1.0 - cosine, (1.0 - cosine) / 2.0], dim=1)
    a = torch.stack([-2.0 * cosine, 1.0 - alpha], dim=1)
    norm = (1.0 + alpha)[:, None]
    return b / norm, a / norm


def highpass_biquad(cycles_per_sample: Tensor, quality: float) -> tuple[Tensor, Tensor]:
    """His high-pass, as :func:`lowpass_biquad`: 0 at 0 Hz, 1 at half the sample rate."""
    _, a = lowpass_biquad(cycles_per_sample, quality)  # both have the same poles
    top = (1.0 - a[:, :1] + a[:, 1:]) / 4.0  # (1 + cos w) / 2 over 1 + alpha
    return torch.cat([top, -2.0 * top, top], dim=1), a


@dataclass(frozen=True)
class BiquadTables:
    """What :func:`run_biquad` multiplies with, for B filters and signals of a given length."""

    own: Tensor  # float32 (B, 32, 34): a block's own output, and the two states that it leaves
    from_state: Tensor  # float32 (B, 2, 32): output due to the state before the block
    levels: tuple[tuple[Tensor, Tensor], ...]  # float64, of the scans over blocks, groups, ...

    def of(self, group: slice) -> BiquadTables:
        """The tables of some of the filters."""
        return self.each(lambda table: table[group])

    def to(self, device: torch.device) -> BiquadTables:
        """The tables on ``device``."""
        return self.each(lambda table: table.to(device))

    def repeat(self, count: int) -> BiquadTables:
        """The tables of one filter for ``count`` signals, without a copy."""
        return self.each(lambda table: table.expand(count, -1, -1))

    def each(self, change: Callable[[Tensor], Tensor]) -> BiquadTables:
        """Tables made of these one by one."""
        levels = tuple((change(table), change(decay)) for table, decay in self.levels)
        return BiquadTables(change(self.own), change(self.from_state), levels)


def biquad_tables(b: Tensor, a: Tensor, samples: int) -> BiquadTables:
    """Tables of B filters, b float64 ``(B, 3)``, a ``(B, 2)``, for signals of ``samples`` samples."""
    # transposed direct form II: state' = A state + B x, y = state_0 + b0 x
    one, zero = torch.ones_like(a[:, 0]), torch.zeros_like(a[:, 0])
    matrix = torch.stack([-a[:, 0], one, -a[:, 1], zero], dim=1).view(-1, 2, 2)
    drive = b[:, 1:] - a * b[:, :1]  # (B, 2)
    powers = _powers(matrix, BLOCK + 1)  # (B, 33, 2, 2)
    response = (powers[:, :BLOCK] * drive[:, None, None, :]).sum(dim=-1)  # (B, 32, 2) after k samples
    impulse = torch.cat([b[:, :1], response[:, :-1, 0]], dim=1)  # (B, 32)
    own = torch.cat([_toeplitz(impulse[:, :, None, None]), response.flip(1)], dim=2).float()
    from_state = powers[:, :BLOCK, 0, :].transpose(1, 2).float()
    levels, count, matrix = [], -(-samples // BLOCK), powers[:, -1]
    while True:
        length = min(count, GROUP)
        powers = _powers(matrix, length + 1)
        decay = powers[:, 1:].permute(0, 3, 1, 2).reshape(-1, 2, 2 * length)
        levels.append((_toeplitz(powers[:, :-1]), decay))
        count, matrix = -(-count // length), powers[:, -1]
        if count == 1:
            return BiquadTables(own, from_state, tuple(levels))


def filter_biquad(waveform: Tensor, b: Tensor, a: Tensor) -> Tensor:
    """Run ``waveform`` (float32 ``(B, n)``) through y = b x - a y from rest; exact, not truncated."""
    return run_biquad(waveform, biquad_tables(b, a, waveform.shape[1]))


def run_biquad(waveform: Tensor, tables: BiquadTables) -> Tensor:
    """Run ``waveform`` (float32 ``(B, n)``) through B filters from rest; exact, not truncated.

    The response to a block itself is a triangular Toeplitz product; the two states at the blocks' ends
    follow a linear recurrence, which is solved in groups of blocks the same way. Works for any poles,
    real or complex, however slowly they decay.
    """
    batch, samples = waveform.shape
    blocks = -(-samples // BLOCK)
    if blocks * BLOCK != samples:
        waveform = torch.nn.functional.pad(waveform, (0, blocks * BLOCK - samples))
    out = torch.bmm(waveform.reshape(batch, blocks, BLOCK), tables.own)  # (B, blocks, 34)
    # the state after each block; in float64, since a slow filter integrates rounding errors twice
    ends = _scan(out[:, :, BLOCK:].double(), tables.levels).float()
    before = torch.cat([torch.zeros_like(ends[:, :1]), ends[:, :-1]], dim=1)
    filtered = torch.bmm(before, tables.from_state)
    filtered += out[:, :, :BLOCK]
    return filtered.view(batch, blocks * BLOCK)[:, :samples]


def _powers(matrix: Tensor, count: int) -> Tensor:
    """Powers 0 ... count - 1 of 2 x 2 matrices ``(B, 2, 2)``, by doubling: ``(B, count, 2, 2)``."""
    powers = torch.eye(2, dtype=matrix.dtype, device=matrix.device).expand(len(matrix), 1, 2, 2)
    while powers.shape[1] < count:
        more = powers[:, : count - powers.shape[1]]
        powers = torch.cat([powers, _product(more, matrix[:, None])], dim=1)
        matrix = _product(matrix, matrix)
    return powers


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Products of 2 x 2 matrices ``(..., 2, 2)``."""
    return left[..., :1] * right[..., :1, :] + left[..., 1:] * right[..., 1:, :]


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


def _scan(inputs: Tensor, levels: tuple[tuple[Tensor, Tensor], ...]) -> Tensor:
    """States s_k = matrix s_(k-1) + inputs_k from rest: float64 ``(B, m, 2)`` of the same shape."""
    batch, count, _ = inputs.shape
    table, decay = levels[0]  # (B, 2 length, 2 length), (B, 2, 2 length)
    length = table.shape[1] // 2
    groups = -(-count // length)
    if groups * length != count:
        inputs = torch.nn.functional.pad(inputs, (0, 0, 0, groups * length - count))
    states = torch.bmm(inputs.reshape(batch, groups, 2 * length), table)
    if groups > 1:
        carried = _scan(states[:, :, -2:], levels[1:])  # the state after each group
        states[:, 1:] += torch.bmm(carried[:, :-1], decay)
    return states.reshape(batch, groups * length, 2)[:, :count]
