"""Damped modes: sums of decaying sinusoids from given onsets, as one matrix product a clip."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import dsp

INAUDIBLE = 16.0  # nepers (139 dB) after which a mode is left out; also keeps denormal numbers away
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
    coarse, fine = dsp.split_phase(step, offset, rows)  # (B, K', rows), (B, K', 512)
    coarse, fine = coarse * (2.0 * math.pi), fine * (2.0 * math.pi)
    index = torch.arange(rows, dtype=torch.float64, device=onset.device)
    since = (index * dsp.ROW - start[:, :, None]).clamp_min(-dsp.ROW)
    faded = (since * decay[:, :, None]).float().clamp_max_(2.0 * INAUDIBLE)  # nepers since the onset
    gain = torch.exp(-faded) * scale[:, :, None]
    within = torch.arange(dsp.ROW, dtype=torch.float32, device=onset.device)
    fading = torch.exp(-decay.float()[:, :, None] * within)
    right = torch.cat([fine.cos() * fading, fine.sin() * fading], dim=1)  # (B, 2K', 512)

    first = (onset // dsp.ROW).clamp_max(rows - 1)  # (B, M), the row of the onset
    row = first.gather(1, owner)[:, :, None]  # (B, K', 1)
    later = gain * ((index > row) & (faded < INAUDIBLE))
    left = torch.cat([coarse.sin() * later, coarse.cos() * later], dim=1)  # (B, 2K', rows)
    out = torch.bmm(left.transpose(1, 2), right)

    at_onset, angle = gain.gather(2, row)[:, :, 0], coarse.gather(2, row)[:, :, 0]
    mine = owner[:, None, :] == torch.arange(notes, device=onset.device)[:, None]  # (B, M, K')
    left = torch.cat([angle.sin() * at_onset, angle.cos() * at_onset], dim=1)[:, None, :]
    begun = torch.bmm(left * torch.cat([mine, mine], dim=2), right)  # (B, M, 512)
    begun *= (within >= (onset - first * dsp.ROW)[:, :, None]) & (onset < samples)[:, :, None]
    target = first + torch.arange(batch, device=onset.device)[:, None] * rows
    out = out.view(batch * rows, dsp.ROW)
    for note in range(notes):  # a clip's notes may share a row: one at a time, in one order
        out.index_add_(0, target[:, note], begun[:, note])
    return out.view(batch, -1)[:, :samples]
