"""Damped modes: sums of decaying sinusoids from given onsets, as one matrix product a clip."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from .. import dsp
from .layout import add_rows

INAUDIBLE = 16.0  # nepers (139 dB) after which a mode is left out; also keeps denormal numbers away
SPAN = 32  # rows whose modes are summed by one product
FASTEST = 0.1  # nepers per sample: 60 dB within 70 samples


def ring(
    onset: Tensor,
    cycles_per_sample: Tensor,
    nepers_per_sample: Tensor,
    amplitude: Tensor,
    phase: Tensor,
    samples: int,
) -> Tensor:
    """Sum of amplitude e^(-decay t) sin(2 pi (f t + phase)), t counted from each note's onset.

    ``onset`` is int64 ``(B, M)`` in samples; all others are float64 ``(B, M, K)``: the K modes of M
    notes, phases in cycles. Modes of amplitude 0 cost nothing; decays are limited to 0.1 nepers per
    sample. Returns float32 ``(B, samples)``.

    With t = coarse (row) + fine (place in the row) the damped sine factorises, so a clip is one product
    (rows x 2K) times (2K x 512). The row in which a note begins is computed for each note by itself.
    """
    batch, notes, count = amplitude.shape
    rows = -(-samples // dsp.ROW)
    # the modes that are heard come first: (B, K') of all notes together
    heard = ((amplitude != 0.0) & (onset < samples)[:, :, None]).flatten(1)
    most = max(int(heard.sum(dim=1).max()), 1)
    chosen = heard.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    owner = chosen // count
    step = cycles_per_sample.flatten(1).gather(1, chosen)
    decay = nepers_per_sample.flatten(1).gather(1, chosen).clamp_max(FASTEST)
    scale = (amplitude.flatten(1) * heard).gather(1, chosen).float()
    start = onset.gather(1, owner).double()

    offset = phase.flatten(1).gather(1, chosen) - step * start
    coarse = dsp.coarse_phase(step, offset, rows).mul_(2.0 * math.pi)  # (B, K', rows)
    fine = phase_in_row(step).mul_(2.0 * math.pi)  # (B, K', 512)
    since = torch.arange(rows, dtype=torch.float64, device=onset.device) * dsp.ROW - start[:, :, None]
    later = since > 0.0  # the rows after the one of the onset
    faded = since.clamp_min_(-dsp.ROW).mul_(decay[:, :, None]).float()  # nepers since the onset
    later &= faded < INAUDIBLE
    gain = faded.clamp_max_(2.0 * INAUDIBLE).neg_().exp_().mul_(scale[:, :, None])
    within = torch.arange(dsp.ROW, dtype=torch.float32, device=onset.device)
    fading = (-decay.float()[:, :, None] * within).exp_()
    right = dsp.on_circle(fine, (torch.cos, torch.sin), fading)  # (B, 2K', 512)
    left = dsp.on_circle(coarse, (torch.sin, torch.cos), gain * later)  # (B, 2K', rows)
    out = right.new_zeros(batch, rows, dsp.ROW)
    for modes, here in sounding(start, start + INAUDIBLE / decay, rows):
        torch.bmm(left[:, modes, here].transpose(1, 2), right[:, modes], out=out[:, here])

    first = (onset // dsp.ROW).clamp_max(rows - 1)  # (B, M), the row of the onset
    row = first.gather(1, owner)[:, :, None]  # (B, K', 1)
    left = dsp.on_circle(coarse.gather(2, row), (torch.sin, torch.cos), gain.gather(2, row))
    left = left.transpose(1, 2)  # (B, 1, 2K')
    mine = owner[:, None, :] == torch.arange(notes, device=onset.device)[:, None]  # (B, M, K')
    begun = torch.bmm(left * mine.repeat_interleave(2, dim=2), right)  # (B, M, 512)
    begun *= (within >= (onset - first * dsp.ROW)[:, :, None]) & (onset < samples)[:, :, None]
    target = first + torch.arange(batch, device=onset.device)[:, None] * rows
    out = out.view(batch * rows, dsp.ROW)
    add_rows(out, target.flatten(), begun.flatten(0, 1))  # a clip's notes may share a row
    return out.view(batch, -1)[:, :samples]


def phase_in_row(cycles_per_sample: Tensor) -> Tensor:
    """Phase in cycles, near [0, 1), of the 512 samples of a row: float32 ``(..., 512)``.

    The frequency, float64 ``(...)``, is cut in two, so that float32 is enough: multiples of 2^-14 times
    a sample's number are exact, and the rest amounts to less than 2^-5.
    """
    whole = (cycles_per_sample * 2.0**14).floor().mul_(2.0**-14)
    sample = torch.arange(dsp.ROW, dtype=torch.float32, device=cycles_per_sample.device)
    cycles = (whole.float()[..., None] * sample).frac_()
    return cycles.addcmul_((cycles_per_sample - whole).float()[..., None], sample)


def sounding(begin: Tensor, end: Tensor, rows: int) -> Iterator[tuple[slice, slice]]:
    """For every 32 rows in which a mode sounds: the first to the last that does, and the rows.

    Modes sound from ``begin`` to ``end``, ``(B, K)`` in samples, and are counted in pairs, a sine and a
    cosine each. Notes follow each other and fade, so that most modes are silent most of the time.
    """
    edge = torch.arange(0, rows, SPAN, device=begin.device)[:, None, None] * dsp.ROW
    spans = ((begin < edge + SPAN * dsp.ROW) & (end > edge)).any(dim=1)  # (S, K)
    first, behind = (modes.byte().argmax(dim=1).tolist() for modes in (spans, spans.flip(1)))
    for number in spans.any(dim=1).nonzero()[:, 0].tolist():
        modes = slice(2 * first[number], 2 * (spans.shape[1] - behind[number]))
        yield modes, slice(number * SPAN, (number + 1) * SPAN)
