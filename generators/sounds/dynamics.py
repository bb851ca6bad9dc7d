"""Events: enveloped stretches of tones, placed in time; noise bursts added to tones; rotation.

Tones are ``(n, rows + 2, 512)``: the clip's rows of 512 samples between one row before and one after
it, so that a stretch of 512 samples that touches the clip can be read whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..dsp import ROW, ramp


@dataclass(frozen=True)
class Events:
    """When each event of each clip happens, in samples: int64 ``(B, M)`` on the CPU."""

    happens: Tensor  # bool
    tone: Tensor  # which of the n tones it is a stretch of
    length: Tensor
    attack: Tensor
    decay: Tensor
    release: Tensor
    level: Tensor  # float64: of the envelope between decay and release
    origin: Tensor  # where the stretch starts in the tone
    place: Tensor  # where it starts in the clip


def envelope(
    time: Tensor, attack: Tensor, decay: Tensor, release: Tensor, length: Tensor, level: Tensor
) -> Tensor:
    """0 to 1 over the attack, 1 to ``level`` over the decay, held, to 0 over the release; float64.

    0 outside the event. Each line includes both its ends, so 1 appears twice in a row; a line of length
    0 is a step. Where attack, decay and release fill the event there is no plateau (AudioPG).
    """
    risen = ramp(time, torch.zeros_like(time), attack)
    decayed = ramp(time, attack, decay)
    released = ramp(time, length - release, release)
    return (1.0 - level) * (risen - decayed) + level * (risen - released)


def place_events(tones: Tensor, events: Events) -> Tensor:
    """Sum of enveloped stretches of ``tones`` at their places in B clips: float32 ``(B, rows * 512)``.

    An event covers some rows of the clip (R of them over the batch), and each such row reads one
    stretch of the tone that starts anywhere. The gain is a line within a row, save in the few rows
    where two lines of the envelope meet.
    """
    device, batch, rows = tones.device, len(events.happens), tones.shape[1] - 2
    size = (rows + 2) * ROW  # samples of one tone
    out = torch.zeros(batch * rows, ROW, device=device)
    # every happening event, ordered by its number: (E,), then its rows: (R,)
    number, clip = events.happens.T.nonzero(as_tuple=True)
    if len(clip) == 0:
        return out.view(batch, -1)
    windows = tones.view(-1).as_strided((len(tones) * size - ROW + 1, ROW), (1, 1))
    within = torch.arange(ROW, dtype=torch.int64)
    times = torch.stack(
        [
            *(events.length, events.attack, events.decay, events.release, events.origin),
            *(events.place, events.tone),
        ]
    )
    length, attack, decay, release, origin, place, tone = times[:, clip, number]
    first = place // ROW
    count = (place + length - 1) // ROW - first + 1
    event = torch.repeat_interleave(torch.arange(len(clip)), count)
    row = torch.arange(len(event)) + (first - count.cumsum(0) + count)[event]
    since = row * ROW - place[event]  # time within the event at the row's first sample

    # the gain: a line from its value at the row's first sample to that at its last
    lines = [attack, decay, release, length, events.level[clip, number]]
    shape = [factor[event, None] for factor in lines]  # (R, 1)
    ends = torch.stack([since, since + ROW - 1], dim=1)  # (R, 2)
    values = envelope(ends, *shape)
    start, stop = values.float().to(device)[:, :, None].unbind(1)
    fraction = (within.double() / (ROW - 1)).float().to(device)
    gain = torch.addcmul(start, stop - start, fraction)  # (R, 512)
    # and exactly where a line of the envelope starts within the row, after its first sample
    starts = [torch.zeros_like(attack), attack, attack + decay, length - release, length]
    start_of_line = torch.stack(starts)[:, event]  # (5, R)
    bent = ((since < start_of_line) & (start_of_line <= since + ROW - 1)).any(dim=0).nonzero()[:, 0]
    exact = envelope(since[bent, None] + within, *(factor[bent] for factor in shape))
    gain[bent.to(device)] = exact.float().to(device)

    gain *= windows.index_select(0, ((tone * size + ROW + origin)[event] + since).to(device))
    target = (clip[event] * rows + row).to(device)
    # one event of each clip at a time, so that no row is written twice and sums have one order
    most = events.happens.shape[1]
    borders = torch.searchsorted(number[event], torch.arange(most), right=True).tolist()
    for begin, end in zip([0, *borders], borders, strict=False):
        if end > begin:
            out.index_add_(0, target[begin:end], gain[begin:end])
    return out.view(batch, -1)


def add_bursts(tones: Tensor, burst: Tensor, chosen: Tensor, start: Tensor, length: Tensor) -> None:
    """Add the first ``length`` samples of each ``burst`` (C, longest) to the ``chosen`` tones.

    In place; ``chosen``, ``start`` (in the clip) and ``length`` are int64 ``(C,)`` on the CPU.
    """
    device, size = tones.device, tones[0].numel()
    time = torch.arange(burst.shape[1], device=device)
    heard = time < length.to(device)[:, None]
    place = (ROW + start.to(device)[:, None] + time).clamp_max(size - 1)
    place = place + (chosen.to(device) * size)[:, None]
    tones.view(-1).index_add_(0, place.flatten(), (burst * heard).flatten())


def rotate(waveform: Tensor, shift: Tensor) -> Tensor:
    """Each clip of ``(B, n)`` moved later by ``shift`` samples (int64 ``(B,)`` on the CPU), around."""
    moved = shift.nonzero()[:, 0]
    if len(moved):
        samples = waveform.shape[1]
        time = torch.arange(samples, device=waveform.device) - shift[moved, None].to(waveform.device)
        here = moved.to(waveform.device)
        waveform[here] = waveform[here].gather(1, time % samples)
    return waveform
